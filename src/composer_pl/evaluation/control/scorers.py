"""Who says how well a picture obeys a condition: its own extractor, and judges that are others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from composer_pl.conditions.adherence import adherence
from composer_pl.conditions.discovery import entry_for_class
from composer_pl.conditions.extraction import Extraction
from composer_pl.evaluation.control.others import Other
from composer_pl.evaluation.control.pictures import Shown, Wanted
from composer_pl.evaluation.plain import (
    Score,
    edge_steepness,
    known_pixels,
    lab_agreement,
    luma,
    outline_f1,
    slope_crests,
    ssim,
)
from composer_pl.evaluation.scenes.scores import SCORERS, scores
from composer_pl.plugin.api import ConditionPlugin

_LAYOUTS = {"masking": 4, "instances": 5}
"""Channels of the values of which a measure reads one by its number: another plugin of that name
may lay them out in another way, and is then measured by its own word alone."""

OWN = "own extractor"
"""The scorer that every condition has: the plugin's `adherence`."""

Scoring = Callable[[Shown, Wanted], Score]


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """One way to score one condition.

    Attributes:
        condition: Its name in the model.
        name: What the score is, such as `judged depth, correlation`.
        independent: Whether it is another than the model was conditioned with.
        score: Pictures and what they should show -> one number a picture, 1 is best, NaN where
            nothing is to be measured.
    """

    condition: str
    name: str
    independent: bool
    score: Scoring


def kind_of(name: str, plugin: ConditionPlugin) -> str:
    """What a condition is whatever a model calls it: its entry point's name, or else its own."""
    entry = entry_for_class(type(plugin))
    return name if entry is None else entry.name


def panel(
    extraction: Extraction,
    names: Sequence[str],
    *,
    scenes: bool,
    others: Sequence[Other] = (),
) -> list[Scorer]:
    """All scorers of some conditions: independent judges first, the extractor's own word last.

    Args:
        extraction: The model's extractors.
        names: The conditions.
        scenes: Whether the pictures are scenes, whose truth is known.
        others: Other extractors that judge too.
    """
    scorers = []
    for name in names:
        plugin = extraction.plugins[name]
        kind = kind_of(name, plugin)
        found = scene_scorers(name, plugin, kind) if scenes else photo_scorers(name, plugin, kind)
        further = [other_scorer(other) for other in others if other.condition == name]
        # A network that finds the condition itself says more than a plain measure of photos.
        found = found + further if scenes else further + found
        scorers += [*found, own_scorer(extraction, name)]
    return scorers


def own_scorer(extraction: Extraction, name: str) -> Scorer:
    """The plugin's own word."""

    def score(shown: Shown, wanted: Wanted) -> Score:
        return adherence(extraction, name, shown.pictures, wanted.values[name]).float()

    return Scorer(condition=name, name=OWN, independent=False, score=score)


def other_scorer(other: Other) -> Scorer:
    """The word of another extractor, on what it finds itself in the true picture."""
    name = other.condition

    def score(shown: Shown, wanted: Wanted) -> Score:
        return adherence(other.extraction, name, shown.pictures, wanted.judged[other.key]).float()

    title = other.key.removeprefix(f"{name}:")
    return Scorer(condition=name, name=title, independent=other.independent, score=score)


def scene_scorers(name: str, plugin: ConditionPlugin, kind: str) -> list[Scorer]:
    """The renderer's truth, read by the scenes' judge or by plain measures; empty without one."""
    if kind == "masking" and _channels(plugin) != _LAYOUTS["masking"]:
        return []
    return [
        Scorer(condition=name, name=title, independent=True, score=_scene_score(name, kind, number))
        for number, title in enumerate(SCORERS.get(kind, ()))
    ]


def photo_scorers(name: str, plugin: ConditionPlugin, kind: str) -> list[Scorer]:
    """Plain measures against the true picture; empty for what none of them measures."""
    channels = _channels(plugin)
    if kind not in _PLAIN or channels != _LAYOUTS.get(kind, channels):
        return []
    title, plain = _PLAIN[kind]

    def score(shown: Shown, wanted: Wanted) -> Score:
        true = wanted.batch["image"]
        return plain(shown.pictures, true, wanted.values[name]).float()

    return [Scorer(condition=name, name=title, independent=True, score=score)]


def _channels(plugin: ConditionPlugin) -> int:
    """Channels of a map; 0 of what is no map."""
    shape = plugin.spec.shape
    return shape[0] if len(shape) == 3 and isinstance(shape[0], int) else 0


def _scene_score(name: str, kind: str, number: int) -> Scoring:
    def score(shown: Shown, wanted: Wanted) -> Score:
        assert wanted.scene is not None, "a judge of scenes needs their truth"
        truth = wanted.scene.truth
        holes = None
        if kind == "masking":  # a pixel of 64 px is known where all of its part of the mask is
            holes = _shares(wanted.values[name][:, 3], truth.depth) > 0.999
        found = scores(
            kind, shown.small, shown.reading, truth, claimed=wanted.scene.claimed, known=holes
        )
        return found[number].float()

    return score


# -- plain measures of photos ----------------------------------------------------------------------


def _crests(pictures: Tensor, true: Tensor, value: Tensor) -> Score:
    ours, theirs = (slope_crests(luma(each)) for each in (pictures, true))
    found = outline_f1(ours, theirs)
    return torch.where(theirs.flatten(1).any(1), found, torch.nan)


def _colours(pictures: Tensor, true: Tensor, value: Tensor) -> Score:
    return lab_agreement(pictures, true)


def _structure(pictures: Tensor, true: Tensor, value: Tensor) -> Score:
    return ssim(luma(pictures), luma(true))


def _known(pictures: Tensor, true: Tensor, value: Tensor) -> Score:
    return known_pixels(pictures, true, _shares(value[:, 3], true) > 0.999)


def _steepness(pictures: Tensor, true: Tensor, value: Tensor) -> Score:
    return edge_steepness(luma(pictures), _shares(value[:, 0], pictures) > 0.5)


def _shares(marks: Tensor, like: Tensor) -> Tensor:
    """Marks of 0 and 1 brought to the height and width of other maps: the share of each pixel."""
    size = (like.shape[-2], like.shape[-1])
    return F.adaptive_avg_pool2d(marks[:, None].float(), size)[:, 0]


_PLAIN: Mapping[str, tuple[str, Callable[[Tensor, Tensor, Tensor], Score]]] = {
    "sketch": ("crests of luma, F1 within 1 px", _crests),
    "color": ("Lab distribution", _colours),
    "intensity": ("luma, SSIM", _structure),
    "masking": ("known pixels", _known),
    "instances": ("edge on outline, AUC", _steepness),
}
"""Kind -> name and measure of a judge that needs no network."""

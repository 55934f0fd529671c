"""Edits of scenes whose true outcome is known: what is told, what is wanted, how it is scored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch.nn.functional as F
from corpus import UNSEEN, Corpus, build_corpus
from jaxtyping import Bool, Float, UInt8
from plans import MAPS
from torch import Tensor
from twins import recolored, twins

from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.truth import outlines
from composer_pl.evaluation.plain import correlation, lab_agreement, luma, outline_f1, ssim
from composer_pl.evaluation.scenes.judge import Judge, read_pictures
from composer_pl.evaluation.scenes.truth import whole_truth

Score = Callable[[Tensor, Tensor], Tensor]
"""(pictures, wanted ones) -> a score of each."""

Aspect = tuple[str, str, Score]
"""("changed" or "kept", name, score)."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """An edit of scenes.

    Attributes:
        name: Of the edit and of what is kept beside.
        part: The condition that is edited.
        corpus: The scenes.
        wanted: Pixels of the true outcome.
        otherwise: Pixels of another outcome, whose part the blind edit is told.
        aspects: What is scored.
        keep: What is kept beside; None is the task's own choice.
    """

    name: str
    part: str
    corpus: Corpus
    wanted: UInt8[Tensor, "n 3 s s"]
    otherwise: UInt8[Tensor, "n 3 s s"]
    aspects: Sequence[Aspect]
    keep: Sequence[str] | None = None


PALETTE_EDITS: dict[str, Sequence[str] | None] = {
    "color": None,
    "color, semantics kept too": (*MAPS, "intensity", "semantics"),
    "color, intensity not kept": MAPS,
}
"""Name -> what is kept beside a palette; the first is the task as it is."""


def chosen(n: int, fits: Callable[[Scene], bool], rules: SceneRules | None = None) -> list[int]:
    """The first unseen scenes of some rules that fit."""
    sampler, found, index = SceneSampler(0, rules), [], UNSEEN
    while len(found) < n:
        if fits(sampler.scene(index)):
            found.append(index)
        index += 1
    return found


def sketch_edits(judge: Judge, n: int) -> list[Edit]:
    """The nearest thing's lines erased."""
    corpus = build_corpus(chosen(n, lambda scene: len(scene.objects) > 1))
    side = corpus.pixels.shape[-1]
    fewer = render([replace(s, objects=s.objects[1:]) for s in corpus.scenes], side)
    otherwise = render([replace(s, objects=s.objects[:-1]) for s in corpus.scenes], side)
    gone = F.max_pool2d((corpus.ids == 1).float()[:, None], 7, 1, 3)
    outside = F.avg_pool2d(gone, 2)[:, 0] == 0
    lines_there = F.max_pool2d(outlines(fewer).float(), 2)[:, 0] > 0

    def judged_lines(pictures: Tensor, wanted: Tensor) -> Tensor:
        return outline_f1(read_pictures(judge, pictures).outlines > 0, lines_there)

    aspects: list[Aspect] = [
        ("changed", "judged outlines, F1", judged_lines),
        ("changed", "pixels where the thing was", lambda p, w: pixels_in(p, w, ~outside)),
        ("kept", "pixels elsewhere", lambda p, w: pixels_in(p, w, outside)),
        ("kept", "Lab distribution", lab_agreement),
    ]
    return [
        Edit(
            name="sketch",
            part="sketch",
            corpus=corpus,
            wanted=fewer.pixels,
            otherwise=otherwise.pixels,
            aspects=aspects,
        )
    ]


def color_edits(judge: Judge, n: int) -> list[Edit]:
    """The only thing's colour exchanged for another in the palette."""

    def plain(scene: Scene) -> bool:
        return len(scene.objects) == 1 and not scene.objects[0].second_color

    corpus = build_corpus(chosen(n, plain))
    twin = twins(corpus)
    thirds = [
        next(
            third
            for third in (recolored(scene, move) for move in range(1, 8))
            if third.objects[0].color != asked.objects[0].color
        )
        for scene, asked in zip(corpus.scenes, twin.scenes, strict=True)
    ]
    truth = whole_truth(twin)
    thing, beside = truth.colors[:, -1] < 0.001, truth.colors[:, -1] > 0.999
    asked = truth.colors.argmax(1)

    def judged_color(pictures: Tensor, wanted: Tensor) -> Tensor:
        right = read_pictures(judge, pictures).colors.argmax(1) == asked
        return (right & thing).sum((1, 2)) / thing.sum((1, 2))

    def judged_depth(pictures: Tensor, wanted: Tensor) -> Tensor:
        ours, theirs = (read_pictures(judge, p).depth for p in (pictures, wanted))
        return correlation(ours, theirs)

    aspects: list[Aspect] = [
        ("changed", "judged colour, share of the thing", judged_color),
        ("kept", "judged depth, correlation", judged_depth),
        ("kept", "luma, SSIM", lambda p, w: ssim(luma(p), luma(w))),
        ("kept", "pixels beside the thing", lambda p, w: pixels_in(p, w, beside)),
    ]
    edit = Edit(
        name="color",
        part="color",
        corpus=corpus,
        wanted=twin.pixels,
        otherwise=render(thirds, corpus.pixels.shape[-1]).pixels,
        aspects=aspects,
    )
    return [replace(edit, name=name, keep=keep) for name, keep in PALETTE_EDITS.items()]


def pixels_in(
    pictures: Float[Tensor, "n 3 s s"],
    wanted: Float[Tensor, "n 3 s s"],
    where: Bool[Tensor, "n s s"],
) -> Float[Tensor, " n"]:
    """1 minus the mean absolute error of RGB in [0, 1] there."""
    error = (pictures - wanted).abs().mean(1) / 2 * where
    return 1 - error.sum((1, 2)) / where.sum((1, 2))

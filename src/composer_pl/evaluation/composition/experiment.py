"""The crossing of conditions of one model from end to end: extract, draw, score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from composer_pl.evaluation.composition.crossing import (
    CrossedPictures,
    CrossedScores,
    Pair,
    all_pairs,
    draw_crossed,
    score_crossed,
)
from composer_pl.evaluation.composition.scoring import INDEPENDENT, OWN, crossing_scorer
from composer_pl.evaluation.control.scorers import panel
from composer_pl.evaluation.control.subjects import wanted_of
from composer_pl.evaluation.samples import Samples, model_extraction
from composer_pl.evaluation.scenes.judge import Judge
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample_keys


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """What came out.

    Attributes:
        pictures: What was drawn.
        scores: Scorer -> scores.
        judges: Condition -> what its independent judge measures.
        conditions: Those that took part.
        notes: Sentences on those that did not.
    """

    pictures: CrossedPictures
    scores: dict[str, CrossedScores]
    judges: dict[str, str]
    conditions: list[str]
    notes: list[str]


def cross(
    model: ComposerModel,
    samples: Samples,
    names: Sequence[str],
    recipe: SamplingRecipe,
    *,
    pairs: Sequence[Pair] | None = None,
    seed: int = 0,
    judge: Judge | None = None,
    lonely: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Crossed:
    """Cross conditions of pictures.

    Args:
        model: On its device, in evaluation mode.
        samples: Pictures, an even number of them.
        names: The conditions; those that the pictures cannot give are left out.
        recipe: How to sample.
        pairs: Which two meet; None takes every two of `names`.
        seed: Of the noise.
        judge: The judge of scenes on the model's device; needed where the pictures are scenes.
        lonely: Also draw conditions that meet no other, as of a model that has one alone.
        progress: Called with (pictures drawn, of all).

    Raises:
        UserInputError: The number of pictures is odd, or nothing can be drawn.
    """
    device = next(model.parameters()).device
    extraction = model_extraction(model)
    scenes = samples.scenes or None
    wanted, notes = wanted_of(samples, extraction, names, scenes=scenes, device=device)
    values = dict(wanted.values)
    meeting = all_pairs(list(values)) if pairs is None else pairs
    pictures = draw_crossed(
        model,
        samples.batch["image"],
        values,
        [pair for pair in meeting if set(pair) <= set(values)],
        recipe,
        keys=sample_keys(seed, len(samples)),
        alone=list(values) if lonely else (),
        progress=progress,
    )
    scorers = panel(extraction, list(pictures.alone), scenes=bool(scenes))
    scores = {}
    for kind in (OWN, INDEPENDENT):
        scorer = crossing_scorer(scorers, wanted, judge, independent=kind == INDEPENDENT)
        scores[kind] = score_crossed(pictures, scorer)
    return Crossed(
        pictures=pictures,
        scores=scores,
        judges={s.condition: s.name for s in reversed(scorers) if s.independent},
        conditions=list(pictures.alone),
        notes=notes,
    )

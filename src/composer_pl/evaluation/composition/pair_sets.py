"""Sets of scenes of which pairs of colour and shape are asked, drawn by models and judged.

Planned in `benchmarks/composition`, where two models that differ in what they have seen are each
other's control. One model alone is held against the pairs that it has seen, against its own
pictures of nothing (`blind`), against shuffled answers and against true pictures.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.conditions.extraction import Extraction
from composer_pl.evaluation.composition.cases import Cases, donors, one_object, two_objects
from composer_pl.evaluation.composition.marks import Marks, pair_marks, two_marks
from composer_pl.evaluation.composition.pairs import HELD_OUT, SEEN
from composer_pl.evaluation.samples import pixel_values
from composer_pl.evaluation.scenes.judge import Judge, Reading, read_pictures, to_side
from composer_pl.evaluation.scenes.truth import small
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample, sample_keys

NEEDED: dict[str, tuple[str, ...]] = {
    "caption": ("caption",),
    "two objects": ("caption",),
    "two pictures": ("instances", "color"),
    "caption and depth": ("caption", "depth"),
}
"""Set -> the conditions that are given."""

CEILING, BLIND = "ceiling", "blind"
"""Arms beside the models: true pictures, and pictures drawn from nothing."""

Draw = Callable[
    [ComposerModel, Mapping[str, Tensor], SamplingRecipe, Int[Tensor, " b"]],
    Float[Tensor, "b 3 h w"],
]
"""`(model, values, recipe, keys)` -> pictures in [-1, 1]."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a condition of some cases is taken from: row i from row `rows[i]` of other cases."""

    cases: Cases
    rows: Int[Tensor, " n"]


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """One set.

    Attributes:
        name: Of the set.
        groups: Cases by group, such as "held out" and "seen".
        sources: Group -> condition -> where it is taken from.
        mark: What the judge's answers to pictures of cases are worth.
        main: The measure that counts.
    """

    name: str
    groups: Mapping[str, Cases]
    sources: Mapping[str, Mapping[str, Source]]
    mark: Callable[[Reading, Cases], Marks]
    main: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was drawn and judged of one set; arms are models, `CEILING` and perhaps `BLIND`.

    Attributes:
        set: The set.
        marks: Group -> arm -> measures, one number a picture.
        readings: Group -> arm -> the judge's answers.
        pictures: Group -> arm -> pictures in [-1, 1] on the CPU.
    """

    set: PairSet
    marks: dict[str, dict[str, Marks]] = field(default_factory=dict)
    readings: dict[str, dict[str, Reading]] = field(default_factory=dict)
    pictures: dict[str, dict[str, Tensor]] = field(default_factory=dict)


def pair_set(
    name: str,
    *,
    held: Cases,
    seen: Cases,
    pool: Cases,
    seed: int = 5,
) -> PairSet:
    """A set of `NEEDED` from its cases.

    Args:
        name: Of the set.
        held: Cases of held-out pairs.
        seen: Cases of seen pairs.
        pool: Cases of seen pairs that parts of other pictures come from.
        seed: Of the choice of donors.
    """
    sources: dict[str, dict[str, Source]] = {}
    groups = {"held out": held, "seen": seen}
    for group, cases in groups.items():
        shape_from, color_from = donors(cases.asked, pool.asked, seed=seed)
        own = Source(cases=cases, rows=torch.arange(len(cases)))
        taken = {
            "caption": own,
            "instances": Source(cases=pool, rows=shape_from),
            "depth": Source(cases=pool, rows=shape_from),
            "color": Source(cases=pool, rows=color_from),
        }
        sources[group] = {condition: taken[condition] for condition in NEEDED[name]}
    two = name == "two objects"
    return PairSet(
        name=name,
        groups=groups,
        sources=sources,
        mark=_two if two else _one,
        main="pair found" if two else "pair right",
    )


def make_pair_set(
    name: str, *, each: int, seed: int = 5, device: torch.device | str = "cpu"
) -> PairSet:
    """Render the scenes of a set: `each` for every held-out and every seen pair."""
    pool = one_object(SEEN, each, device=device)
    if name == "two objects":
        held, seen = (two_objects(pairs, each, device=device) for pairs in (HELD_OUT, SEEN))
    else:
        held, seen = one_object(HELD_OUT, each, device=device), pool
    return pair_set(name, held=held, seen=seen, pool=pool, seed=seed)


def plain_draw(
    model: ComposerModel,
    values: Mapping[str, Tensor],
    recipe: SamplingRecipe,
    keys: Int[Tensor, " b"],
) -> Float[Tensor, "b 3 h w"]:
    """Draw one picture a key at the model's own size."""
    side = model.config.resolution
    return sample(model, values, recipe, keys=keys, size=(side, side)).float()


def judge_set(
    asked: PairSet,
    models: Mapping[str, ComposerModel],
    extraction: Extraction,
    judge: Judge,
    recipe: SamplingRecipe,
    *,
    seed: int = 5,
    blind: str = "",
    draw: Draw = plain_draw,
    progress: Callable[[int, int], None] | None = None,
) -> Judged:
    """Draw a set for every model from the same values and noise, and judge it.

    Args:
        asked: The set.
        models: By name; in evaluation mode, on the device of the cases.
        extraction: Extractors that all models share.
        judge: On that device.
        recipe: How to sample.
        seed: Of noise and of conditions that draw at random.
        blind: Name of the model that also draws from nothing, as the arm `BLIND`; empty for none.
        draw: How pictures are drawn.
        progress: Called with (pictures drawn, of all).
    """
    judged = Judged(set=asked)
    arms = {name: (model, False) for name, model in models.items()}
    if blind:
        arms[BLIND] = (models[blind], True)
    total = sum(len(cases) for cases in asked.groups.values()) * len(arms)
    done = 0
    for group, cases in asked.groups.items():
        keys = sample_keys(seed, len(cases))
        parts: dict[str, list[Tensor]] = {arm: [] for arm in arms}
        for rows in torch.arange(len(cases)).split(recipe.max_batch):
            given = _values(asked.sources[group], rows, extraction, seed)
            for arm, (model, nothing) in arms.items():
                parts[arm].append(draw(model, {} if nothing else given, recipe, keys[rows]))
                done += len(rows)
                if progress is not None:
                    progress(done, total)
        drawn = {arm: torch.cat(pictures) for arm, pictures in parts.items()}
        drawn[CEILING] = small(cases.pixels)
        readings = {arm: read_pictures(judge, to_side(p)) for arm, p in drawn.items()}
        judged.marks[group] = {arm: asked.mark(found, cases) for arm, found in readings.items()}
        judged.readings[group] = readings
        judged.pictures[group] = {arm: pictures.cpu() for arm, pictures in drawn.items()}
    return judged


def merged(runs: Sequence[Judged]) -> Judged:
    """Runs of one set for several models as one."""
    joined = Judged(set=runs[0].set)
    for run in runs:
        for group in run.marks:
            joined.marks.setdefault(group, {}).update(run.marks[group])
            joined.readings.setdefault(group, {}).update(run.readings[group])
            joined.pictures.setdefault(group, {}).update(run.pictures[group])
    return joined


def first_of_each(asked: Int[Tensor, " n"]) -> Int[Tensor, " m"]:
    """The first row of each asked value; rows of one value lie together."""
    new = torch.ones(len(asked), dtype=torch.bool)
    new[1:] = asked.cpu()[1:] != asked.cpu()[:-1]
    return new.nonzero()[:, 0]


def possible_sets(names: Sequence[str]) -> list[str]:
    """The sets that a model with these conditions can be asked."""
    return [name for name, needed in NEEDED.items() if set(needed) <= set(names)]


def _values(
    sources: Mapping[str, Source], rows: Int[Tensor, " b"], extraction: Extraction, seed: int
) -> dict[str, Tensor]:
    given: dict[str, Tensor] = {}
    for name, source in sources.items():
        taken = source.rows[rows]
        cases = source.cases
        pixels = cases.pixels[taken.to(cases.pixels.device)]
        texts = [cases.texts[row] for row in taken.tolist()]
        given |= pixel_values(extraction, pixels, texts, [name], seed=seed, first=int(rows[0]))
    return given


def _one(reading: Reading, cases: Cases) -> Marks:
    return pair_marks(reading.pairs, cases.asked)


def _two(reading: Reading, cases: Cases) -> Marks:
    return two_marks(reading.pairs, cases.asked, cases.other)

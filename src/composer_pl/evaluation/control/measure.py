"""Draw the arms of the control protocol and score them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from composer_pl.composing.mistakes import check_finite
from composer_pl.errors import UserInputError
from composer_pl.evaluation.control.pictures import Shown, Wanted, to_bytes
from composer_pl.evaluation.control.scorers import Scorer
from composer_pl.evaluation.scenes.judge import Judge
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample, sample_keys

Draw = Callable[[Mapping[str, Tensor], Int[Tensor, " b"]], Tensor]
"""Values and a key each -> pictures in [-1, 1]."""

CEILING, ALONE, FLOOR = "ceiling", "alone", "floor"
BLIND, BLIND_FLOOR = "blind", "blind floor"
TRUTH, NONE, ALL = "true pictures", "nothing given", "all given"
"""Arms that are no condition; conditions are identifiers, so that no name is two things."""


@dataclass(frozen=True, kw_only=True)
class ControlPlan:
    """What is drawn.

    Attributes:
        seed: Of the noise: picture i of a seed begins from the same noise in every arm.
        pairs: Pictures drawn from each pair of conditions, the first ones; 0 leaves pairs out.
        again: Pictures drawn a second time from each single condition with other noise.
        chunk: Pictures of an arm drawn and scored together; changes nothing.
    """

    seed: int = 0
    pairs: int = 0
    again: int = 0
    chunk: int = 16


@dataclass(frozen=True, kw_only=True)
class Rival:
    """An arm of another model in the same tables, see `baselines`.

    Attributes:
        arm: Its name, of pictures and of scores.
        given: The conditions that its pictures are drawn from, and scored by.
        draw: Of that model.
    """

    arm: str
    given: tuple[str, ...]
    draw: Draw

    def alone(self, name: str) -> bool:
        """Whether its pictures are drawn from that condition alone."""
        return self.given == (name,)


@dataclass(kw_only=True)
class Control:
    """What was found.

    Attributes:
        names: The conditions that were measured.
        scorers: In the order of the conditions.
        scores: (condition, scorer's name, arm) -> one score a picture. Arms: `ceiling` (the true
            picture), `alone`, `floor` (the same pictures against the next picture's condition),
            `all given`, `blind` (pictures drawn from nothing), `blind floor` (those against the
            next picture's condition), `with b` for each other condition b that was given as well,
            of the first pictures only, those of rivals, and `floor of` their pictures of a single
            condition.
        pictures: `true pictures`, `nothing given`, a condition, `a + b` or `all given` -> 8-bit
            pictures.
        again: Condition -> pictures drawn a second time.
    """

    names: list[str]
    scorers: list[Scorer]
    scores: dict[tuple[str, str, str], Tensor] = field(default_factory=dict)
    pictures: dict[str, Tensor] = field(default_factory=dict)
    again: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pictures[TRUTH])


def measure_control(
    names: Sequence[str],
    scorers: Sequence[Scorer],
    wanted: Wanted,
    draw: Draw,
    plan: ControlPlan,
    *,
    judge: Judge | None = None,
    blind: Draw | None = None,
    rivals: Sequence[Rival] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Control:
    """Draw every arm and score it.

    The floor holds the pictures drawn from condition i against condition i + 1, so that the
    pictures are the same and only what they should obey is another.

    Args:
        names: The conditions.
        scorers: Of these conditions.
        wanted: True pictures, values and truth; at least two, on the device.
        draw: Of the model.
        plan: What is drawn.
        judge: The scenes' judge, where a scorer asks for it.
        blind: Draws pictures that know nothing; None gives `draw` no condition.
        rivals: Arms of other models, from the same values and noise.
        progress: Called with (pictures drawn, all of them).

    Raises:
        UserInputError: There are fewer than two pictures, no conditions, or the model answers NaN.
    """
    count = len(wanted)
    if not names:
        raise UserInputError(
            "Measuring control: expected a condition that these pictures give, found none. Next: "
            "name a model with conditions, pictures with captions, or fetch weights "
            "(`composer-pl plugins fetch`)."
        )
    if count < 2:
        raise UserInputError(
            f"Measuring control: expected at least 2 pictures, as the floor holds each against "
            f"another's conditions, found {count}. Next: ask for more."
        )
    device = wanted.batch["image"].device
    keys, fresh = sample_keys(plan.seed, count), sample_keys(plan.seed + 1, count)
    givens = _givens(names, min(plan.pairs, count))
    total = sum(limit if limit else count for _, limit in givens.values()) + count
    total += min(plan.again, count) * len(names) + len(rivals) * count
    done = 0
    found = Control(names=list(names), scorers=list(scorers))
    parts: dict[tuple[str, str, str], list[Tensor]] = {}
    kept: dict[str, list[Tensor]] = {}
    again: dict[str, list[Tensor]] = {}

    def drawn(by: Draw, values: Mapping[str, Tensor], own: Tensor) -> Tensor:
        nonlocal done
        pictures = by(values, own)
        check_finite(pictures, "Measuring control")
        done += len(own)
        if progress is not None:
            progress(done, total)
        return to_bytes(pictures)

    for rows in torch.arange(count).split(max(plan.chunk, 1)):
        here, other = wanted[rows], wanted[(rows + 1) % count]
        arms = {TRUTH: to_bytes(here.batch["image"]).to(device)}
        arms[NONE] = drawn(blind or draw, {}, keys[rows])
        for arm, (given, limit) in givens.items():
            inside = rows[: max(limit - int(rows[0]), 0)] if limit else rows
            if len(inside):
                values = {name: here.values[name][: len(inside)] for name in given}
                arms[arm] = drawn(draw, values, keys[inside])
        for rival in rivals:
            values = {name: here.values[name] for name in rival.given}
            arms[rival.arm] = drawn(rival.draw, values, keys[rows])
        twice = rows[: max(plan.again - int(rows[0]), 0)]
        for name in names if len(twice) else ():
            values = {name: here.values[name][: len(twice)]}
            again.setdefault(name, []).append(drawn(draw, values, fresh[twice]).cpu())
        scores = _scored(arms, scorers, here, other, names, judge, rivals)
        for key, score in scores.items():
            parts.setdefault(key, []).append(score.cpu())
        for arm, pictures in arms.items():
            kept.setdefault(arm, []).append(pictures.cpu())
    found.scores = {key: torch.cat(scores) for key, scores in parts.items()}
    found.pictures = {arm: torch.cat(pictures) for arm, pictures in kept.items()}
    found.again = {name: torch.cat(pictures) for name, pictures in again.items()}
    return found


def drawing_of(model: ComposerModel, recipe: SamplingRecipe, *, bfloat16: bool = False) -> Draw:
    """Draw pictures of a model's own side by a recipe.

    Args:
        model: On its device, in evaluation mode.
        recipe: How to sample.
        bfloat16: Run the network in bfloat16 (autocast).
    """
    side = model.config.resolution

    def draw(values: Mapping[str, Tensor], keys: Int[Tensor, " b"]) -> Tensor:
        device = next(model.parameters()).device
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            return sample(model, values, recipe, keys=keys, size=(side, side)).float()

    return draw


def pair_name(one: str, two: str) -> str:
    """The arm of two conditions; the order is that of the model."""
    return f"{one} + {two}"


def with_arm(other: str) -> str:
    """The arm of scores in which another condition was given as well."""
    return f"with {other}"


def floor_of(arm: str) -> str:
    """The arm of scores that hold a rival's pictures against the next picture's condition."""
    return f"{FLOOR} of {arm}"


def _givens(names: Sequence[str], pairs: int) -> dict[str, tuple[tuple[str, ...], int]]:
    """Arm -> conditions given, and how many pictures (0: all)."""
    givens: dict[str, tuple[tuple[str, ...], int]] = {name: ((name,), 0) for name in names}
    if pairs > 0:
        for i, one in enumerate(names):
            for two in names[i + 1 :]:
                givens[pair_name(one, two)] = ((one, two), pairs)
    if len(names) > 1:
        givens[ALL] = (tuple(names), 0)
    return givens


def _scored(
    arms: Mapping[str, Tensor],
    scorers: Sequence[Scorer],
    here: Wanted,
    other: Wanted,
    names: Sequence[str],
    judge: Judge | None,
    rivals: Sequence[Rival],
) -> dict[tuple[str, str, str], Tensor]:
    """(condition, scorer, arm) -> scores of one chunk."""
    shown = {arm: Shown(pictures, judge) for arm, pictures in arms.items()}
    found: dict[tuple[str, str, str], Tensor] = {}
    for scorer in scorers:
        name = scorer.condition
        wanted = {CEILING: (TRUTH, here), ALONE: (name, here), FLOOR: (name, other)}
        wanted |= {BLIND: (NONE, here), BLIND_FLOOR: (NONE, other), ALL: (ALL, here)}
        for two in names:
            order = (name, two) if list(names).index(name) < list(names).index(two) else (two, name)
            wanted[with_arm(two)] = (pair_name(*order), here)
        wanted |= {rival.arm: (rival.arm, here) for rival in rivals if name in rival.given}
        wanted |= {floor_of(rival.arm): (rival.arm, other) for rival in rivals if rival.alone(name)}
        for arm, (source, target) in wanted.items():
            if source in shown:
                pictures = shown[source]
                rows = torch.arange(len(pictures.pictures))
                whole = len(rows) == len(target)
                found[name, scorer.name, arm] = scorer.score(
                    pictures, target if whole else target[rows]
                )
    return found

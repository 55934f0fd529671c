"""The pictures that a probe draws again and again, and how pictures of one condition are scored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import lightning.pytorch as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.conditions.adherence import adherence
from composer_pl.errors import ComposerPLError
from composer_pl.models.sampling import sample_keys
from composer_pl.systems.diffusion import DiffusionSystem
from composer_pl.systems.drawing import draw_each
from composer_pl.systems.ema import averaged_weights
from composer_pl.systems.held_out import held_out_pictures
from composer_pl.systems.obedience import LEAST_PICTURES, mean_of

SHIFTS = 15
"""Other values that a picture is held against for its floor, at most: each costs an extraction."""


@dataclass(frozen=True, slots=True)
class Scores:
    """How well pictures fit values.

    Attributes:
        own: Of each picture the score against its own value.
        floor: The mean of its scores against values of others.
        gains: What its own value has beyond those, see `gains_of`; in the mean `own` less `floor`.
    """

    own: Float[Tensor, " n"]
    floor: Float[Tensor, " n"]
    gains: Float[Tensor, " n"]


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """Held-out pictures and what they should obey, all of which stays the same.

    Attributes:
        pictures: In [-1, 1] at the model's side.
        values: Value of every condition for each of them.
        rows: Of each condition that can be judged, the pictures that have it.
        ceilings: Scores of the true pictures, for the same conditions.
        reasons: Why every other condition cannot be judged.
    """

    pictures: Float[Tensor, "n 3 h w"]
    values: dict[str, Tensor] = field(default_factory=dict)
    rows: dict[str, Int[Tensor, " r"]] = field(default_factory=dict)
    ceilings: dict[str, Scores] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def make_probe_set(trainer: pl.Trainer, system: DiffusionSystem, count: int) -> ProbeSet:
    """Take the first held-out pictures, extract their values, and score the pictures themselves.

    Args:
        trainer: While it fits.
        system: Holds the conditions.
        count: How many pictures.
    """
    batch = held_out_pictures(trainer, count)
    if batch is None:
        reason = "there are no held-out pictures (data.val_fraction)"
        return ProbeSet(torch.zeros(0, 3, 1, 1), reasons=dict.fromkeys(system.model.names, reason))
    batch = system.transfer_batch_to_device(batch, system.device, 0)
    batch = trainer.precision_plugin.convert_input(batch)
    available = system.extraction.available(batch)
    with trainer.precision_plugin.forward_context():
        values = system.extract(batch, available)
    made = ProbeSet(batch["image"], values)
    for name, has in zip(system.model.names, available, strict=True):
        rows = has.nonzero()[:, 0]
        if len(rows) < LEAST_PICTURES:
            made.reasons[name] = (
                f"{len(rows)} of {len(has)} held-out pictures have it, {LEAST_PICTURES} are needed"
            )
            continue
        try:
            ceiling = scored(system, name, made.pictures[rows], values[name][rows])
        except ComposerPLError as error:  # a measure that its plugin does not have
            made.reasons[name] = str(error)
            continue
        gain = mean_of(ceiling.gains)
        if gain.low > 0:
            made.rows[name], made.ceilings[name] = rows, ceiling
        else:
            made.reasons[name] = (
                f"the true pictures fit their own values no better than those of others by its "
                f"measure (by {gain.value:.3f}, from {gain.low:.3f} to {gain.high:.3f})"
            )
    return made


def draw_alone(
    trainer: pl.Trainer, system: DiffusionSystem, held: ProbeSet, *, steps: int, seed: int
) -> dict[str, Float[Tensor, "r 3 h w"]]:
    """Draw the pictures of a set from each of its conditions alone, with the averaged weights.

    Args:
        trainer: Its precision and its average are used.
        system: Holds the model and its sampling recipe.
        held: What is drawn.
        steps: Network evaluations a picture, in place of the recipe's.
        seed: Of the noise; a picture starts from the same noise whatever the condition.
    """
    recipe = replace(system.sampling, steps=steps)
    keys = sample_keys(seed, len(held.pictures))
    size = (held.pictures.shape[-2], held.pictures.shape[-1])
    drawn = {}
    with _sampling(trainer, system):
        for name, rows in held.rows.items():
            values, keep = held.values[name][rows], system.model.keep((name,), len(rows))
            drawn[name] = draw_each(
                system.model, {name: values}, keep, recipe, keys=keys[rows], size=size
            )
    return drawn


def scored(
    system: DiffusionSystem, name: str, pictures: Float[Tensor, "n 3 h w"], values: Tensor
) -> Scores:
    """Score pictures by a condition's own measure, in float32.

    Args:
        system: Holds the measure and its extractor.
        name: The condition.
        pictures: At least two, in [-1, 1].
        values: Their own values. Every picture is also held against those of its next neighbours
            in a ring, so that every value counts equally often on both sides.
    """
    pictures = pictures.float()
    values = values.float() if values.is_floating_point() else values
    shifts = range(min(SHIFTS, len(pictures) - 1) + 1)
    ring = torch.stack(
        [
            adherence(system.extraction, name, pictures, values.roll(-shift, 0)).float().cpu()
            for shift in shifts
        ]
    )
    return Scores(ring[0], ring[1:].nanmean(0), gains_of(ring))


def gains_of(ring: Float[Tensor, "k n"]) -> Float[Tensor, " n"]:
    """How much better each picture fits its own value than chance, from scores in a ring.

    An empty sketch is easy to fit and a blank picture fits many, whatever the model knows. So what
    picture and value bring by themselves is taken out, as in a two-way analysis of variance: own
    score, less the mean of its row and of its column, plus the mean of all. The mean gain is the
    mean of the own scores less that of the others.

    Args:
        ring: Score of picture i against the value of picture i + k; row 0 holds the own scores.
    """
    by_value = torch.stack([row.roll(shift) for shift, row in enumerate(ring)])
    others = ring[1:]
    return ring[0] - others.nanmean(0) - by_value[1:].nanmean(0) + others.nanmean()


@contextmanager
def _sampling(trainer: pl.Trainer, system: DiffusionSystem) -> Iterator[None]:
    """The averaged weights in evaluation mode, in the training's precision."""
    model, training = system.model, system.model.training
    # Eager: other batch sizes must not recompile what training compiled.
    with averaged_weights(trainer, model), torch.compiler.set_stance("force_eager"):
        model.eval()
        try:
            with trainer.precision_plugin.forward_context():
                yield
        finally:
            model.train(training)

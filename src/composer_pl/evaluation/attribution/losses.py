"""The game of a model: its denoising loss on shared noisy pictures under any of its conditions.

Pictures, noise and timesteps are the same for every subset of conditions, so that differences are
those of the conditions alone. Each condition is encoded once a picture; a subset only sums and
masks what is encoded already, as the conditioner would.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from composer_pl.models.base import ComposerModel
from composer_pl.randomness import keyed_normal, keyed_uniform
from composer_pl.types import ConditionSignals


class EncodedConditions:
    """Signals of each condition of some pictures, to be fused for any subset.

    Args:
        model: On its device, in evaluation mode.
        values: One value a picture for each condition that takes part.
        batch: Most pictures that are encoded at once.
    """

    def __init__(self, model: ComposerModel, values: Mapping[str, Tensor], *, batch: int = 32):
        self.names = tuple(values)
        device = next(model.parameters()).device
        count = len(next(iter(values.values()))) if values else 0
        parts: dict[str, list[ConditionSignals]] = {name: [] for name in values}
        for rows in torch.arange(count).split(batch):
            for name, value in values.items():
                keep = model.keep([name], len(rows)).to(device)
                parts[name].append(model.encode({name: value[rows].to(device)}, keep))
        self._signals = {name: _joined(found) for name, found in parts.items()}

    def fused(self, rows: Int[Tensor, " k"], keep: Bool[Tensor, "n k"]) -> ConditionSignals:
        """Signals of pictures that keep some conditions; equal to those of the conditioner.

        Args:
            rows: Which pictures; a picture may come several times.
            keep: Rows in the order of `names`.
        """
        time: Tensor | None = None
        hint: Tensor | None = None
        contexts: list[Tensor] = []
        masks: list[Tensor] = []
        for name, kept in zip(self.names, keep, strict=True):
            signals = self._signals[name]
            kept = kept.to(rows.device)
            if signals.time is not None:
                own = torch.where(kept[:, None], signals.time[rows], 0)
                time = own if time is None else time + own
            if signals.hint is not None:
                own = torch.where(kept[:, None, None, None], signals.hint[rows], 0)
                hint = own if hint is None else hint + own
            if signals.context is not None and signals.context_mask is not None:
                mask = signals.context_mask[rows] & kept[:, None]
                masks.append(mask)
                contexts.append(torch.where(mask[:, :, None], signals.context[rows], 0))
        return ConditionSignals(
            time=time,
            context=torch.cat(contexts, 1) if contexts else None,
            context_mask=torch.cat(masks, 1) if masks else None,
            hint=hint,
        )


def band_timesteps(
    keys: Int[Tensor, " b"], *, bands: int, draws: int, num_timesteps: int
) -> Int[Tensor, "b bands draws"]:
    """Timesteps of each picture, drawn in equal bands of noise: band 0 has the least noise.

    Within a band the draws are stratified: each comes from its own part of the band.

    Args:
        keys: One key a picture.
        bands: How many bands.
        draws: Timesteps a band and picture.
        num_timesteps: Of the schedule.
    """
    shares = keyed_uniform(keys, "attribution timesteps", (bands, draws)).double()
    first = torch.arange(bands * draws, dtype=torch.float64).view(bands, draws)
    place = (first + shares) / (bands * draws) * num_timesteps
    return place.long().clamp(0, num_timesteps - 1)


@torch.no_grad()
def coalition_losses(
    model: ComposerModel,
    x_0: Float[Tensor, "b c h w"],
    encoded: EncodedConditions,
    keys: Int[Tensor, " b"],
    timesteps: Int[Tensor, "b draws"],
    coalitions: Sequence[Sequence[int]],
    *,
    max_batch: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[int, Float[Tensor, " draws"]]]:
    """The training loss of every picture, timestep and subset that is asked for.

    Rows of one picture lie together and every batch has the same size, so that equal inputs give
    equal bits: a model that ignores its conditions shows differences of exactly zero.

    Args:
        model: On its device, in evaluation mode.
        x_0: Pictures in [-1, 1].
        encoded: Their conditions.
        keys: One key a picture, from which its noise is drawn.
        timesteps: Of each picture.
        coalitions: For each picture, bit masks of `encoded.names`.
        max_batch: Rows that go through the network at once.
        progress: Called with (finished rows, all rows).

    Returns:
        For each picture, bit mask -> the loss at each of its timesteps, in float64.
    """
    device = next(model.parameters()).device
    draws = timesteps.shape[1]
    noise = keyed_normal(keys, "attribution noise", (draws, *x_0.shape[1:]))
    asked = [
        (row, draw, mask)
        for row, masks in enumerate(coalitions)
        for draw in range(draws)
        for mask in masks
    ]
    table = torch.tensor(asked, dtype=torch.int64).view(-1, 3)
    bits = torch.arange(len(encoded.names))
    found = torch.empty(len(table), dtype=torch.float64)
    size = max(min(max_batch, len(table)), 1)
    for chunk in torch.arange(len(table)).split(size):
        padded = torch.cat([chunk, chunk[-1:].expand(size - len(chunk))])
        row, draw, mask = table[padded].T
        t = timesteps[row, draw].to(device)
        clean, eps = x_0[row].to(device), noise[row, draw].to(device)
        keep = (mask[None] >> bits[:, None]) & 1 == 1
        x_t = model.process.q_sample(clean, t, eps)
        raw = model.predict(x_t, t, encoded.fused(row.to(device), keep))
        loss = model.process.loss(raw.float(), clean, x_t, t, eps)
        found[chunk] = loss[: len(chunk)].double().cpu()
        if progress is not None:
            progress(int(chunk[-1]) + 1, len(table))
    losses: list[dict[int, Tensor]] = []
    start = 0
    for masks in coalitions:
        end = start + draws * len(masks)
        own = found[start:end].view(draws, len(masks))
        losses.append({mask: own[:, place] for place, mask in enumerate(masks)})
        start = end
    return losses


def _joined(parts: Sequence[ConditionSignals]) -> ConditionSignals:
    def joined(name: str) -> Tensor | None:
        found = [getattr(part, name) for part in parts]
        return None if not found or found[0] is None else torch.cat(found)

    return ConditionSignals(
        time=joined("time"),
        context=joined("context"),
        context_mask=joined("context_mask"),
        hint=joined("hint"),
    )

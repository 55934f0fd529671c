"""The training loss, split by what conditioned a sample and by how noisy it was.

One number hides what a composable model is trained for: it may obey a sketch and ignore the
palette, or learn the clean end of the schedule only. Sums and counts stay on the device; reading
them, the only synchronisation, happens when they are logged.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

NOISE_BINS = 4


class LossSplit(nn.Module):
    """Running sums of per-sample losses since the last reading.

    Its keys, after `read`: `loss` (all samples); `loss_with/NAME` and `loss_without/NAME`;
    `loss_conditions/K` where K conditions were kept, of a model that has any; `loss_noise/A-B` for
    timesteps from share A to share B of the schedule, 0 being the clean end.

    Args:
        names: The conditions, in the order of the keep mask.
        num_timesteps: Length of the noise schedule.
    """

    sums: Tensor
    counts: Tensor

    def __init__(self, names: tuple[str, ...], num_timesteps: int):
        super().__init__()
        self.num_timesteps = num_timesteps
        edges = [f"{i / NOISE_BINS:.2f}-{(i + 1) / NOISE_BINS:.2f}" for i in range(NOISE_BINS)]
        self.keys = (
            ["loss"]
            + [f"loss_with/{name}" for name in names]
            + [f"loss_without/{name}" for name in names]
            + [f"loss_conditions/{k}" for k in range(len(names) + 1) if names]
            + [f"loss_noise/{edge}" for edge in edges]
        )
        # Not persistent: a checkpoint holds what training needs, and these are only reported.
        self.register_buffer("sums", torch.zeros(len(self.keys)), persistent=False)
        self.register_buffer("counts", torch.zeros(len(self.keys)), persistent=False)

    @torch.no_grad()
    def add(
        self, loss: Float[Tensor, " b"], keep: Bool[Tensor, "n b"], t: Int[Tensor, " b"]
    ) -> None:
        """Add one batch, without synchronising with the device."""
        n = keep.shape[0]
        loss = loss.detach().to(self.sums.dtype)
        kept = keep.to(loss)
        t = t.to(loss.device)
        numbers = torch.arange(n + 1 if n else 0, device=loss.device)
        by_number = numbers[:, None] == kept.sum(0)
        noise_bin = (t * NOISE_BINS // self.num_timesteps).clamp(max=NOISE_BINS - 1)
        by_noise = torch.arange(NOISE_BINS, device=loss.device)[:, None] == noise_bin
        member = torch.cat(
            [torch.ones_like(loss)[None], kept, 1 - kept, by_number.to(loss), by_noise.to(loss)]
        )
        self.sums += member @ loss
        self.counts += member.sum(1)

    def read(self, *, distributed: bool = False) -> dict[str, float]:
        """Return the means of what was seen since the last reading, and start afresh.

        Args:
            distributed: Sum over all processes first; all of them must then call.
        """
        both = torch.stack([self.sums, self.counts])
        self.sums.zero_()
        self.counts.zero_()
        if distributed:
            torch.distributed.all_reduce(both)
        totals, counts = both.tolist()
        return {
            key: total / count
            for key, total, count in zip(self.keys, totals, counts, strict=True)
            if count
        }

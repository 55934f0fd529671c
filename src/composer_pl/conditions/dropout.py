"""Which conditions each training sample keeps: the joint dropout of section 2.2 of the paper.

Composer drops every condition independently with probability 0.5 (intensity 0.7, because it carries
nearly the whole picture), drops all together with probability 0.1 and keeps all with 0.1.

The three rules differ in what "with probability" is taken to mean. For `drop_prob` 0.5 and 0.7:

- `sample` (default): each sample draws for itself; the two joint events exclude each other, and the
  free 80% drop each condition with its own probability: kept 0.50 and 0.34 of the time.
- `lab-batch`: the rule of the authors' published library: numbers of samples are drawn for the
  batch, and conditions are dropped only inside the free group: kept 0.40 and 0.20. It couples the
  samples of a batch, so results depend on the batch size.
- `uniform-size`: the number of kept conditions is uniform on 0..n, then the subset is uniform among
  those of that size: kept 0.50 whatever `drop_prob` says, and small and large subsets, rare under
  independent dropping, are as frequent as middling ones. The joint probabilities are not used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from composer_pl.errors import ConfigError
from composer_pl.randomness import derive_key, keyed_uniform


@dataclass(frozen=True, kw_only=True)
class DropoutPolicy:
    """The joint dropout rule of a run.

    Attributes:
        rule: `sample`, `lab-batch` or `uniform-size`; see the module.
        p_drop_all: Probability that a sample keeps no condition (paper: 0.1).
        p_keep_all: Probability that a sample keeps all conditions (paper: 0.1).
    """

    rule: Literal["sample", "lab-batch", "uniform-size"] = "sample"
    p_drop_all: float = 0.1
    p_keep_all: float = 0.1

    def __post_init__(self) -> None:
        """Refuse probabilities that cannot be.

        Raises:
            ConfigError: One is negative, or the two exceed 1 together.
        """
        least, total = min(self.p_drop_all, self.p_keep_all), self.p_drop_all + self.p_keep_all
        if not (least >= 0 and total <= 1):  # also where one is no number
            raise ConfigError(
                f"Setting the condition dropout: p_drop_all and p_keep_all must be at least 0 and "
                f"at most 1 together, found {self.p_drop_all} and {self.p_keep_all}. "
                f"Next: correct model.dropout."
            )


def sample_keep_mask(
    policy: DropoutPolicy,
    drop_probs: Sequence[float],
    keys: Int[Tensor, " b"],
    *,
    available: Bool[Tensor, "n b"] | None = None,
) -> Bool[Tensor, "n b"]:
    """Draw which of `n` conditions each of `b` samples keeps.

    Args:
        policy: The joint rule.
        drop_probs: Each condition's own probability of being dropped, in the model's order.
        keys: One key a sample; the mask is a pure function of them.
        available: False where a sample has no value (no caption); never kept there.

    Returns:
        True where a condition is kept, on the CPU.
    """
    rules = {"sample": _per_sample, "lab-batch": _lab_batch, "uniform-size": _uniform_size}
    probs = torch.tensor(list(drop_probs), dtype=torch.float32)
    keep = rules[policy.rule](policy, probs, keys.cpu())
    return keep if available is None else keep & available.cpu()


def expected_keep_rates(policy: DropoutPolicy, drop_probs: Sequence[float]) -> list[float]:
    """The share of samples that keep each condition, in expectation over large batches."""
    free = 1 - policy.p_drop_all - policy.p_keep_all
    match policy.rule:
        case "sample":
            return [policy.p_keep_all + free * (1 - p) for p in drop_probs]
        case "lab-batch":  # a share p of the whole batch is taken, all of it from the free group
            return [policy.p_keep_all + max(free - p, 0.0) for p in drop_probs]
        case "uniform-size":
            return [0.5 for _ in drop_probs]


def _per_sample(
    policy: DropoutPolicy, probs: Tensor, keys: Int[Tensor, " b"]
) -> Bool[Tensor, "n b"]:
    draws = keyed_uniform(keys, "condition-dropout", (len(probs) + 1,))
    event, own = draws[:, :1], draws[:, 1:]
    keep = own >= probs
    keep = torch.where(event < policy.p_drop_all, False, keep)
    return torch.where(event >= 1 - policy.p_keep_all, True, keep).T


def _lab_batch(
    policy: DropoutPolicy, probs: Tensor, keys: Int[Tensor, " b"]
) -> Bool[Tensor, "n b"]:
    size = len(keys)
    generator = torch.Generator().manual_seed(derive_key("lab-batch", *keys.tolist()))

    def binomial(probability: float) -> int:
        return int((torch.rand(size, generator=generator) < probability).sum())

    n_drop = binomial(policy.p_drop_all)
    n_keep = min(binomial(policy.p_keep_all), size - n_drop)
    order = torch.randperm(size, generator=generator)
    free = order[n_drop + n_keep :]
    keep = torch.ones(len(probs), size, dtype=torch.bool)
    keep[:, order[:n_drop]] = False
    for row, probability in zip(keep, probs.tolist(), strict=True):
        count = min(binomial(probability), len(free))
        row[free[torch.randperm(len(free), generator=generator)[:count]]] = False
    return keep


def _uniform_size(
    policy: DropoutPolicy, probs: Tensor, keys: Int[Tensor, " b"]
) -> Bool[Tensor, "n b"]:
    n = len(probs)
    draws = keyed_uniform(keys, "condition-dropout", (n + 1,))
    size = (draws[:, 0] * (n + 1)).long()  # uniform on 0..n
    rank = draws[:, 1:].argsort(1).argsort(1)
    return (rank < size[:, None]).T

"""Randomness as a pure function of keys, never of a hidden global state.

Every draw of the project (order, crop, drop mask, noise, timestep, random extraction) comes from a
generator that is seeded from a key. A sample's key is a function of (seed, epoch, index), so losses
do not depend on the batch size, the number of workers or processes, or on where a run was
interrupted. Generators run on the CPU; moving 12,288 numbers a sample costs less than a thousandth
of a training step and keeps CPU and GPU runs on the same noise.
"""

import hashlib
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

_KEY_BITS = 63  # torch generators take 64-bit seeds; one bit less fits a signed int64 tensor


def derive_key(*parts: int | str) -> int:
    """Hash integers and strings into one 63-bit key.

    Args:
        *parts: What the key depends on, in order, for instance `(seed, epoch, index, "noise")`.

    Returns:
        A non-negative integer below 2**63, the same on every machine.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> (64 - _KEY_BITS)


def keyed_generator(*parts: int | str) -> torch.Generator:
    """Return a CPU generator seeded by `derive_key(*parts)`."""
    return torch.Generator().manual_seed(derive_key(*parts))


def keyed_draws(
    keys: Int[Tensor, " b"], purpose: str, draw: Callable[[torch.Generator], Tensor]
) -> Tensor:
    """Draw once for each sample from its own generator and stack the results.

    Args:
        keys: One key a sample.
        purpose: What is drawn; different purposes give independent draws.
        draw: Called with each sample's generator; must return tensors of one shape.

    Returns:
        The draws stacked along a new first axis, on the CPU.
    """
    return torch.stack([draw(keyed_generator(int(key), purpose)) for key in keys])


def keyed_normal(
    keys: Int[Tensor, " b"], purpose: str, shape: tuple[int, ...]
) -> Float[Tensor, "b ..."]:
    """Draw standard normal noise of `shape` for each sample from its own generator."""
    return keyed_draws(keys, purpose, lambda generator: torch.randn(shape, generator=generator))


def keyed_uniform(
    keys: Int[Tensor, " b"], purpose: str, shape: tuple[int, ...] = ()
) -> Float[Tensor, "b ..."]:
    """Draw uniform numbers in [0, 1) of `shape` for each sample from its own generator."""
    return keyed_draws(keys, purpose, lambda generator: torch.rand(shape, generator=generator))

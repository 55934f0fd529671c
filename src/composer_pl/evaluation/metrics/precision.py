"""Full precision of float32 on a GPU, for networks whose numbers are compared."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Convolutions inside are without TF32, which would move features by a thousandth.

    All else stays: `torch.backends.cudnn.flags` would turn cuDNN off unless told otherwise.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before

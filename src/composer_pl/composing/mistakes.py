"""Refusals of the inference side: unknown conditions, devices not there, answers of NaN."""

from collections.abc import Iterable
from difflib import get_close_matches

import torch
from torch import Tensor

from composer_pl.errors import UnknownConditionError, UserInputError


class UnknownToModelError(UnknownConditionError):
    """A condition was named that the model was not trained with, installed or not."""

    def __init__(self, name: str, known: Iterable[str], *, doing: str):
        names = list(known)
        # Closer than `errors.nearest` asks for: a name may be a right one of another model.
        close = get_close_matches(name, names, n=1, cutoff=0.6)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        Exception.__init__(
            self,
            f"{doing}: expected conditions of this model ({', '.join(names) or 'none'}), found "
            f"{name!r}{hint} Next: correct the name, or use a model that was trained with it.",
        )


def usable_device(device: str | torch.device) -> torch.device:
    """Return a device that tensors can be put on and read from.

    Raises:
        UserInputError: There is no such device on this machine.
    """
    try:
        found = torch.device(device)
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise UserInputError(
            f"Choosing the device: expected cpu, cuda or cuda:N as far as this machine has them, "
            f"found {str(device)!r} ({reason[:120]}). Next: give another device, such as cpu."
        ) from error
    return found


def check_finite(pictures: Tensor, doing: str) -> None:
    """Refuse what a network answered if it is NaN or infinite.

    Raises:
        UserInputError: It is.
    """
    if not bool(pictures.isfinite().all()):
        raise UserInputError(
            f"{doing}: expected finite numbers of the model, found NaN or Inf. "
            "Next: use another checkpoint, as its weights are damaged, or less guidance."
        )

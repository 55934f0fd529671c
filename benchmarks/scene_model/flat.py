"""Parameters as views of one tensor, so that what is done to all of them is one kernel."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

_ALIGNED = 64  # elements; kernels read sixteen bytes at once


class Flat:
    """Moves parameters into one tensor; the modules that own them go on as before.

    Args:
        parameters: Of one dtype and device.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]):
        self.parameters = list(parameters)
        first = self.parameters[0]
        self.places: list[tuple[int, int]] = []
        end = 0
        for parameter in self.parameters:
            self.places.append((end, parameter.numel()))
            end += -(-parameter.numel() // _ALIGNED) * _ALIGNED
        self.values: Float[Tensor, " n"] = torch.zeros(end, dtype=first.dtype, device=first.device)
        self.gradients: Float[Tensor, " n"] = torch.zeros(end, device=first.device)
        with torch.no_grad():
            for parameter, view in zip(self.parameters, self.split(self.values), strict=True):
                view.copy_(parameter)
                parameter.data = view

    def split(self, flat: Float[Tensor, " n"]) -> list[Tensor]:
        """The parts of a tensor like `values` that belong to the parameters, in their shapes."""
        return [
            flat[first : first + count].view(parameter.shape)
            for parameter, (first, count) in zip(self.parameters, self.places, strict=True)
        ]

    @torch.no_grad()
    def gather(self, into: Float[Tensor, " n"]) -> None:
        """Copy the parameters' gradients into a tensor like `gradients`, and forget them."""
        found = [(v, p.grad) for v, p in zip(self.split(into), self.parameters, strict=True)]
        for view in (view for view, grad in found if grad is None):
            view.zero_()
        there = [(view, grad) for view, grad in found if grad is not None]
        torch._foreach_copy_([view for view, _ in there], [grad for _, grad in there])
        for parameter in self.parameters:
            parameter.grad = None

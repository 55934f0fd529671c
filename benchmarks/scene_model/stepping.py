"""One step of a training, with everything it reads and writes at fixed places of memory.

On a GPU such a step can be captured as a CUDA graph and replayed: the host then launches one thing
a step where it launched two thousand, which took the lent machines as long as the GPU needed to run
them. Random numbers and the choice of scenes stay outside, in the order of a step that is not
captured, so that both forms train on the same samples, and a training may change its rule halfway.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from flat import Flat
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity

_WARM_UP = 3
"""Steps before a capture: compilers, plans of convolutions and the optimiser's state."""

_LOSS_APART, _COSINE = 0.02, 0.98
"""Bounds within which a replayed step must be the plain one; bfloat16 sums in any order."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a step is given.

    Attributes:
        x_0: Targets in [-1, 1].
        t: Timesteps.
        eps: Standard normal noise.
        keep: Which samples keep which conditions.
        values: Of all conditions.
    """

    x_0: Float[Tensor, "b c h w"]
    t: Int[Tensor, " b"]
    eps: Float[Tensor, "b c h w"]
    keep: Bool[Tensor, "n b"]
    values: Mapping[str, Tensor]

    def tensors(self) -> list[Tensor]:
        """All of them, in one order."""
        return [self.x_0, self.t, self.eps, self.keep, *self.values.values()]

    def held(self) -> "Inputs":
        """A copy, whose places stay."""
        values = {name: value.clone() for name, value in self.values.items()}
        x_0, t, eps, keep = (tensor.clone() for tensor in self.tensors()[:4])
        return Inputs(x_0=x_0, t=t, eps=eps, keep=keep, values=values)

    def take(self, other: "Inputs") -> None:
        """Copy what another holds to the places of this one."""
        for own, given in zip(self.tensors(), other.tensors(), strict=True):
            own.copy_(given)


class Step:
    """Forward, backward, clipping to norm 1, AdamW and the average of the weights.

    Args:
        loss: The mean loss of inputs under the weights in `copies`.
        copies: What the network computes with; in half precision on a GPU.
        master: What is trained, in float32; `copies` itself where that is float32.
    """

    def __init__(self, loss: Callable[[Inputs], Tensor], copies: Flat, master: Flat):
        self.loss, self.copies, self.master = loss, copies, master
        self.weights = master.values.requires_grad_(True)
        self.weights.grad = master.gradients
        self.average = self.weights.detach().clone()
        self.on_gpu = self.weights.is_cuda
        # A graph reads its numbers from the device; a CPU computes with them in double precision.
        self._rate, self._share = (torch.zeros((), device=self.weights.device) for _ in range(2))
        self._share_cpu = 0.0
        self.optimizer = torch.optim.AdamW(
            [self.weights],
            lr=self._rate if self.on_gpu else 1.0,
            weight_decay=0.0,
            fused=self.on_gpu,
            capturable=self.on_gpu,
        )
        self._held: Inputs | None = None
        self._replay: Callable[[], Tensor] | None = None

    def __call__(self, inputs: Inputs, rate: float, share: float) -> Tensor:
        """Make a step.

        Args:
            inputs: Of the shapes that were captured, if the step is.
            rate: Learning rate.
            share: What of the new weights enters the average.

        Returns:
            The mean loss before the step.
        """
        self._tell(rate, share)
        if self._replay is None or self._held is None:
            return self._make(inputs)
        self._held.take(inputs)
        return self._replay().clone()

    def restart(self) -> None:
        """Forget moments and average: the next step is the first one from the present weights."""
        with torch.no_grad():
            self.average.copy_(self.weights)
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def capture(
        self, inputs: Inputs, captured: Callable[[Callable[[], Tensor]], Callable[[], Tensor]]
    ) -> None:
        """Capture the step; weights and average are afterwards as before.

        Args:
            inputs: Any of the right shapes.
            captured: Captures a function and answers what replays it: `cuda_graph`.

        Raises:
            RuntimeError: It cannot be captured, or a replay does something else than the step.
        """
        before = self.weights.detach().clone()
        held = inputs.held()
        self._tell(1e-4, 0.1)
        try:
            for _ in range(_WARM_UP):
                self._make(held)
            start = self.weights.detach().clone()
            replay = captured(lambda: self._make(held))
            _check_alike(self._tried(lambda: self._make(held), start), self._tried(replay, start))
        finally:
            self._put(before)
        self._held, self._replay = held, replay

    def _tell(self, rate: float, share: float) -> None:
        if self.on_gpu:
            self._rate.fill_(rate)
            self._share.fill_(share)
        else:
            self._share_cpu = share
            for group in self.optimizer.param_groups:
                group["lr"] = rate

    def _make(self, inputs: Inputs) -> Tensor:
        loss = self.loss(inputs)
        loss.backward()
        gradient = self.master.gradients
        self.copies.gather(gradient)
        with torch.no_grad():
            gradient.mul_((1 / (gradient.norm() + 1e-6)).clamp(max=1))
            self.optimizer.step()
            if self.copies is not self.master:
                self.copies.values.copy_(self.weights)
            self.average.lerp_(self.weights, self._share if self.on_gpu else self._share_cpu)
        return loss.detach()

    def _put(self, weights: Tensor) -> None:
        for parameter in self.copies.parameters:
            parameter.grad = None  # a capture that failed halfway leaves some
        with torch.no_grad():
            self.weights.copy_(weights)
            if self.copies is not self.master:
                self.copies.values.copy_(weights)
        self.restart()

    def _tried(self, make: Callable[[], Tensor], start: Tensor) -> tuple[float, Tensor, float]:
        """Loss, gradient and length of a first step from given weights."""
        self._put(start)
        self.master.gradients.zero_()
        loss = float(make())
        moved = float((self.weights.detach() - start).norm())
        return loss, self.master.gradients.clone(), moved


def cuda_graph(make: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Capture a function on the current stream, which is not the default one.

    What ran before on that same stream is what autograd may remember of it: a stream that is not
    being captured would break the capture.

    Returns:
        A function that replays it and answers the tensor, always the same one.
    """
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        answer = make()

    def replay() -> Tensor:
        graph.replay()
        return answer

    return replay


def _check_alike(plain: tuple[float, Tensor, float], replayed: tuple[float, Tensor, float]) -> None:
    apart = abs(replayed[0] - plain[0]) / max(abs(plain[0]), 1e-12)
    cosine = float(cosine_similarity(plain[1], replayed[1], dim=0))
    longer = abs(replayed[2] - plain[2]) / max(plain[2], 1e-12)
    # Written so that a loss that is no number fails.
    if not (apart <= _LOSS_APART and cosine >= _COSINE and longer <= _LOSS_APART):
        raise RuntimeError(
            f"a replayed step is another one: loss {replayed[0]:.5f} for {plain[0]:.5f}, cosine of "
            f"the gradients {cosine:.4f}, length of the step {replayed[2]:.3g} for {plain[2]:.3g}"
        )

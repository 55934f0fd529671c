"""Train the base model from device memory: the loop of `composer-pl fit` without a data loader.

Model, process and loss are the project's own; only the shell differs. The learning rate warms up,
stays, and falls to zero over the last part, of the steps or of the seconds that were granted,
whichever ends first; so a lease that runs slower than planned still ends with a finished model.

On a GPU launching the kernels of this small model takes as long as running them on 512 pictures
(H100: batches of 256 and of 512 took 103 ms alike, the kernels of the larger 96 ms). So the network
may be compiled, once for all trainings of a process, the whole step may be a CUDA graph
(`stepping.py`), and optimiser, average and clipping work on one flat tensor.
"""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from bank import Bank
from building import build_model
from flat import Flat
from focus import draw_focused, draw_keep, draw_timesteps
from pace import Way
from settings import KeepFilter, Kept, Settings, Trained
from stepping import Inputs, Step, cuda_graph
from torch import Tensor

from composer_pl.plugin.api import ConditionPlugin


class BaseTrainer:
    """A model, its forward pass, and trainings of it one after the other.

    Args:
        config: The `model` section of a configuration.
        plugins: Its conditions.
        device: Where to train; on a GPU in bfloat16, norms too, with the weights in float32.
        compiled: Compile the network; about 100 seconds on the lent machines, at the first step.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        plugins: Mapping[str, ConditionPlugin],
        device: torch.device,
        *,
        compiled: bool = False,
    ):
        self.config, self.device = config, device
        self.half = device.type == "cuda"
        torch.manual_seed(0)
        self.model = build_model(config, plugins).to(device).train()
        self.worker = copy.deepcopy(self.model).bfloat16() if self.half else self.model
        self.copies = Flat(self.worker.parameters())
        self.master = Flat(self.model.parameters()) if self.half else self.copies
        self.stream = torch.cuda.Stream(device) if self.half else None
        self.compiled = torch.compile(self._forward, dynamic=False) if compiled else None
        self.forward = self.compiled or self._forward
        self.probs = torch.tensor([p.drop_prob for p in plugins.values()], device=device)
        self._captured: tuple[int, Step] | None = None

    def _forward(
        self, x_t: Tensor, t: Tensor, values: Mapping[str, Tensor], keep: Tensor
    ) -> Tensor:
        return self.worker.predict(x_t, t, self.worker.encode(values, keep))

    def start(self, seed: int, weights: Mapping[str, Tensor] | None = None) -> None:
        """Give the model the fresh weights of a seed, or given ones."""
        if weights is None:
            torch.manual_seed(seed)
            weights = build_model(self.config, self.model.plugins).state_dict()
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                value.copy_(weights[name])
            self.copies.values.copy_(self.master.values)

    def use(self, way: Way, bank: Bank) -> None:
        """Make the steps of later trainings that way.

        Raises:
            RuntimeError: The step cannot be captured. Other trainings can go on without.
        """
        self._captured = None
        if self.half:
            torch.cuda.empty_cache()  # of the graph before
        if way.compiled and self.compiled is None:
            raise RuntimeError("the trainer was made without a compiled network")
        self.forward = self.compiled if way.compiled and self.compiled else self._forward
        if way.graphed:
            with self._queue():
                step = Step(self.loss, self.copies, self.master)
                generator = torch.Generator(self.device).manual_seed(0)
                settings = Settings(steps=1, batch=way.batch)
                step.capture(self.draw(bank, settings, False, generator, None), cuda_graph)
            self._captured = way.batch, step

    def clock(self, way: Way, bank: Bank, *, steps: int = 20) -> float:
        """Pictures a second of a way, over some steps after the first. Changes the weights."""
        self.use(way, bank)
        settings = Settings(steps=steps + 1, batch=way.batch)
        found = self.train(bank, settings, log=lambda text: None)
        return steps * way.batch / max(found.seconds, 1e-9)

    @contextmanager
    def _queue(self) -> Iterator[None]:
        """Everything on one stream of our own: `cuda_graph` says why."""
        if self.stream is None:
            yield
            return
        outer = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(outer)
        with torch.cuda.stream(self.stream):
            yield
        outer.wait_stream(self.stream)

    def draw(
        self, bank: Bank, s: Settings, focused: bool, generator: torch.Generator, keep_filter: Any
    ) -> Inputs:
        """The samples of one step."""
        among = None if focused or s.early_steps == 0 else s.early_rows
        x_0, values = bank.draw(s.batch, generator, among=among)
        keep = draw_keep(self.probs, s.batch, generator, s.p_drop_all, s.p_keep_all)
        timesteps = self.model.process_config.num_timesteps
        if focused:
            keep = draw_focused(keep, self.model.names, generator, s.focus)
        t = draw_timesteps(s.batch, timesteps, generator, s.noisy if focused else (0.0, 0.0))
        if keep_filter is not None:
            keep = keep_filter(keep, self.model.names, generator)
        eps = torch.randn(x_0.shape, generator=generator, device=self.device)
        if self.half:
            values = {name: value.bfloat16() for name, value in values.items()}
        return Inputs(x_0=x_0, t=t, eps=eps, keep=keep, values=values)

    def loss(self, inputs: Inputs) -> Tensor:
        """The mean loss of some samples."""
        x_0, t, eps, process = inputs.x_0, inputs.t, inputs.eps, self.model.process
        x_t = process.q_sample(x_0, t, eps)
        raw = self.forward(x_t, t, inputs.values, inputs.keep)
        return process.loss(raw.float(), x_0, x_t, t, eps).mean()

    def train(
        self,
        bank: Bank,
        settings: Settings,
        *,
        keep_filter: KeepFilter | None = None,
        until: Callable[[float], float] | None = None,
        kept: Kept | None = None,
        log: Callable[[str], None] = print,
    ) -> Trained:
        """Train from the weights that the model has.

        Args:
            bank: What to train on, on the device.
            settings: Of the training.
            keep_filter: Changes the keep masks; for experiments.
            until: Told the seconds that the early steps took, answers the seconds of the whole;
                None keeps to `settings.seconds`.
            kept: Told weights on the way: "early", "even" and "latest".
            log: Told the loss every five seconds.

        Raises:
            RuntimeError: The loss is no number.
        """
        with self._queue():
            return self._train(bank, settings, keep_filter, until, kept, log)

    def _train(
        self,
        bank: Bank,
        settings: Settings,
        keep_filter: KeepFilter | None,
        until: Callable[[float], float] | None,
        kept: Kept | None,
        log: Callable[[str], None],
    ) -> Trained:
        s, seconds = settings, settings.seconds
        generator = torch.Generator(self.device).manual_seed(s.seed)
        if self._captured is not None and self._captured[0] == s.batch:
            make = self._captured[1]
        else:
            make = Step(self.loss, self.copies, self.master)
        make.restart()
        losses: list[Tensor] = []
        curve: list[tuple[int, Tensor]] = []
        early: dict[str, Tensor] = {}
        early_steps = 0
        focused = bool(s.focus) and s.early_steps == 0 and s.early_share >= 1

        def keep(title: str) -> dict[str, Tensor]:
            weights = self._halves(make.average)  # waits for the device
            if kept is not None:
                kept(title, step, weights)
            return weights

        began = told = last = time.monotonic()
        step = 0
        while True:
            progress = max(step / s.steps, (time.monotonic() - began) / seconds)
            if progress >= 1:
                break
            if s.early_share < 1 and not early and step and progress >= s.early_share:
                early, early_steps, focused = keep("early"), step, bool(s.focus)
            falls = (1 - progress) / s.decay if s.decay else 1.0
            rate = s.lr * min(1.0, (step + 1) / s.warmup, falls)
            inputs = self.draw(bank, s, focused, generator, keep_filter)
            losses.append(make(inputs, rate, 1 - min(s.ema, (step + 1) / (step + 10))))
            step += 1
            if step == 1:  # what a first step costs is not training
                first = float(losses[-1])
                log(f"base step 1: loss {first:.4f} after {time.monotonic() - began:.1f} s")
                began = told = last = time.monotonic()
            if step == s.even_steps:
                keep("even")
            if step == s.early_steps:
                early, early_steps, focused = keep("early"), step, bool(s.focus)
                if until is not None:
                    seconds = until(time.monotonic() - began)
            if step % 50 == 0 or step == s.steps:
                recent = torch.stack(losses).mean()
                losses.clear()
                curve.append((step, recent))
                now = time.monotonic()
                if now - told > 5:
                    told, loss = now, float(recent)
                    pace = step * s.batch / (now - began)
                    log(
                        f"base step {step}: loss {loss:.4f}, {pace:.0f} pictures/s, "
                        f"{now - began:.0f} s"
                    )
                    if not loss < float("inf"):
                        raise RuntimeError(f"the loss of step {step} is {loss}")
                if now - last > s.keep_seconds:
                    last = now
                    keep("latest")
        if self.half:
            torch.cuda.synchronize()
        took = time.monotonic() - began
        make.weights.requires_grad_(False)
        return Trained(
            weights=self._halves(make.average),
            curve=[(at, float(value)) for at, value in curve],
            steps=step,
            seconds=took,
            early=early,
            early_steps=early_steps,
        )

    def _halves(self, average: Tensor) -> dict[str, Tensor]:
        """Weights in half precision on the CPU, with the averages of parameters."""
        found = {name: value.detach() for name, value in self.model.state_dict().items()}
        names = [name for name, _ in self.model.named_parameters()]
        found |= dict(zip(names, self.master.split(average), strict=True))
        return {
            name: (value.half() if value.is_floating_point() else value).cpu()
            for name, value in found.items()
        }

"""Trains a base model: conditions, dropout and the diffusion loss of one batch."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.optim import AdamW

from composer_pl.backbones.unet import UNetConfig
from composer_pl.conditions.dropout import DropoutPolicy, sample_keep_mask
from composer_pl.conditions.extraction import Extraction
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.plugin.api import ConditionPlugin
from composer_pl.randomness import keyed_normal, keyed_uniform
from composer_pl.systems.drawing import draw_each
from composer_pl.systems.learning_rate import LearningRate
from composer_pl.systems.metrics import LossSplit
from composer_pl.systems.system import OptimizerFactory, System
from composer_pl.types import Batch


class DiffusionSystem(System):
    """Trains the 64 px model.

    Args:
        conditions: The condition plugins by name; the name is yours to choose.
        backbone: Size of the U-Net.
        process: Noise schedule, prediction target, variance and loss weighting.
        dropout: Which conditions a training sample keeps.
        optimizer: Made from the parameters; by default AdamW as unCLIP's decoder was trained.
        learning_rate: Warm-up and decay of the optimiser's `lr`.
        sampling: How previews and `predict` draw pictures.
        compile: Compile the backbone with torch.compile; minutes once, then faster steps on a GPU.
        cache_dir: Keep extracted values of conditions that draw nothing at random in this folder.
        seed: Seed of the network's own dropout; set by `seed_everything`.
    """

    def __init__(
        self,
        conditions: dict[str, ConditionPlugin],
        backbone: UNetConfig = UNetConfig(),  # noqa: B008
        process: ProcessConfig = ProcessConfig(),  # noqa: B008
        dropout: DropoutPolicy = DropoutPolicy(),  # noqa: B008
        optimizer: OptimizerFactory = lambda p: AdamW(p, lr=1.2e-4, weight_decay=0.0, fused=True),
        learning_rate: LearningRate = LearningRate(),  # noqa: B008
        sampling: SamplingRecipe = SamplingRecipe(),  # noqa: B008
        compile: bool = False,
        cache_dir: str | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self.model = ComposerModel(backbone, process, conditions)
        self.policy = dropout
        self.sampling = sampling
        self.prepare(
            names=self.model.names,
            num_timesteps=self.model.process.schedule.num_timesteps,
            optimizer=optimizer,
            learning_rate=learning_rate,
            seed=seed,
            compiled=self.model.backbone if compile else None,
        )
        described = self.description["conditions"]
        self.extraction = Extraction(
            conditions,
            value_size=self.model.value_size(backbone.resolution, backbone.resolution),
            cache_dir=cache_dir,
            versions={name: str(facts["version"]) for name, facts in described.items()},
        )

    @property
    def about(self) -> str:
        """The conditions."""
        return f"conditions {', '.join(self.model.names)}"

    def draw(
        self, batch: Batch
    ) -> tuple[Bool[Tensor, "n b"], Int[Tensor, " b"], Float[Tensor, "b 3 h w"]]:
        """Keep mask, timesteps and noise of a batch: a pure function of its keys, on the CPU."""
        keys = batch["key"].cpu()
        keep = sample_keep_mask(
            self.policy,
            [plugin.drop_prob for plugin in self.model.plugins.values()],
            keys,
            available=self.extraction.available(batch),
        )
        steps = self.model.process.schedule.num_timesteps
        t = (keyed_uniform(keys, "timestep") * steps).long().clamp(max=steps - 1)
        eps = keyed_normal(keys, "eps", tuple(batch["image"].shape[1:]))
        return keep, t, eps

    def extract(self, batch: Batch, keep: Bool[Tensor, "n b"]) -> dict[str, Tensor]:
        """Values of the kept conditions, in the precision of the network.

        Extractors see and yield float32 also where the network trains in double precision, for
        which Lightning converts the batch and torch's default.
        """
        exact = batch["source"].dtype == torch.float64
        if not exact:
            return self.extraction.extract(batch, keep)
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            single: Batch = {**batch, "source": batch["source"].float()}
            values = self.extraction.extract(single, keep)
        finally:
            torch.set_default_dtype(before)
        return {n: v.double() if v.is_floating_point() else v for n, v in values.items()}

    def losses(self, batch: Batch, split: LossSplit) -> Float[Tensor, " b"]:
        """The loss of each sample, entered into `split`."""
        keep, t, eps = self.draw(batch)
        values = self.extract(batch, keep)
        x_0 = batch["image"]
        keep, t, eps = (drawn.to(x_0.device, non_blocking=True) for drawn in (keep, t, eps))
        loss = self.model.loss(x_0, values, keep, t, eps)
        split.add(loss, keep, t)
        return loss

    def predict_step(self, batch: Batch, batch_idx: int) -> Float[Tensor, "b 3 h w"]:
        """One picture in [-1, 1] for each sample, from all of the conditions that it has."""
        available = self.extraction.available(batch)
        values = self.extract(batch, available)
        size = (batch["image"].shape[-2], batch["image"].shape[-1])
        return draw_each(self.model, values, available, self.sampling, keys=batch["key"], size=size)

"""Trains a prior: captions, the embeddings of their pictures, and the diffusion loss of a batch."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.optim import AdamW, Optimizer

from composer_pl.backbones.prior_transformer import PriorConfig
from composer_pl.conditions.extraction import Extraction
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import ConfigError, UserInputError
from composer_pl.models.prior import PriorModel
from composer_pl.plugin.api import ConditionPlugin
from composer_pl.randomness import keyed_normal, keyed_uniform
from composer_pl.systems.learning_rate import LearningRate
from composer_pl.systems.metrics import LossSplit
from composer_pl.systems.system import OptimizerFactory, System
from composer_pl.types import Batch


class PriorSystem(System):
    """Trains a prior; norms, biases and positions are spared the weight decay.

    Args:
        conditions: Two condition plugins by name, of one CLIP.
        text: Name of the one that is given.
        image: Name of the one that is predicted.
        backbone: Size of the transformer.
        process: Noise schedule and prediction target; by default the paper's.
        drop_text: Probability of dropping the caption (unCLIP: 0.1); the `drop_prob` of the
            conditions, which is for the base model, is not read.
        draws: Timesteps and noises a caption and step. More than 1 makes a step less noisy for
            little more work, as words are read once for all; the timesteps are spread evenly.
        optimizer: Made from the parameters; by default AdamW as unCLIP's prior was trained.
        learning_rate: Warm-up and decay of the optimiser's `lr`.
        cache_dir: Keep extracted image embeddings in this folder.
        seed: Seed of the network's own dropout; set by `seed_everything`.
    """

    def __init__(
        self,
        conditions: dict[str, ConditionPlugin],
        text: str = "caption",
        image: str = "semantics",
        backbone: PriorConfig = PriorConfig(),  # noqa: B008
        process: ProcessConfig = ProcessConfig(prediction="x_0"),  # noqa: B008
        drop_text: float = 0.1,
        draws: int = 1,
        optimizer: OptimizerFactory = lambda p: AdamW(
            p, lr=1.1e-4, betas=(0.9, 0.96), eps=1e-6, weight_decay=0.06, fused=True
        ),
        learning_rate: LearningRate = LearningRate(),  # noqa: B008
        cache_dir: str | None = None,
        seed: int = 0,
    ):
        super().__init__()
        if not 0 <= drop_text <= 1 or draws < 1:
            raise ConfigError(
                f"Setting up the prior: expected drop_text from 0 to 1 and at least one draw, "
                f"found {drop_text} and {draws}. Next: correct model.drop_text or model.draws."
            )
        self.model = PriorModel(backbone, process, conditions, text=text, image=image)
        self.drop_text = drop_text
        self.draws = draws
        self.prepare(
            names=self.model.names,
            num_timesteps=self.model.process.schedule.num_timesteps,
            optimizer=optimizer,
            learning_rate=learning_rate,
            seed=seed,
        )
        described = self.description["conditions"]
        self.extraction = Extraction(
            conditions,
            value_size=(1, 1),  # of local values, of which there are none
            cache_dir=cache_dir,
            versions={name: str(facts["version"]) for name, facts in described.items()},
        )

    @property
    def about(self) -> str:
        """What is predicted from what."""
        return f"a prior from {self.model.text} to {self.model.image} ({self.model.width} numbers)"

    def draw(
        self, batch: Batch
    ) -> tuple[Bool[Tensor, "1 b"], Int[Tensor, " m"], Float[Tensor, "m d"]]:
        """Keep mask, timesteps and noise of a batch: a pure function of its keys, on the CPU."""
        keys, count = batch["key"].cpu(), len(batch["key"])
        row = self.extraction.available(batch)[list(self.model.plugins).index(self.model.text)]
        keep = (keyed_uniform(keys, "text-dropout") >= self.drop_text) & row
        steps = self.model.process.schedule.num_timesteps
        share = keyed_uniform(keys, "timestep", (self.draws,)) + torch.arange(self.draws)
        t = (share / self.draws * steps).long().clamp(max=steps - 1)
        eps = keyed_normal(keys, "eps", (self.draws, self.model.width))
        flat = eps.transpose(0, 1).reshape(self.draws * count, -1)
        return keep[None], t.T.reshape(-1), flat

    def losses(self, batch: Batch, split: LossSplit) -> Float[Tensor, " m"]:
        """The loss of each draw, entered into `split`."""
        keep, t, eps = self.draw(batch)
        rows = {self.model.text: keep[0], self.model.image: torch.ones_like(keep[0])}
        chosen = torch.stack([rows[name] for name in self.model.plugins])
        values = self.extraction.extract(batch, chosen)
        device = batch["source"].device
        keep, t, eps = (drawn.to(device, non_blocking=True) for drawn in (keep, t, eps))
        loss = self.model.loss(values, keep, t, eps)
        split.add(loss, keep.repeat(1, self.draws), t)
        return loss

    def predict_step(self, batch: Batch, batch_idx: int) -> Any:
        """Refused: a prior draws no pictures.

        Raises:
            UserInputError: Always.
        """
        raise UserInputError(
            "Predicting with a prior: pictures were expected, found image embeddings. Next: "
            "compose with a base model and this prior, as in `composer-pl edit text --prior FILE`."
        )

    def configure_optimizers(self) -> Optimizer:
        """The injected optimiser; weight decay on matrices alone, as in the lab's library."""
        parameters = [(name, p) for name, p in self.model.named_parameters()]
        spared = {name for name, p in parameters if p.ndim < 2 or name.endswith("positions")}
        groups: Any = [
            {"params": [p for name, p in parameters if name not in spared]},
            {"params": [p for name, p in parameters if name in spared], "weight_decay": 0.0},
        ]
        optimizer = self.make_optimizer(groups)
        self._base_rates = [float(group["lr"]) for group in optimizer.param_groups]
        return optimizer

    def setup(self, stage: str) -> None:
        """Refuse double precision too: extractors answer in single.

        Raises:
            ConfigError: The trainer computes in a precision that a prior is not trained in.
        """
        super().setup(stage)
        if str(self.trainer.precision) == "64-true":
            raise ConfigError(
                "Setting up the prior: expected trainer.precision to be 32-true or bf16-mixed, "
                "found '64-true'. Next: set --trainer.precision 32-true."
            )

"""The upsamplers behind a base model, 64 -> 256 -> 1024 in the paper."""

from collections.abc import Callable, Sequence
from math import gcd, lcm, prod

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.composing.mistakes import check_finite
from composer_pl.composing.parts import Parts
from composer_pl.composing.values import model_values
from composer_pl.errors import UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.cascade import check_cascade, upsample_in_stages
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample_keys
from composer_pl.models.tiling import Tiling
from composer_pl.models.upsampler import UpsamplerModel
from composer_pl.models.upsampling import UPSAMPLING, check_manner, low_multiple


class Cascade:
    """Upsamplers in the order in which they work; perhaps none.

    Args:
        upsamplers: The models; moved to `device` and put into evaluation mode.
        device: Where they run.

    Raises:
        UserInputError: One takes pictures of another size than those before it leave.
    """

    def __init__(self, upsamplers: Sequence[UpsamplerModel], device: torch.device):
        if upsamplers:
            check_cascade(upsamplers)
        self.upsamplers = [m.eval().requires_grad_(False).to(device) for m in upsamplers]
        self.device = device

    def __len__(self) -> int:
        """Number of upsamplers."""
        return len(self.upsamplers)

    @property
    def factor(self) -> int:
        """Side of what leaves divided by the side of what enters; 1 without upsamplers."""
        return prod(model.upsampling.factor for model in self.upsamplers)

    def check_fit(self, model: ComposerModel) -> None:
        """Refuse a first upsampler of pictures of another size than the base model draws.

        Raises:
            UserInputError: It is one.
        """
        side = model.config.resolution
        if self.upsamplers and self.upsamplers[0].low_resolution != side:
            first = self.upsamplers[0]
            raise UserInputError(
                f"Joining a base model and an upsampler: expected an upsampler from {side} px, "
                f"which the base model draws, found one from {first.low_resolution} px to "
                f"{first.config.resolution} px. Next: give the upsampler that was trained for this "
                f"base model."
            )

    def check_manner(self, recipe: SamplingRecipe | None, tiling: Tiling | None) -> None:
        """Refuse, before anything is drawn, a recipe or tiles that a network cannot work by.

        Raises:
            UserInputError: It is such a one.
        """
        for model in self.upsamplers:
            check_manner(model, recipe or UPSAMPLING, tiling)

    def side_multiple(self) -> int:
        """What the sides of what enters must be divisible by, for every network."""
        multiple, grown = 1, 1
        for model in self.upsamplers:
            wanted = low_multiple(model)
            multiple = lcm(multiple, wanted // gcd(wanted, grown))
            grown *= model.upsampling.factor
        return multiple

    def work(self, n: int, recipe: SamplingRecipe | None) -> int:
        """Steps of the samplers for `n` pictures."""
        recipe = recipe or UPSAMPLING
        return len(self) * recipe.steps * -(-n // recipe.max_batch)

    def enlarge(
        self,
        pictures: Float[Tensor, "n 3 h w"],
        parts: Parts,
        *,
        seed: int,
        first: int = 0,
        recipe: SamplingRecipe | None = None,
        level: float | None = None,
        tiling: Tiling | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float[Tensor, "n 3 hh ww"]:
        """What the upsamplers make of small pictures; they themselves where there is none.

        Args:
            pictures: In [-1, 1].
            parts: Those that an upsampler knows are given to it.
            seed: Of the noise; each stage draws its own.
            first: Number of the first picture among those of the seed.
            recipe: How every stage samples; None takes the default.
            level: Noise level of the small pictures; None takes each model's own.
            tiling: Work tile by tile, in little memory; None works on whole pictures.
            progress: Called with (finished steps, all steps).

        Raises:
            UserInputError: Sizes do not suit a network, or one answers NaN.
        """
        if not self.upsamplers:
            return pictures

        def values(model: UpsamplerModel, size: tuple[int, int]) -> dict[str, Tensor]:
            return model_values(model, parts.only(*(n for n in parts if n in model.names)), size)

        larger = upsample_in_stages(
            self.upsamplers,
            pictures.to(self.device),
            recipe or UPSAMPLING,
            keys=sample_keys(seed, len(pictures), first=first),
            tilings=tiling,
            level=level,
            values=values,
            progress=progress,
        )
        check_finite(larger, "Upsampling pictures")
        return larger.cpu()

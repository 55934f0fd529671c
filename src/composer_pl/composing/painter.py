"""`Painter`: pictures from parts, by a base model and the upsamplers behind it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from composer_pl.composing.batches import Batch, Request, finished_batches, small_batches
from composer_pl.composing.cascade import Cascade
from composer_pl.composing.decomposer import Decomposer
from composer_pl.composing.enlarging import small_pictures
from composer_pl.composing.mistakes import check_finite
from composer_pl.composing.parts import Parts
from composer_pl.composing.provenance import refuse_strangers
from composer_pl.composing.requests import check_conditions, check_noise, check_request
from composer_pl.composing.values import model_values
from composer_pl.errors import UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import invert, sample_keys, starting_noise
from composer_pl.models.tiling import Tiling
from composer_pl.models.upsampling import UPSAMPLING
from composer_pl.sheet import to_pil


class Painter:
    """The half of a `Composer` that draws.

    Args:
        model: The model; moved to the decomposer's device and put into evaluation mode.
        decomposer: Its extractors, through which pictures are read.
        cascade: What enlarges; on the same device.

    Raises:
        UserInputError: The cascade does not fit the model.
    """

    def __init__(self, model: ComposerModel, decomposer: Decomposer, cascade: Cascade):
        cascade.check_fit(model)
        self.device: torch.device = decomposer.device
        self.model = model.eval().requires_grad_(False).to(self.device)
        self.decomposer = decomposer
        self.cascade = cascade

    @property
    def names(self) -> tuple[str, ...]:
        """The conditions that the model knows."""
        return self.model.names

    @property
    def side(self) -> int:
        """Side of the pictures that the base model draws."""
        return self.model.config.resolution

    @property
    def factor(self) -> int:
        """Side of finished pictures divided by `side`: 1 without upsamplers."""
        return self.cascade.factor

    def compose(
        self,
        parts: Parts,
        *,
        n: int = 1,
        seed: int = 0,
        recipe: SamplingRecipe | None = None,
        size: tuple[int, int] | None = None,
        against: Parts | Sequence[str] = (),
        upsampling: SamplingRecipe | None = None,
        tiling: Tiling | None = None,
        noise: Float[Tensor, "#n 3 h w"] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Image.Image]:
        """Make pictures that obey the given parts; at the upsampler's size where there is one.

        Args:
            parts: Values from one picture or many; empty draws without any condition.
            n: How many pictures. Picture i of a seed is the same for every n.
            seed: Seed of the starting noise.
            recipe: How to sample; None takes the default.
            size: Height and width before upsampling; None takes the model's own. Local parts are
                resized to it, so a square sketch is stretched where the sides differ.
            against: The set that guidance moves away from (paper section 2.1). Names of `parts`
                are kept there as well, so that they get weight 1 while the others get the guidance
                weight; `Parts` of its own may hold other values, such as an unwanted caption.
            upsampling: How the upsampler samples; None takes the default.
            tiling: Upsample tile by tile, in little memory; None takes pictures whole.
            noise: What to begin with instead of the seed's noise, as `invert` gives it.
            progress: Called with (finished steps, all steps), upsampling included.

        Raises:
            UnknownConditionError: A part is of a condition that the model does not know.
            RepresentationError: A value has the wrong shape or is out of its range.
            UserInputError: `n`, `size`, `recipe`, `noise` or `against` is not usable, or the model
                answers NaN.
        """
        batches = self.batches(
            parts, n=n, seed=seed, recipe=recipe, size=size, against=against,
            upsampling=upsampling, tiling=tiling, noise=noise, progress=progress,
        )  # fmt: skip
        return [picture for _, pictures in batches for picture in pictures]

    def batches(
        self,
        parts: Parts,
        *,
        n: int = 1,
        seed: int = 0,
        recipe: SamplingRecipe | None = None,
        size: tuple[int, int] | None = None,
        against: Parts | Sequence[str] = (),
        upsampling: SamplingRecipe | None = None,
        tiling: Tiling | None = None,
        noise: Float[Tensor, "#n 3 h w"] | None = None,
        holding: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Batch]:
        """The pictures of `compose`, the same to the bit, each batch as soon as it is finished.

        They come with the number of the first one of a batch, and begin with the batch that holds
        the picture of number `holding`. All else is as `compose` says.
        """
        request = self._request(parts, n, seed, recipe, size, against, noise)
        self.cascade.check_manner(upsampling, tiling)
        return finished_batches(
            self.model,
            self.cascade,
            request,
            upsampling=upsampling or UPSAMPLING,
            tiling=tiling,
            holding=holding,
            progress=progress,
        )

    def draw(
        self,
        parts: Parts,
        *,
        n: int = 1,
        seed: int = 0,
        recipe: SamplingRecipe | None = None,
        size: tuple[int, int] | None = None,
        against: Parts | Sequence[str] = (),
        noise: Float[Tensor, "#n 3 h w"] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float[Tensor, "n 3 h w"]:
        """What the base model draws, in [-1, 1] on the CPU; see `compose`."""
        request = self._request(parts, n, seed, recipe, size, against, noise)
        return torch.cat(list(small_batches(self.model, request, progress=progress)))

    def _request(
        self,
        parts: Parts,
        n: int,
        seed: int,
        recipe: SamplingRecipe | None,
        size: tuple[int, int] | None,
        against: Parts | Sequence[str],
        noise: Tensor | None,
    ) -> Request:
        """What is asked for, held against the model."""
        height, width = size or (self.side, self.side)
        check_request(self.model, self.cascade, n=n, size=(height, width), seed=seed)
        if not isinstance(against, Parts):
            names = (against,) if isinstance(against, str) else tuple(against)
            against = parts.only(*names)
        for given in (parts, against):
            refuse_strangers(given, self.model.plugins, self.decomposer.plugins)
        recipe = recipe or SamplingRecipe()
        check_conditions(recipe, given=parts, known=self.names, size=(height, width))
        if noise is not None:
            check_noise(noise, n, (height, width))
        return Request(
            parts=parts,
            values=model_values(self.model, parts, (height, width)),
            against=model_values(self.model, against, (height, width)),
            recipe=recipe,
            n=n,
            seed=seed,
            size=(height, width),
            noise=noise,
        )

    def invert(
        self,
        picture: str | Path | Image.Image | Tensor,
        parts: Parts,
        *,
        recipe: SamplingRecipe | None = None,
        size: tuple[int, int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float[Tensor, "1 3 h w"]:
        """The noise that a picture came from, under parts of it (paper, bidirectional guidance).

        Give it to `draw` or `compose` with the sampler `ddim`, eta 0 and the same steps.

        Args:
            picture: A file, an open picture, or pixels `(1, 3, h, w)` in [-1, 1].
            parts: The set c1, at weight 1; may be empty.
            recipe: Steps; see `models.sampling.invert`.
            size: Height and width; None takes the model's own.
            progress: Called with (finished steps, all steps).

        Raises:
            UserInputError: It is no picture, or the model answers NaN.
        """
        height, width = size or (self.side, self.side)
        check_request(self.model, self.cascade, n=1, size=(height, width))
        refuse_strangers(parts, self.model.plugins, self.decomposer.plugins)
        recipe = recipe or SamplingRecipe(sampler="ddim")
        noise = invert(
            self.model,
            self.target(picture, (height, width)),
            model_values(self.model, parts, (height, width)),
            recipe,
            progress=progress,
        )
        check_finite(noise, "Inverting a picture")
        return noise.cpu()

    def target(
        self, picture: str | Path | Image.Image | Tensor, size: tuple[int, int] | None = None
    ) -> Float[Tensor, "1 3 h w"]:
        """A picture as the base model would draw it: cut to a square, brought to its size.

        Args:
            picture: A file, an open picture, or pixels `(1, 3, h, w)` in [-1, 1].
            size: Height and width; None takes the model's own.

        Raises:
            UserInputError: It is no picture.
        """
        height, width = size or (self.side, self.side)
        source = picture if isinstance(picture, Tensor) else self.decomposer.source(picture)
        if tuple(source.shape[2:]) == (height, width):
            return source.cpu()
        resized = F.interpolate(
            source.cpu(), size=(height, width), mode="bicubic", antialias=True, align_corners=False
        )
        return resized.clamp(-1, 1)

    def noise(
        self, n: int, seed: int, size: tuple[int, int] | None = None
    ) -> Float[Tensor, "n 3 h w"]:
        """The noise that the pictures of a seed begin with."""
        side = (self.side, self.side)
        return starting_noise(sample_keys(seed, n), self.model.config.in_channels, size or side)

    def upsample(
        self,
        pictures: Sequence[str | Path | Image.Image],
        *,
        seed: int = 0,
        recipe: SamplingRecipe | None = None,
        level: float | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Image.Image]:
        """Enlarge any small pictures of one size.

        The pictures that `compose` draws without an upsampler become those that it draws with one,
        given the same seed.

        Args:
            pictures: Files or open pictures; their sides must suit the network.
            seed: Seed of the noise; picture i depends on it and i.
            recipe: How to sample; None takes the default.
            level: How little the details of the small pictures are trusted, as a noise level of the
                upsampler's training; None takes its own setting.
            progress: Called with (finished steps, all steps).

        Raises:
            UserInputError: There is no upsampler, a picture cannot be read, sizes differ or do not
                suit the network, or it answers NaN.
        """
        if not self.cascade:
            raise UserInputError(
                "Upsampling pictures: expected an upsampler, found none. "
                "Next: name one, as in Composer.from_pretrained(base, upsampler=folder)."
            )
        larger = self.cascade.enlarge(
            small_pictures(pictures),
            Parts({}),
            seed=seed,
            recipe=recipe,
            level=level,
            progress=progress,
        )
        return [to_pil((picture + 1) / 2) for picture in larger]

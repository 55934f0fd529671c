"""`Composer`: a trained model as a person uses it, to take pictures apart and make new ones."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from composer_pl.composing.cascade import Cascade
from composer_pl.composing.decomposer import Decomposer
from composer_pl.composing.enlarging import small_pictures
from composer_pl.composing.identity import model_digest
from composer_pl.composing.mistakes import (
    UnknownToModelError,
    check_finite,
    usable_device,
)
from composer_pl.composing.parts import Parts
from composer_pl.composing.provenance import refuse_strangers
from composer_pl.composing.requests import check_conditions, check_noise, check_request
from composer_pl.composing.settings import reconfigured
from composer_pl.composing.values import model_values
from composer_pl.errors import UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.cards import ModelFacts
from composer_pl.models.export import read_facts
from composer_pl.models.hub import located, push_to_hub
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import invert, sample, sample_keys, starting_noise
from composer_pl.models.storage import load_model, load_upsampler, save_model
from composer_pl.models.upsampler import UpsamplerModel
from composer_pl.sheet import to_pil


class Composer:
    """A trained model with its extractors.

    Args:
        model: The model; moved to `device` and put into evaluation mode.
        device: Where to run.
        canvas: Side of the canvas that extractors see; None takes four times the model's side.
        settings: Arguments of conditions to extract with in place of those in training, by name,
            such as `{"sketch": {"edges": "canny"}}` where PiDiNet's weights are not at hand.
        upsampler: Enlarges what the model draws; several work one after the other (paper: two);
            None leaves pictures at the model's size.
        origins: Where `base`, `upsampler` and `upsampler-2` were loaded from, for the record.
        facts: What is known of the base model's licence and training, for its card.

    Raises:
        UserInputError: There is no such device, a setting is wrong, or the upsampler does not fit
            the model.
    """

    def __init__(
        self,
        model: ComposerModel,
        *,
        device: str | torch.device = "cpu",
        canvas: int | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        upsampler: UpsamplerModel | Sequence[UpsamplerModel] | None = None,
        origins: Mapping[str, str] | None = None,
        facts: ModelFacts | None = None,
    ):
        self.device = usable_device(device)
        self.origins = dict(origins or {})
        self.facts = facts or ModelFacts()
        self.model = model.eval().requires_grad_(False).to(self.device)
        alone = isinstance(upsampler, UpsamplerModel)
        self.cascade = Cascade([upsampler] if alone else list(upsampler or ()), self.device)
        self.cascade.check_fit(model)
        side = model.config.resolution
        self.decomposer = Decomposer(
            reconfigured(model.plugins, settings or {}),
            value_size=model.value_size(side, side),
            canvas=4 * side if canvas is None else canvas,
            device=self.device,
        )

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        device: str | torch.device = "cpu",
        averaged: bool = True,
        canvas: int | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        upsampler: str | Path | Sequence[str | Path] | None = None,
    ) -> "Composer":
        """Load a model folder or a checkpoint of `composer-pl fit`, and an upsampler to go with it.

        Args:
            path: The folder or file, the name of a shipped model, or `owner/name` on the Hub; see
                docs/models.md.
            device: Where to run.
            averaged: Take the averaged (EMA) weights of a checkpoint.
            canvas: See the class.
            settings: See the class.
            upsampler: Folder or file of the upsampler, or several in the order of their work; None
                composes at the model's size.

        Raises:
            CheckpointError: There is no model that can be read, or one of the other kind.
            UnknownConditionError: It needs a plugin that is not installed.
            UserInputError: There is no such device, a setting is wrong, or the upsampler does not
                fit the model.
        """
        usable_device(device)  # before a large file is read
        place = located(path)
        model = load_model(place, averaged=averaged)
        if upsampler is None or isinstance(upsampler, str | Path):
            upsampler = [upsampler] if upsampler else []
        names = [_stage(i) for i in range(len(upsampler))]
        return cls(
            model,
            device=device,
            canvas=canvas,
            settings=settings,
            upsampler=[load_upsampler(one, averaged=averaged) for one in upsampler],
            origins={"base": str(path)} | dict(zip(names, map(str, upsampler), strict=True)),
            facts=read_facts(place, averaged=averaged),
        )

    def save_pretrained(self, folder: str | Path, *, facts: ModelFacts | None = None) -> None:
        """Write the base model, with its card, as a folder that `from_pretrained` reads.

        Args:
            folder: Made when absent.
            facts: What its trainer states of licence and training; None states what was loaded.

        Raises:
            CheckpointError: The disk is full, or the folder is closed.
        """
        save_model(self.model, folder, facts=self.facts if facts is None else facts)

    def push_to_hub(self, repository: str, *, private: bool = True) -> str:
        """Upload the base model to the Hub as `owner/name`; see `composer_pl.models.hub`.

        Returns:
            The address of the upload.

        Raises:
            CheckpointError: The Hub did not take it.
            MissingDependencyError: huggingface_hub is missing.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return push_to_hub(folder, repository, private=private)

    @cached_property
    def identity(self) -> dict[str, dict[str, str]]:
        """`base`, `upsampler`, `upsampler-2` as there are -> digests and where they came from."""
        stages = {_stage(i): model for i, model in enumerate(self.cascade.upsamplers)}
        return {
            name: {"sha256": model_digest(model), "origin": self.origins.get(name, "")}
            for name, model in {"base": self.model, **stages}.items()
        }

    @property
    def factor(self) -> int:
        """Side of finished pictures divided by `side`: 1 without upsamplers."""
        return self.cascade.factor

    @property
    def side(self) -> int:
        """Side of the pictures that the base model draws."""
        return self.model.config.resolution

    @property
    def names(self) -> tuple[str, ...]:
        """The conditions that the model knows."""
        return self.model.names

    def decompose(
        self,
        picture: str | Path | Image.Image,
        *,
        caption: str = "",
        seed: int = 0,
        names: Sequence[str] | None = None,
    ) -> Parts:
        """Take a picture apart; see `Decomposer.decompose`."""
        return self.decomposer.decompose(picture, caption=caption, seed=seed, names=names)

    def read(self, name: str, source: str | Path) -> Parts:
        """A value that a person supplies: hex colours, a drawn sketch, a text; see the plugin.

        Raises:
            UnknownConditionError: The model does not know the condition.
            UserInputError: The source is no legal value of it.
        """
        if name not in self.model.plugins:
            raise UnknownToModelError(name, self.names, doing="Reading a value by hand")
        plugin = self.decomposer.plugins[name]
        if plugin.inputs == ("caption",):  # through the extractor that is already loaded
            extract = self.decomposer.extraction.extractor(name, self.device)
            value = extract([str(source)])[0].cpu()
        else:
            value = plugin.read(source)
        facts = {name: self.decomposer.facts(name)}
        return Parts({name: value}, {name: str(source)}, facts)

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
            noise: What to begin with instead of the seed's noise, as `invert` gives it.
            progress: Called with (finished steps, all steps), upsampling included.

        Raises:
            UnknownConditionError: A part is of a condition that the model does not know.
            RepresentationError: A value has the wrong shape or is out of its range.
            UserInputError: `n`, `size`, `recipe`, `noise` or `against` is not usable, or the model
                answers NaN.
        """
        recipe = recipe or SamplingRecipe()
        work = recipe.steps * -(-n // recipe.max_batch)
        total = work + self.cascade.work(n, upsampling)

        def report(step: int, done: int) -> None:
            if progress is not None:
                progress(done + step, total)

        pictures = self.draw(
            parts,
            n=n,
            seed=seed,
            recipe=recipe,
            size=size,
            against=against,
            noise=noise,
            progress=lambda step, _: report(step, 0),
        )
        larger = self.cascade.enlarge(
            pictures,
            parts,
            seed=seed,
            recipe=upsampling,
            progress=lambda step, _: report(step, work),
        )
        return [to_pil((picture + 1) / 2) for picture in larger]

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
        side = self.side
        height, width = size or (side, side)
        check_request(self.model, self.cascade, n=n, size=(height, width))
        if not isinstance(against, Parts):
            names = (against,) if isinstance(against, str) else tuple(against)
            against = parts.only(*names)
        for given in (parts, against):
            refuse_strangers(given, self.model.plugins, self.decomposer.plugins)
        recipe = recipe or SamplingRecipe()
        check_conditions(recipe, given=parts, known=self.names)
        if noise is not None:
            check_noise(noise, n, (height, width))
        pictures = sample(
            self.model,
            model_values(self.model, parts, (height, width)),
            recipe,
            keys=sample_keys(seed, n),
            size=(height, width),
            against=model_values(self.model, against, (height, width)),
            noise=noise,
            progress=progress,
        )
        check_finite(pictures, "Composing a picture")
        return pictures.cpu()

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


def _stage(number: int) -> str:
    """How the record names an upsampler."""
    return "upsampler" if number == 0 else f"upsampler-{number + 1}"

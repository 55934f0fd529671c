"""Drawing pictures of captions: each a function of its caption, its key and the manner alone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from composer_pl.composing.composer import Composer
from composer_pl.composing.identity import model_digest
from composer_pl.composing.mistakes import check_finite
from composer_pl.composing.prior import check_prior
from composer_pl.composing.requests import check_conditions
from composer_pl.conditions.adherence import adherence
from composer_pl.conditions.extraction import Extraction
from composer_pl.errors import ConfigError, UserInputError
from composer_pl.evaluation.coco.split import Caption
from composer_pl.models.cascade import upsample_in_stages
from composer_pl.models.prior import PriorModel
from composer_pl.models.prior_sampling import PriorRecipe, sample_embeddings
from composer_pl.models.recipe import SamplingRecipe, recipe_to_dict
from composer_pl.models.sampling import sample
from composer_pl.models.upsampler import UpsamplerModel
from composer_pl.models.upsampling import UPSAMPLING
from composer_pl.plugin.values import value_dtype
from composer_pl.randomness import derive_key

CAPTION = "caption"


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How pictures of captions are drawn.

    Attributes:
        recipe: How the base model samples.
        upsampling: How the upsamplers sample.
        prior: How the prior samples; None draws with the caption only.
        seed: Of the noise; the pictures of another seed are independent.
        bfloat16: Run base model and upsamplers in bfloat16 (autocast); not the prior.
    """

    recipe: SamplingRecipe = field(default_factory=SamplingRecipe)
    upsampling: SamplingRecipe = UPSAMPLING
    prior: PriorRecipe | None = None
    seed: int = 0
    bfloat16: bool = False

    @property
    def conditions(self) -> str:
        """What is given, for people."""
        return "caption only" if self.prior is None else "with prior"

    @property
    def name(self) -> str:
        """Of its folder."""
        given = "caption" if self.prior is None else "prior"
        return f"{given}-guidance-{self.recipe.guidance:g}-seed-{self.seed}"

    def to_dict(self, *, enlarged: bool) -> dict[str, Any]:
        """Plain JSON of all that decides pictures; how many are drawn at once does not.

        Args:
            enlarged: Whether there is an upsampler.
        """
        return {
            "conditions": self.conditions,
            "recipe": _plain(recipe_to_dict(self.recipe)),
            "upsampling": _plain(recipe_to_dict(self.upsampling)) if enlarged else None,
            "prior": None if self.prior is None else _plain(asdict(self.prior)),
            "bfloat16": self.bfloat16,
        }


def picture_keys(captions: Sequence[Caption], seed: int) -> Int[Tensor, " b"]:
    """A key for each caption, from its id: neither its neighbours nor its place matter."""
    return torch.tensor(
        [derive_key(seed, "coco-fid", caption.id) for caption in captions], dtype=torch.int64
    )


class CaptionArtist:
    """A model, and perhaps a prior, that draws what captions say.

    Args:
        composer: The model with its upsamplers.
        prior: Predicts image embeddings; moved to the composer's device.

    Raises:
        UserInputError: The model reads no captions.
        UnknownConditionError: The model does not read what the prior predicts.
        RepresentationError: The prior was trained on another CLIP than the model.
    """

    def __init__(self, composer: Composer, prior: PriorModel | None = None):
        if CAPTION not in composer.names or composer.model.plugins[CAPTION].inputs != ("caption",):
            raise UserInputError(
                f"Drawing pictures of captions: expected a model that was trained with captions, "
                f"found one with {', '.join(composer.names) or 'no condition'}. "
                f"Next: give a model that reads captions, such as scenes-64."
            )
        self.composer = composer
        self.prior = prior
        self._words: Extraction | None = None
        if prior is not None:
            check_prior(composer, prior)
            self.prior = prior.eval().requires_grad_(False).to(composer.device)
            own, shared = prior.plugins[prior.text], composer.decomposer.plugins.get(prior.text)
            if not (isinstance(shared, type(own)) and shared.agreement() == own.agreement()):
                size = composer.decomposer.extraction.value_size
                self._words = Extraction({prior.text: own}, value_size=size)

    @property
    def side(self) -> int:
        """Of finished pictures."""
        return self.composer.side * self.composer.factor

    @cached_property
    def identity(self) -> dict[str, str]:
        """Stage -> digest of its weights, for the record."""
        stages = {name: facts["sha256"] for name, facts in self.composer.identity.items()}
        return stages if self.prior is None else {**stages, "prior": model_digest(self.prior)}

    def subject(self, manner: Manner) -> dict[str, Any]:
        """What draws in a manner: `identity`, without a prior that has no part in it.

        Beside it the agreement of the condition that reads captions: no digest of the model covers
        its frozen weights.
        """
        stages: dict[str, Any] = dict(self.identity)
        if manner.prior is None:
            stages.pop("prior", None)
        if agreement := self.composer.decomposer.facts(CAPTION)["agreement"]:
            stages[CAPTION] = dict(agreement)
        return stages

    def check(self, recipe: SamplingRecipe) -> None:
        """Refuse a recipe that says how much a condition counts which no manner gives.

        Raises:
            UnknownConditionError: The model does not know it.
            UserInputError: It is neither the caption nor what the prior predicts.
        """
        given = [CAPTION] if self.prior is None else [CAPTION, self.prior.image]
        check_conditions(recipe, given=given, known=self.composer.names)

    def draw(self, captions: Sequence[Caption], manner: Manner) -> UInt8[Tensor, "b 3 side side"]:
        """Draw one picture for each caption, in the 8 bits that a file would hold.

        Args:
            captions: What to draw.
            manner: How; with a prior's recipe where there is a prior, and only there.

        Raises:
            UserInputError: The model answers NaN.
        """
        composer, keys = self.composer, picture_keys(captions, manner.seed)
        texts = [caption.text for caption in captions]
        extraction = composer.decomposer.extraction
        values = {CAPTION: self._values(extraction, CAPTION, texts)}
        prior = self.prior
        if manner.prior is not None and prior is not None:
            words = self._values(self._words or extraction, prior.text, texts)
            values[prior.image] = sample_embeddings(prior, words, manner.prior, keys=keys)
        size, kind = (composer.side, composer.side), torch.device(composer.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=manner.bfloat16):
            pictures = sample(composer.model, values, manner.recipe, keys=keys, size=size)
            pictures = self._enlarged(pictures, values, manner, keys).float()
        return (((pictures + 1) / 2).clamp(0, 1) * 255).round().byte().cpu()  # as `to_pil` does

    def _enlarged(
        self, pictures: Tensor, values: Mapping[str, Tensor], manner: Manner, keys: Tensor
    ) -> Tensor:
        """Pictures of the base model through the upsamplers, if there are any."""
        check_finite(pictures, "Drawing pictures of captions")
        if not self.composer.cascade:
            return pictures

        def known(model: UpsamplerModel, size: tuple[int, int]) -> Mapping[str, Tensor]:
            return {name: value for name, value in values.items() if name in model.names}

        enlarged = upsample_in_stages(
            self.composer.cascade.upsamplers,
            pictures,
            replace(manner.upsampling, max_batch=manner.recipe.max_batch),
            keys=keys,
            values=known,
        )
        check_finite(enlarged, "Upsampling pictures of captions")
        return enlarged

    def obedience(
        self, pictures: UInt8[Tensor, "b 3 h w"], captions: Sequence[str]
    ) -> Float[Tensor, " b"]:
        """What the caption condition itself says of pictures: for CLIP, cosines with captions.

        Raises:
            UserInputError: It says nothing of pictures.
        """
        extraction = self.composer.decomposer.extraction
        image = pictures.to(self.composer.device).float() / 127.5 - 1
        try:
            values = self._values(extraction, CAPTION, list(captions))
            return adherence(extraction, CAPTION, image, values)
        except ConfigError as error:
            raise UserInputError(
                "Scoring pictures by the model's own caption condition: expected one that can "
                "tell how well a picture obeys, found none. Next: leave --network own out."
            ) from error

    @torch.no_grad()
    def _values(self, extraction: Extraction, name: str, texts: list[str]) -> Tensor:
        """Values of a condition that is read from a text, on the device."""
        device = self.composer.device
        answer = extraction.extractor(name, device)(texts)
        return answer.to(device, value_dtype(extraction.plugins[name].spec))


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "max_batch"}

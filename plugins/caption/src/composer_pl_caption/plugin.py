"""The condition `caption`: what a text says about a picture."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from composer_pl.plugin import (
    BackboneDims,
    ConditionPlugin,
    ConfigError,
    Extractor,
    RepresentationSpec,
    WeightSpec,
    lerp,
    resolve_weights,
    slerp,
)

from .clip import check_normalised, normalise
from .clip_models import MODELS, WEIGHTS, Architecture, architecture, identity, tensors_path
from .clip_tensors import convert
from .encoder import CaptionEncoder
from .extractor import CaptionExtractor

Model = Literal["ViT-L-14", "ViT-L-14-336", "tiny-scenes"]


class Caption(ConditionPlugin):
    """CLIP sentence embedding and 77 word embeddings, `(78, width)` (paper sections 2.1, 2.2).

    Row 0 is the sentence, of length sqrt(width); rows 1 to 77 are the words after the last
    LayerNorm; rows after the end token are zeros. Over-long captions keep the end token.
    The tiny CLIP has 64 words.

    Args:
        model: Which of OpenAI's CLIPs (both have the same text tower sizes but other weights), or
            `tiny-scenes`, which knows procedural scenes only and is shipped with this package.
        weights_file: Its weights on disk: OpenAI's `.pt`, a `.safetensors` in its layout or
            transformers', or a folder of open_clip's with `open_clip_config.json`, which then
            decides the sizes and the activation. None takes the shipped file, or the one that
            `composer-pl plugins fetch caption` put into the cache.
        drop_prob: Probability of dropping the caption.
    """

    scope = "global"
    canvas = 224
    inputs = ("caption",)
    weights = tuple(WEIGHTS.values())

    _reader: CaptionExtractor | None = None  # built by the first `read`; no part of the plugin

    def __init__(
        self,
        *,
        model: Model = "ViT-L-14",
        weights_file: str | None = None,
        drop_prob: float = 0.5,
    ):
        if model not in get_args(Model):
            raise ConfigError(
                f"Building Caption: expected one of {', '.join(get_args(Model))} as the model, "
                f"found {model!r}. Next: correct it, or give another CLIP as weights_file."
            )
        self.model: Model = model
        self.weights_file = weights_file
        self.drop_prob = drop_prob
        # what `adherence` is shown
        self.canvas = MODELS[model].image_size  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def spec(self) -> RepresentationSpec:
        """Sentence and words."""
        sizes = self._architecture()
        width = max(sizes.embed_dim, sizes.text_width)
        return RepresentationSpec(shape=(1 + sizes.context_length, width))

    def agreement(self) -> dict[str, str]:
        """All conditions of a model share one CLIP."""
        return {"clip": f"{self.model}/{identity(self.model, self.weights_file)}"}

    def weights_in_use(self) -> tuple[WeightSpec, ...]:
        """The file of `model`, unless the user gave one."""
        return () if self.weights_file else (WEIGHTS[self.model],)

    @classmethod
    def convert_weights(cls, spec: WeightSpec, source: Path, target: Path) -> None:
        """Write OpenAI's TorchScript archive as safetensors."""
        convert(spec, source, target)

    def build_extractor(self) -> CaptionExtractor:
        """Texts -> values; its `image_embedding` takes pictures into the same space.

        Raises:
            MissingWeightsError: The weights are absent or are others.
            ConfigError: The weights are of another architecture.
        """
        return CaptionExtractor(self._architecture(), self._weights_path())

    def build_encoder(self, dims: BackboneDims) -> CaptionEncoder:
        """Sentence -> time embedding, words -> context tokens."""
        sizes = self._architecture()
        return CaptionEncoder(sizes.embed_dim, sizes.text_width, dims)

    def distance(self, value: Tensor, other: Tensor) -> Float[Tensor, " b"]:
        """1 - cosine of the sentences: 0 when equal, 1 when orthogonal."""
        return 1 - functional.cosine_similarity(self._sentence(value), self._sentence(other))

    def interpolate(
        self, value: Tensor, other: Tensor, share: float, *, straight: bool = False
    ) -> Tensor:
        """Sentences along the arc, or `straight` and then given their length back; words straight.

        Words stand at other places in another text: between two captions of unlike build they are
        no words. Rows that one caption lacks fade out.
        """
        if share in (0, 1):
            return slerp(value, other, share)
        between = lerp(value, other, share)
        width = self._architecture().embed_dim
        if straight:
            between[:, 0, :width] = normalise(between[:, 0, :width]).to(value.dtype)
        else:
            between[:, 0, :width] = slerp(self._sentence(value), self._sentence(other), share)
        return between

    def adherence(
        self, image: Float[Tensor, "b 3 h w"], value: Tensor, *, extractor: Extractor
    ) -> Float[Tensor, " b"]:
        """CLIP's cosine of picture and sentence (Hessel et al. 2021), at most 1.

        A photo and its own caption reach far less than 1; hold it between a floor and a ceiling.
        """
        if not isinstance(extractor, CaptionExtractor):
            raise TypeError(f"expected what build_extractor returned, found {type(extractor)}")
        sentence = self._sentence(value)
        check_normalised(sentence, doing="Comparing pictures with captions")
        return functional.cosine_similarity(extractor.image_embedding(image), sentence)

    def read(self, source: str | Path) -> Tensor:
        """Embed a text; the text tower is loaded once and kept by this object.

        Raises:
            MissingWeightsError: The weights are absent or are others.
        """
        if self._reader is None:
            self._reader = self.build_extractor()
        return self._reader([str(source)])[0]

    def visualize(self, value: Tensor) -> Float[Tensor, "b 3 h w"]:
        """Draw the embedding as it is, a row a token: grey is 0, white and black are +-3."""
        grey = (0.5 + value.float() / 6).clamp(0, 1)
        return grey[:, None].expand(-1, 3, -1, -1)

    def __getstate__(self) -> dict[str, Any]:
        """What pickling keeps: the arguments, no loaded weights."""
        return {name: value for name, value in vars(self).items() if name != "_reader"}

    def _architecture(self) -> Architecture:
        return architecture(self.model, self.weights_file)

    def _weights_path(self) -> Path:
        spec = WEIGHTS[self.model]
        place = None if self.weights_file is None else tensors_path(self.weights_file)
        if place is not None and place.suffix == ".safetensors":
            spec = replace(spec, sha256="", size=0)
        return resolve_weights(
            spec, condition="caption", path=place, convert=type(self).convert_weights
        )

    def _sentence(self, value: Tensor) -> Float[Tensor, "b d"]:
        return value[:, 0, : self._architecture().embed_dim]

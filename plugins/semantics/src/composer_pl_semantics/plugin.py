"""The condition `semantics`: what a picture shows, and in which style."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from composer_pl.plugin import (
    BackboneDims,
    ConditionPlugin,
    ConditionSignals,
    ConfigError,
    RepresentationSpec,
    VectorEncoder,
    WeightSpec,
    lerp,
    resolve_weights,
    slerp,
)

from .clip import ImageTower, check_normalised, normalise
from .clip_models import MODELS, WEIGHTS, Architecture, architecture, identity, tensors_path
from .clip_tensors import convert

Model = Literal["ViT-L-14", "ViT-L-14-336", "tiny-scenes"]


class SemanticsEncoder(VectorEncoder):
    """An image embedding -> time vector and context tokens; asserts its length."""

    def encode(self, value: Float[Tensor, "b d"]) -> ConditionSignals:
        """Encode embeddings of length sqrt(d).

        Raises:
            RepresentationError: An embedding has another length.
        """
        check_normalised(value, doing="Encoding image embeddings")
        return super().encode(value)


class Semantics(ConditionPlugin):
    """CLIP image embedding of length sqrt(width) (paper sections 2.1, 2.2).

    Differs from the paper: the default reads 224 pixels instead of 336, 0.45 of the patches;
    `model="ViT-L-14-336"` is the paper's. Whichever it is, the caption must use the same.

    Args:
        model: Which of OpenAI's CLIPs, or `tiny-scenes`, which knows procedural scenes only and is
            shipped with this package.
        weights_file: Its weights on disk: OpenAI's `.pt`, a `.safetensors` in its layout or
            transformers', or a folder of open_clip's with `open_clip_config.json`, which then
            decides the sizes and the activation. None takes the shipped file, or the one that
            `composer-pl plugins fetch semantics` put into the cache.
        tokens: Context tokens; the paper makes eight of image embedding and palette together.
        drop_prob: Probability of dropping the embedding.
    """

    scope = "global"
    canvas = 224
    weights = tuple(WEIGHTS.values())

    def __init__(
        self,
        *,
        model: Model = "ViT-L-14",
        weights_file: str | None = None,
        tokens: int = 4,
        drop_prob: float = 0.5,
    ):
        if model not in get_args(Model):
            raise ConfigError(
                f"Building Semantics: expected one of {', '.join(get_args(Model))} as the model, "
                f"found {model!r}. Next: correct it, or give another CLIP as weights_file."
            )
        if tokens < 0:
            raise ConfigError(
                f"Building Semantics: expected 0 or more tokens, found {tokens}. Next: set 4."
            )
        self.model: Model = model
        self.weights_file = weights_file
        self.tokens = tokens
        self.drop_prob = drop_prob
        self.canvas = MODELS[model].image_size  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def spec(self) -> RepresentationSpec:
        """One embedding."""
        return RepresentationSpec(shape=(self._architecture().embed_dim,))

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

    def build_extractor(self) -> ImageTower:
        """Pictures in [-1, 1] -> embeddings.

        Raises:
            MissingWeightsError: The weights are absent or are others.
            ConfigError: The weights are of another architecture.
        """
        spec = WEIGHTS[self.model]
        place = None if self.weights_file is None else tensors_path(self.weights_file)
        if place is not None and place.suffix == ".safetensors":
            spec = replace(spec, sha256="", size=0)
        path = resolve_weights(
            spec, condition="semantics", path=place, convert=type(self).convert_weights
        )
        return ImageTower(self._architecture(), path)

    def build_encoder(self, dims: BackboneDims) -> SemanticsEncoder:
        """A two-layer perceptron to the time embedding, another to `tokens` context tokens."""
        return SemanticsEncoder(self._architecture().embed_dim, dims, tokens=self.tokens)

    def distance(self, value: Tensor, other: Tensor) -> Float[Tensor, " b"]:
        """1 - cosine: 0 when equal, 1 when orthogonal."""
        return 1 - functional.cosine_similarity(value, other)

    def interpolate(
        self, value: Tensor, other: Tensor, share: float, *, straight: bool = False
    ) -> Tensor:
        """Along the arc, as unCLIP does; or `straight`, then given its length back.

        Both run through the same embeddings at another pace: equal steps in angle, or equal steps
        on the chord, which are larger in the middle.
        """
        if not straight or share in (0, 1):
            return slerp(value, other, share)
        return normalise(lerp(value, other, share)).to(value.dtype)

    def _architecture(self) -> Architecture:
        return architecture(self.model, self.weights_file)

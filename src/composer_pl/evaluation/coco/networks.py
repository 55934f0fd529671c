"""The networks of the protocol by their specs, all as functions from pictures to rows of numbers.

| spec | what it gives |
| --- | --- |
| `clean-inception:FILE` | FID, KID, precision and recall by clean-fid's resizing and features |
| `inception:FILE` | the same by torchmetrics' Inception |
| `clip:ViT-B-32-quickgelu:FILE`, `clip:ViT-L-14-quickgelu:FILE` | CLIP score; any of open_clip |
| `own` | CLIP score by what the model itself reads captions with, if that knows pictures too |
| `tiny` | FID and the like by the shipped judge of scenes; compares only with itself |

`#DIGEST` behind a file asks for weights whose sha256 begins so.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from jaxtyping import Float, UInt8
from torch import Tensor

from composer_pl.errors import UserInputError, nearest

if TYPE_CHECKING:
    from composer_pl.evaluation.coco.drawing import CaptionArtist
    from composer_pl.evaluation.metrics.clip_network import ClipNetwork
    from composer_pl.evaluation.metrics.features import PictureFeatures

TINY = "tiny"
OWN = "own"
CONDITIONING = "clip:ViT-L-14"
"""The CLIP that conditions the paper's model: its score favours what it was trained on."""
HEADLINE = ("clean-inception", "inception", "clip:ViT-B-32", CONDITIONING)
"""Networks that every report has a column of, measured or not."""
_TITLES = {
    "clean-inception": "clean-fid",
    "inception": "torchmetrics",
    "clip:ViT-B-32": "ViT-B/32",
    CONDITIONING: "ViT-L/14",
    OWN: "the model's own CLIP",
}
_FORMS = {
    TINY: TINY,
    OWN: OWN,
    "inception": "inception:FILE",
    "clean-inception": "clean-inception:FILE",
    "clip": "clip:NAME:FILE",
}

Kind = Literal["features", "clip"]


@runtime_checkable
class Scorer(Protocol):
    """What the protocol needs of a network."""

    @property
    def name(self) -> str:
        """See `name_of`."""
        ...

    @property
    def kind(self) -> Kind:
        """`features` of a picture, or the `clip` cosine of a picture and its caption."""
        ...

    @property
    def published(self) -> bool:
        """Whether the weights are the ones that everybody uses; others leave the protocol."""
        ...

    @property
    def slug(self) -> str:
        """Name of its folder; another network or resizing has another."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """Plain JSON for the manifest: name, digest, resize."""
        ...

    def __call__(
        self, pictures: UInt8[Tensor, "b 3 h w"], captions: Sequence[str]
    ) -> Float[Tensor, "b d"]:
        """Numbers of a batch; captions are read by the kind `clip` alone."""
        ...


def title_of(name: str) -> str:
    """How reports call a network."""
    return _TITLES.get(name, name.removeprefix("clip:"))


def kind_of(name: str) -> Kind:
    """What a network gives, by its name."""
    return "clip" if name == OWN or name.startswith("clip:") else "features"


def name_of(spec: str) -> str:
    """A spec without its file, such as `clean-inception` or `clip:ViT-B-32`.

    OpenAI's own activation is left out: `ViT-B-32-quickgelu` is what papers call ViT-B/32.

    Raises:
        UserInputError: It is of no known kind, or has no file where it needs one.
    """
    kind, *rest = spec.split(":", 2 if spec.startswith("clip:") else 1)
    if kind not in _FORMS or len(rest) != _FORMS[kind].count(":") or not all(rest):
        wanted = _FORMS.get(kind) or ", ".join(_FORMS.values())
        raise UserInputError(
            f"Reading the network {spec!r}: expected {wanted}"
            f"{'' if kind in _FORMS else nearest(kind, _FORMS)}. Next: correct it, as in "
            f"--network clean-inception:inception-2015-12-05.pt."
        )
    return f"clip:{rest[0].removesuffix('-quickgelu')}" if kind == "clip" else kind


def load_scorer(spec: str, artist: "CaptionArtist", *, device: str = "cpu") -> Scorer:
    """Load a network by its spec.

    Args:
        spec: See the module.
        artist: The model that is measured, for `own`.
        device: Where other networks run.

    Raises:
        UserInputError: The spec is wrong.
        MissingWeightsError: Its file is absent, other weights, or of another network.
        MissingDependencyError: A library is missing.
    """
    name = name_of(spec)
    if name == OWN:
        return _Own(artist)
    if kind_of(name) == "features":
        from composer_pl.evaluation.metrics.features import feature_network

        return _Features(name, feature_network(spec, device=device))
    from composer_pl.evaluation.metrics.clip_network import clip_network
    from composer_pl.evaluation.metrics.features import split_digest

    _, architecture, place = spec.split(":", 2)
    path, digest = split_digest(place)
    return _Cosines(name, clip_network(architecture, path, digest=digest, device=device))


@dataclass(frozen=True)
class _Features:
    """A feature network of `evaluation.metrics`."""

    name: str
    network: "PictureFeatures"
    kind: Kind = "features"

    @property
    def published(self) -> bool:
        return self.network.published and self.name != TINY

    @property
    def facts(self) -> dict[str, Any]:
        return self.network.describe()

    @property
    def slug(self) -> str:
        return f"{self.name}-{self.network.resize}-{self.network.digest[:12]}"

    def __call__(self, pictures: Tensor, captions: Sequence[str]) -> Tensor:
        return self.network(pictures).float().cpu()


@dataclass(frozen=True)
class _Cosines:
    """The CLIP score of single pictures."""

    name: str
    clip: "ClipNetwork"
    kind: Kind = "clip"

    @property
    def published(self) -> bool:
        return self.clip.published

    @property
    def facts(self) -> dict[str, Any]:
        clip = self.clip
        return {
            "name": f"clip:{clip.name}",
            "digest": clip.digest,
            "published": clip.published,
            "side": clip.side,
            "resize": "the network's own, of open_clip",
        }

    @property
    def slug(self) -> str:
        return f"{self.name.replace(':', '-')}-{self.clip.digest[:12]}"

    def __call__(self, pictures: Tensor, captions: Sequence[str]) -> Tensor:
        from composer_pl.evaluation.metrics.clip_score import ClipScore

        metric = ClipScore(self.clip)
        metric.update(pictures, list(captions))
        return metric.values().float().cpu()[:, None]


@dataclass(frozen=True)
class _Own:
    """What the model's own caption condition says of pictures: for CLIP, the cosine."""

    artist: "CaptionArtist"
    name: str = OWN
    kind: Kind = "clip"
    published: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        extracted = self.artist.composer.decomposer.facts("caption")
        # Settings of training, and paths of weights that the agreement names by their digest, do
        # not decide a score.
        if extracted["agreement"]:
            extracted = {"agreement": extracted["agreement"]}
        return {"name": OWN, "extraction": json.loads(json.dumps(extracted, default=str))}

    @property
    def slug(self) -> str:
        told = json.dumps(self.facts, sort_keys=True)
        return f"{OWN}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def __call__(self, pictures: Tensor, captions: Sequence[str]) -> Tensor:
        from composer_pl.evaluation.metrics.precision import full_float32

        with full_float32():
            return self.artist.obedience(pictures, captions).float().cpu()[:, None]

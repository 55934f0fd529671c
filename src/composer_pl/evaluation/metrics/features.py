"""Feature networks: pictures -> numbers whose distribution is compared.

Named by a text: `tiny`, `inception:FILE`, `clean-inception:FILE`, `clip:NAME:FILE`, each with
`#DIGEST` behind it where the sha256 of the weights must begin with that.
"""

import string
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from composer_pl.errors import UserInputError, nearest
from composer_pl.evaluation.metrics.precision import full_float32
from composer_pl.evaluation.metrics.resizing import RESIZES, check_resize, resized
from composer_pl.evaluation.metrics.weights import (
    GET_AGAIN,
    checked_file,
    first_line,
    read_tensors,
    refuse,
)

INCEPTION = "6726825d0af5f729cebd5821db510"
"""Beginning of the sha256 of `weights-inception-2015-12-05-6726825d.pth`: torch-fidelity's."""
CLEAN_INCEPTION = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
"""sha256 of `inception-2015-12-05.pt`, NVIDIA's TorchScript that clean-fid runs."""

_FORMS = {
    "tiny": "tiny",
    "inception": "inception:FILE",
    "clean-inception": "clean-inception:FILE",
    "clip": "clip:NAME:FILE",
}
_AT_ONCE = 32  # pictures; their maps at 299 px then take some 300 MB


@runtime_checkable
class FeatureNetwork(Protocol):
    """What evaluations need of a feature network.

    Attributes:
        name: Its kind, and its architecture where there are several.
        digest: sha256 of its weights.
        width: Features a picture.
    """

    name: str
    digest: str
    width: int

    def __call__(self, pictures: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b width"]:
        """Features of pictures of any one size, which are resized inside."""
        ...

    def describe(self) -> dict[str, Any]:
        """All that tells it from others, as plain JSON for a manifest."""
        ...


@dataclass(frozen=True, kw_only=True)
class PictureFeatures:
    """A feature network.

    Attributes:
        name: Its kind, and its architecture where there are several.
        digest: sha256 of its weights.
        published: Whether the weights are known to be the ones that everybody uses; numbers of
            others compare only among themselves.
        width: Features a picture.
        side: Pixels that the network itself takes.
        resize: How pictures come to that side, one of `RESIZES`.
        network: Pictures in [0, 255] at `side` -> features.
        device: Where it runs.
    """

    name: str
    digest: str
    published: bool
    width: int
    side: int
    resize: str
    network: Callable[[Tensor], Tensor]
    device: torch.device

    @torch.no_grad()
    def __call__(self, pictures: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b _width"]:
        """Features in float32, on the device of the pictures."""
        parts = []
        with full_float32():
            for part in pictures.split(_AT_ONCE):
                floating = part.to(self.device).float()
                parts.append(self.network(resized(floating, self.side, self.resize)).float())
        found = torch.cat(parts) if parts else torch.zeros(0, self.width)
        return found.to(pictures.device)

    def describe(self) -> dict[str, Any]:
        """All that tells it from others, as plain JSON for a manifest."""
        return {
            "name": self.name,
            "digest": self.digest,
            "published": self.published,
            "width": self.width,
            "side": self.side,
            "resize": self.resize,
            "resize_in_words": RESIZES[self.resize],
        }


def feature_network(
    spec: str, *, resize: str | None = None, device: torch.device | str = "cpu"
) -> PictureFeatures:
    """Load a feature network.

    Args:
        spec: `tiny` (the shipped judge of scenes: numbers compare only among themselves),
            `inception:FILE` (torch-fidelity's and torchmetrics' weights), `clean-inception:FILE`
            (clean-fid's TorchScript) or `clip:NAME:FILE` (open_clip's architecture and weights);
            `#DIGEST` behind it asks for weights whose sha256 begins so.
        resize: One of `RESIZES`; None is `torch` for `inception`, as torchmetrics has it, and
            `clean` for the others.
        device: Where it runs.

    Raises:
        UserInputError: The text or the resize is none of these.
        MissingWeightsError: The weights are absent, other ones, or of another network.
        MissingDependencyError: open_clip is needed and not installed.
    """
    kind, _, place = spec.partition(":")
    if kind not in _FORMS or (kind == "tiny") == bool(place):
        raise UserInputError(
            f"Loading a feature network: expected one of {', '.join(_FORMS.values())} (with "
            f"#DIGEST to ask for certain weights), found {spec!r}{nearest(spec, _FORMS)}. "
            f"Next: correct it."
        )
    place, digest = split_digest(place)
    how = check_resize(resize or ("torch" if kind == "inception" else "clean"))
    where = torch.device(device)
    if kind == "inception":
        return _inception(place, digest, how, where)
    if kind == "clean-inception":
        return _torchscript(place, digest, how, where)
    if kind == "clip":
        return _clip(place, digest, how, where)
    return _tiny(how, where)


def split_digest(place: str) -> tuple[str, str]:
    """`FILE#DIGEST` -> both; a `#` that no eight hexadecimal digits follow belongs to the file."""
    file, mark, digest = place.rpartition("#")
    if mark and len(digest) >= 8 and set(digest) <= set(string.hexdigits):
        return file, digest
    return place, ""


def _inception(path: str, digest: str, resize: str, device: torch.device) -> PictureFeatures:
    from composer_pl.evaluation.metrics.inception import SIDE, Inception

    file, found = checked_file(path, network="inception", digest=digest)
    state = read_tensors(file, network="inception")
    try:
        network = Inception(state).to(device)
    except (KeyError, RuntimeError, ValueError) as error:
        refuse(
            "inception",
            f"the layers of torch-fidelity's Inception in {str(file)!r}, found another network "
            f"({first_line(error)})",
            GET_AGAIN,
        )
    return PictureFeatures(
        name="inception",
        digest=found,
        published=found.startswith(INCEPTION),
        width=network.width,
        side=SIDE,
        resize=resize,
        network=network,
        device=device,
    )


def _torchscript(path: str, digest: str, resize: str, device: torch.device) -> PictureFeatures:
    """The `layers` of NVIDIA's program, which clean-fid runs; frozen, so that norms are folded."""
    label = "clean-inception"
    file, found = checked_file(path, network=label, digest=digest)
    side = 299

    def network(pictures: Tensor) -> Tensor:
        scaled = ((pictures - 128) / 128).contiguous(memory_format=torch.channels_last)
        return program(scaled).flatten(1)

    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, this file is not
            program = torch.jit.freeze(torch.jit.load(str(file), map_location=device).layers.eval())
            width = network(torch.zeros(1, 3, side, side, device=device)).shape[1]
    except (RuntimeError, ValueError, AttributeError, OSError) as error:
        refuse(
            label,
            f"the TorchScript of clean-fid in {str(file)!r}, found another file "
            f"({first_line(error)})",
            GET_AGAIN,
        )
    return PictureFeatures(
        name=label,
        digest=found,
        published=found == CLEAN_INCEPTION,
        width=width,
        side=side,
        resize=resize,
        network=network,
        device=device,
    )


def _clip(place: str, digest: str, resize: str, device: torch.device) -> PictureFeatures:
    from composer_pl.evaluation.metrics.clip_network import clip_network

    name, _, path = place.partition(":")
    if not name or not path:
        raise UserInputError(
            f"Loading a feature network: expected clip:NAME:FILE, found 'clip:{place}'. Next: name "
            f"an architecture of open_clip and a file of weights."
        )
    clip = clip_network(name, path, digest=digest, device=device)
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (clip.mean, clip.std))
    encode: Any = clip.model.encode_image  # type: ignore[union-attr]

    def network(pictures: Tensor) -> Tensor:
        return encode((pictures / 255 - mean) / std)

    with torch.no_grad():
        width = network(torch.zeros(1, 3, clip.side, clip.side, device=device)).shape[1]
    return PictureFeatures(
        name=f"clip:{name}",
        digest=clip.digest,
        published=clip.published,
        width=width,
        side=clip.side,
        resize=resize,
        network=network,
        device=device,
    )


def _tiny(resize: str, device: torch.device) -> PictureFeatures:
    from composer_pl.evaluation.scenes.judge import judge_digest, load_judge
    from composer_pl.evaluation.scenes.truth import SIDE

    judge = load_judge(device=device)
    return PictureFeatures(
        name="tiny",
        digest=judge_digest(),
        published=True,
        width=judge.feature_width,
        side=SIDE,
        resize=resize,
        network=lambda pictures: judge.features(pictures / 127.5 - 1),
        device=device,
    )

"""The two towers of a CLIP, frozen, each loaded by itself, and the one normalisation of both.

Embeddings of sentences and pictures have length sqrt(width) everywhere in the project, that is unit
variance a channel: what a linear layer's initial weights are made for, what a diffusion prior needs
beside unit noise, and what CLIP was trained for up to that factor, as it compares directions only.

This file stands in composer-pl-caption and composer-pl-semantics with the same text, as neither
package may need the other; a test holds them equal.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from composer_pl.plugin import ConfigError, RepresentationError, require

from .clip_models import VOCABULARY, Architecture
from .clip_tensors import read_tensors

_TOLERANCE = 0.01  # of the length; a cache in half precision is within 0.001


def normalise(embedding: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    """Give embeddings the length sqrt(d)."""
    return functional.normalize(embedding.float(), dim=1) * embedding.shape[1] ** 0.5


def check_normalised(embedding: Float[Tensor, "b d"], *, doing: str) -> None:
    """Assert the one normalisation at a border; a row of zeros, which is no value, passes.

    Not under torch.compile, where a look at numbers would cut the graph, nor where there are none,
    nor in training on a GPU, where it would stall the queue at every step.

    Raises:
        RepresentationError: An embedding has another length.
    """
    if torch.compiler.is_compiling() or embedding.device.type == "meta":
        return
    if torch.is_grad_enabled() and embedding.device.type != "cpu":
        return
    expected = embedding.shape[1] ** 0.5
    length = embedding.detach().float().norm(dim=1)
    wrong = ((length - expected).abs() > _TOLERANCE * expected) & (length != 0)
    if bool(wrong.any()):
        raise RepresentationError(
            f"{doing}: expected CLIP embeddings of length {expected:.2f}, the root of their "
            f"width, found {float(length[wrong][0]):.2f}. Next: give embeddings that were mixed or "
            f"made elsewhere that length."
        )


class TextTower(nn.Module):
    """Token ids -> sentence embedding and word embeddings.

    Args:
        architecture: Sizes.
        path: A safetensors file.
    """

    def __init__(self, architecture: Architecture, path: Path):
        super().__init__()
        clip = _empty_clip(architecture)
        del clip.visual
        length = architecture.context_length
        clip.attn_mask = torch.full((length, length), -torch.inf).triu_(1)
        self.clip = _filled(clip, path, visual=False)

    @torch.no_grad()
    def forward(
        self, tokens: Int[Tensor, "b k"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b k width"]]:
        """Run the tower.

        Returns:
            The sentence embedding, of length sqrt(d), from the end token; and the word embeddings
            after the last LayerNorm, which gives them about unit variance a channel by itself.
        """
        clip = self.clip
        with torch.autocast(tokens.device.type, enabled=False):
            words = clip.token_embedding(tokens) + clip.positional_embedding
            words = clip.ln_final(clip.transformer(words, attn_mask=clip.attn_mask))
            ends = tokens.argmax(1)  # the end token has the highest id
            sentence = words[torch.arange(len(words), device=ends.device), ends]
            return normalise(sentence @ clip.text_projection), words


class ImageTower(nn.Module):
    """Pictures in [-1, 1] -> image embeddings of length sqrt(d).

    Args:
        architecture: Sizes.
        path: A safetensors file.
    """

    def __init__(self, architecture: Architecture, path: Path):
        super().__init__()
        self.size = architecture.image_size
        self.visual = _filled(_empty_clip(architecture).visual, path, visual=True)
        self.mean: Tensor
        self.std: Tensor
        for name in ("mean", "std"):
            channels = torch.tensor(getattr(architecture, name))[:, None, None]
            self.register_buffer(name, channels, persistent=False)

    @torch.no_grad()
    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Bring the short side to the tower's size, cut the middle, normalise, embed."""
        with torch.autocast(image.device.type, enabled=False):
            square = self._square(image.float())
            embedding = self.visual(((square + 1) / 2 - self.mean) / self.std)
            return normalise(embedding)

    def _square(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s s"]:
        """As CLIP's own preparation does it: bicubic, then the middle square, rounded as there."""
        height, width = image.shape[-2:]
        short = min(height, width)
        if short != self.size:
            size = (self.size * height // short, self.size * width // short)
            image = functional.interpolate(image, size=size, mode="bicubic", antialias=True)
            image = image.clamp(-1, 1)
        top, left = (round((side - self.size) / 2) for side in image.shape[-2:])
        return image[:, :, top : top + self.size, left : left + self.size]


def build_clip(architecture: Architecture) -> Any:
    """Build open_clip's CLIP, untrained.

    Raises:
        ConfigError: The sizes do not fit together.
        MissingDependencyError: open_clip is absent.
    """
    open_clip = require("open_clip", needed_by="CLIP", install="open_clip_torch")
    sizes = asdict(architecture)
    vision = {
        "image_size": sizes["image_size"],
        "patch_size": sizes["patch_size"],
        "width": sizes["vision_width"],
        "layers": sizes["vision_layers"],
        "head_width": sizes["vision_head_width"],
        "mlp_ratio": sizes["vision_mlp_ratio"],
    }
    text = {
        "context_length": sizes["context_length"],
        "vocab_size": VOCABULARY,
        "width": sizes["text_width"],
        "heads": sizes["text_heads"],
        "layers": sizes["text_layers"],
        "mlp_ratio": sizes["text_mlp_ratio"],
    }
    try:
        return open_clip.CLIP(
            embed_dim=sizes["embed_dim"],
            vision_cfg=open_clip.CLIPVisionCfg(**vision),
            text_cfg=open_clip.CLIPTextCfg(**text),
            quick_gelu=sizes["quick_gelu"],
        )
    except (AssertionError, RuntimeError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(
            f"Building CLIP: expected sizes that fit together, found {architecture} ({error}). "
            f"Next: correct open_clip_config.json beside the weights."
        ) from error


def _empty_clip(architecture: Architecture) -> Any:
    """Build CLIP without memory behind its parameters."""
    with torch.device("meta"):
        return build_clip(architecture)


def _filled(tower: Any, path: Path, *, visual: bool) -> Any:
    """Put weights into a tower; every parameter must be found, so none stays random."""
    if not visual:
        del tower.logit_scale  # for training a CLIP only
    tensors = read_tensors(path, visual=visual)
    expected = {name: tuple(tensor.shape) for name, tensor in tower.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != expected:
        name = sorted(dict(found.items() ^ expected.items()))[0]
        raise ConfigError(
            f"Loading CLIP from {path}: expected the tensors of the configured model, but for "
            f"{name} expected {expected.get(name, 'nothing')}, found {found.get(name, 'nothing')}. "
            f"Next: correct `model`, or `weights_file` and the configuration beside it."
        )
    tower.load_state_dict(tensors, assign=True)
    return tower.eval().requires_grad_(False)

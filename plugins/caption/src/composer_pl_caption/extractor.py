"""Captions -> sentence and word embeddings, and pictures into the same space for comparing."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .clip import ImageTower, TextTower
from .clip_models import Architecture
from .tokens import Tokenizer

_TOLD = 5  # words that a message names

logger = logging.getLogger(__name__)


class CaptionExtractor(nn.Module):
    """Texts -> `(b, 1 + k, width)`: the sentence in row 0, the words in the others.

    Rows after the end token are exactly zero, as are columns beyond the width of a sentence or word
    where those differ.

    Args:
        architecture: Sizes of the CLIP.
        path: A safetensors file with both towers; the image tower is read when it is first used.

    Attributes:
        cut: Captions that were too long so far; the first is logged.
        known: Which tokens have an embedding; None where all have, or a caption with words that
            have none was logged.
    """

    def __init__(self, architecture: Architecture, path: Path):
        super().__init__()
        self.architecture = architecture
        self.path = path
        self.tokenize = Tokenizer(architecture.context_length)
        self.text = TextTower(architecture, path)
        self.image: ImageTower | None = None
        self.cut = 0
        known: Tensor = self.text.clip.token_embedding.weight.ne(0).any(1)
        self.known: Tensor | None = None if bool(known.all()) else known

    @torch.no_grad()
    def forward(self, captions: Sequence[object]) -> Float[Tensor, "b rows width"]:
        """Embed captions; None and empty texts give the embedding of the empty text."""
        tokens, cut = self.tokenize(captions)
        if cut and not self.cut:
            logger.warning(
                "A caption is longer than %d tokens and is cut there; later ones are only counted.",
                self.tokenize.context_length - 2,
            )
        self.cut += cut
        self._tell_unknown(captions)
        tokens = tokens.to(self._device())
        sentence, words = self.text(tokens)
        # id 0 is an ordinary character, so padding is told by its place, not by its id
        places = torch.arange(tokens.shape[1], device=tokens.device)
        words = torch.where((places <= tokens.argmax(1)[:, None])[..., None], words, 0)
        width = max(sentence.shape[1], words.shape[2])
        value = torch.zeros((len(words), 1 + words.shape[1], width), device=words.device)
        value[:, 0, : sentence.shape[1]] = sentence
        value[:, 1:, : words.shape[2]] = words
        return value

    def image_embedding(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Embed pictures in [-1, 1] with the image tower of the same CLIP."""
        if self.image is None:
            self.image = ImageTower(self.architecture, self.path)
        return self.image.to(image.device)(image)

    def _tell_unknown(self, captions: Sequence[object]) -> None:
        if (known := self.known) is None:
            return
        for caption in captions:
            if words := self.tokenize.unknown(caption, known):
                shown = ", ".join(words[:_TOLD]) + " ..." * (len(words) > _TOLD)
                logger.warning(
                    "Words of a caption have no meaning to this CLIP of few words: %s. Next: take "
                    "words that it knows, or a model with another CLIP. Later ones are not told.",
                    shown,
                )
                self.known = None
                return

    def _device(self) -> torch.device:
        return next(self.text.parameters()).device

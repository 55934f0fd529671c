"""Trainable side of captions: sentence -> time embedding, words -> context tokens."""

from jaxtyping import Float
from torch import Tensor, nn

from composer_pl.plugin import BackboneDims, ConditionEncoder, ConditionSignals

from .clip import check_normalised


class CaptionEncoder(ConditionEncoder):
    """The sentence by a two-layer perceptron, the words by one linear layer (paper section 2.2).

    Rows of the value that are zero (after the end token) are masked out of attention.
    Differs from the paper: it does not say that words are projected; they must be where the
    backbone's context is not as wide as CLIP's words.

    Args:
        sentence_width: Width of a sentence embedding.
        word_width: Width of a word embedding.
        dims: What the backbone wants.
    """

    def __init__(self, sentence_width: int, word_width: int, dims: BackboneDims):
        super().__init__()
        self.sentence_width = sentence_width
        self.word_width = word_width
        self.to_time = nn.Sequential(
            nn.Linear(sentence_width, dims.time_dim),
            nn.SiLU(),
            nn.Linear(dims.time_dim, dims.time_dim),
        )
        self.to_context = nn.Linear(word_width, dims.context_dim)

    def encode(self, value: Float[Tensor, "b rows width"]) -> ConditionSignals:
        """Encode captions `(b, 1 + k, width)`.

        Raises:
            RepresentationError: A sentence embedding is not of length sqrt(width).
        """
        sentence = value[:, 0, : self.sentence_width]
        words = value[:, 1:, : self.word_width]
        check_normalised(sentence, doing="Encoding captions")
        return ConditionSignals(
            time=self.to_time(sentence),
            context=self.to_context(words),
            context_mask=(words != 0).any(2),
        )

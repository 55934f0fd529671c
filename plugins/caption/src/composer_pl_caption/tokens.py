"""Captions -> token ids of CLIP's byte-pair vocabulary."""

import re
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from composer_pl.plugin import require

LONGEST = 2000
"""Characters of a caption that are looked at: 75 tokens take some 400, and the time that the
tokenizer needs grows with the square of a word."""

_SPECIAL = ("<start_of_text>", "<end_of_text>")


def clean(text: object) -> str:
    """Return one line of well-formed text; None and anything without characters become empty.

    NUL and lone surrogates go, white space becomes single blanks, and the text is cut at
    `LONGEST`. A caption that spells the special tokens of the vocabulary must not end the text.
    """
    if not isinstance(text, str):
        return ""
    line = text[: 20 * LONGEST].replace("\0", " ").encode("utf-8", "ignore").decode("utf-8")
    return " ".join(line.split())[:LONGEST]


class Tokenizer:
    """CLIP's tokenizer, with the end token always kept.

    Args:
        context_length: Tokens a caption, start and end included.
    """

    def __init__(self, context_length: int):
        open_clip = require(
            "open_clip", needed_by="The condition 'caption'", install="open_clip_torch"
        )
        self.context_length = context_length
        self._tokenizer = open_clip.SimpleTokenizer()
        self.start, self.end = (self._tokenizer.encoder[name] for name in _SPECIAL)

    def __call__(self, texts: Sequence[object]) -> tuple[Int[Tensor, "b k"], int]:
        """Tokenize captions.

        Returns:
            Ids, zeros after the end token; and how many captions were too long and were cut.
        """
        tokens = torch.zeros((len(texts), self.context_length), dtype=torch.long)
        room, cut = self.context_length - 2, 0
        for row, text in zip(tokens, texts, strict=True):
            words = self._tokenizer.encode(clean(text))
            words = [word for word in words if word not in (self.start, self.end)]
            cut += len(words) > room
            ids = [self.start, *words[:room], self.end]
            row[: len(ids)] = torch.tensor(ids)
        return tokens, cut

    def unknown(self, text: object, known: Bool[Tensor, " vocabulary"]) -> list[str]:
        """The words of a caption of which some token is unknown, in their order.

        Args:
            text: A caption.
            known: Which tokens a CLIP knows.
        """
        found = dict.fromkeys(re.findall(r"[^\W_]+", clean(text).lower()))
        return [word for word in found if not all(known[self._tokenizer.encode(word)])]

"""Values of captions and pictures of scenes, extracted once: all that a prior is trained on."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

HERE = Path(__file__).parent
for folder in ("scene_model", "composition"):
    sys.path.insert(0, str(HERE.parent / folder))

MODEL = HERE.parents[1] / "src/composer_pl/pretrained/scenes-64"
"""Whose conditions the values are of."""


@dataclass(kw_only=True)
class Embeddings:
    """Values in half precision.

    Attributes:
        caption: Caption k of scene i is row `i * texts + k`.
        semantics: One a scene, of length sqrt(d).
        texts: Captions a scene.
    """

    caption: Float[Tensor, "captions rows width"]
    semantics: Float[Tensor, "n d"]
    texts: int

    def __len__(self) -> int:
        return len(self.semantics)

    def draw(self, batch: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Values of scenes drawn with replacement, each with one of its captions."""
        device = generator.device
        rows = torch.randint(len(self), (batch,), generator=generator, device=device)
        worded = torch.randint(self.texts, (batch,), generator=generator, device=device)
        return self.of(rows, worded)

    def of(self, rows: Tensor, worded: Tensor | int = 0) -> dict[str, Tensor]:
        """Values of the given scenes with the given captions."""
        return {
            "caption": self.caption[rows * self.texts + worded].float(),
            "semantics": self.semantics[rows].float(),
        }


def extract(
    indices: Sequence[int],
    *,
    texts: int = 3,
    chunk: int = 500,
    log: Callable[[str], None] = print,
) -> Embeddings:
    """Render scenes of arm A's rules (24 pairs of colour and shape held out) and extract them.

    Args:
        indices: Which scenes of seed 0.
        texts: Captions a scene.
        chunk: Scenes held in memory together.
        log: Told the progress.
    """
    from arms import RULES
    from bank import build_bank
    from corpus import build_corpus

    from composer_pl.models.storage import load_model

    known = load_model(MODEL).plugins
    plugins = {name: known[name] for name in ("caption", "semantics")}
    no_masks = torch.zeros(0, 1, 64, 64, dtype=torch.bool)
    parts = []
    for first in range(0, len(indices), chunk):
        corpus = build_corpus(
            list(indices)[first : first + chunk], rules=RULES["A"], texts=texts, batch=64, log=log
        )
        parts.append(build_bank(corpus, plugins, no_masks, log=lambda line: None).fixed)
    return Embeddings(
        caption=torch.cat([part["caption"] for part in parts]),
        semantics=torch.cat([part["semantics"] for part in parts]),
        texts=texts,
    )


def read_banks(paths: Sequence[Path]) -> Embeddings:
    """Join banks of the scene model that were saved as dictionaries (`fixed`, `texts`)."""
    banks = [torch.load(path, weights_only=True) for path in paths]
    return Embeddings(
        caption=torch.cat([bank["fixed"]["caption"] for bank in banks]),
        semantics=torch.cat([bank["fixed"]["semantics"] for bank in banks]),
        texts=banks[0]["texts"],
    )

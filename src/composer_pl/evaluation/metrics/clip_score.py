"""CLIP score: how well pictures fit their captions, as the cosine of CLIP's embeddings.

Computed here through open_clip: torchmetrics' own class fails with current transformers, and its
score collapses for captions that are longer than the context.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torchmetrics import Metric  # noqa: TID253 -- a base class; this module is imported when used

from composer_pl.errors import UserInputError
from composer_pl.evaluation.metrics.clip_network import ClipNetwork
from composer_pl.evaluation.metrics.precision import full_float32


class ClipScore(Metric):
    """Mean cosine of pictures and their captions, in [-1, 1] (not times 100).

    Args:
        clip: Any CLIP of open_clip, from `clip_network` or `wrapped_clip`.

    Attributes:
        cosines: Of every picture so far, in order; on several processes, each has its own until
            torchmetrics joins them.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    cosines: list[Tensor]

    def __init__(self, clip: ClipNetwork):
        super().__init__()
        self.clip = clip
        self.add_state("cosines", default=[], dist_reduce_fx="cat")

    @torch.no_grad()
    def update(self, pictures: UInt8[Tensor, "b 3 h w"], captions: Sequence[str]) -> None:
        """Add pictures, one caption each.

        Raises:
            UserInputError: There is not one caption with words in it for each picture.
        """
        wordless = sum(not caption.strip() for caption in captions)
        if len(captions) != len(pictures) or wordless:
            raise UserInputError(
                f"Computing CLIP score: expected one caption a picture, found {len(captions)} "
                f"for {len(pictures)} pictures, {wordless} of them without words. "
                f"Next: give every picture its caption."
            )
        if not captions:
            return
        device = next(self.clip.model.parameters()).device
        rows = pictures.permute(0, 2, 3, 1).cpu().numpy()
        prepared = torch.stack([self.clip.preprocess(Image.fromarray(row)) for row in rows])
        words = self.clip.tokenize(list(captions)).to(device)
        with full_float32():
            seen = self.clip.model.encode_image(prepared.to(device))  # type: ignore[operator]
            read = self.clip.model.encode_text(words)  # type: ignore[operator]
        self.cosines.append(F.cosine_similarity(seen.double(), read.double()).to(self.device))

    def compute(self) -> Float[Tensor, ""]:
        """Mean over all pictures, float64.

        Raises:
            UserInputError: There are none.
        """
        values = self.values()
        if len(values) == 0:
            raise UserInputError(
                "Computing CLIP score: expected pictures, found none. Next: add pictures."
            )
        return values.mean()

    def values(self) -> Float[Tensor, " b"]:
        """The cosine of each picture, for intervals."""
        parts = [self.cosines] if isinstance(self.cosines, Tensor) else self.cosines
        return torch.cat([*parts]) if parts else torch.zeros(0, dtype=torch.float64)

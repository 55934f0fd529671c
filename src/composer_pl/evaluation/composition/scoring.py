"""Who says how well pictures obey conditions: each plugin itself, or the judge of scenes."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.conditions.adherence import adherence
from composer_pl.conditions.extraction import Extraction
from composer_pl.data.scenes.description import Scene
from composer_pl.evaluation.composition.crossing import Scorer
from composer_pl.evaluation.scenes.judge import Judge, read_pictures, to_side
from composer_pl.evaluation.scenes.rendered import render_scenes
from composer_pl.evaluation.scenes.scores import SCORERS, scores
from composer_pl.evaluation.scenes.truth import SIDE, claimed_pairs, whole_truth

OWN = "own measure"
JUDGED = "judge of scenes"

_CHUNK = 64


def own_scorer(
    extraction: Extraction, values: Mapping[str, Tensor], *, device: torch.device | str = "cpu"
) -> Scorer:
    """Each plugin's own measure, through its own extractor.

    Args:
        extraction: Holds the plugins.
        values: Their values of all pictures.
        device: Where extractors run.
    """

    def score(
        name: str, pictures: Float[Tensor, "b 3 h w"], rows: Int[Tensor, " b"]
    ) -> Float[Tensor, " b"]:
        parts = [
            adherence(extraction, name, part.to(device), values[name][own].to(device))
            for part, own in zip(pictures.split(_CHUNK), rows.split(_CHUNK), strict=True)
        ]
        return torch.cat(parts).float().cpu()

    return score


def judge_scorer(judge: Judge, scenes: Sequence[Scene], values: Mapping[str, Tensor]) -> Scorer:
    """The judge of scenes, against the renderer's truth, at its own 64 px.

    Args:
        judge: In evaluation mode, on the CPU.
        scenes: Of all pictures; their first captions are given.
        values: Values of all pictures, of which the mask alone is read.
    """
    truth = whole_truth(render_scenes(scenes))
    claimed = claimed_pairs(scenes)
    known = None
    if "masking" in values:  # a pixel is known where all of its part of the mask is
        share = F.adaptive_avg_pool2d(values["masking"][:, 3:].float(), (SIDE, SIDE))
        known = share[:, 0] > 0.999

    def score(
        name: str, pictures: Float[Tensor, "b 3 h w"], rows: Int[Tensor, " b"]
    ) -> Float[Tensor, " b"] | None:
        if name not in SCORERS:
            return None
        at64 = to_side(pictures)
        found = scores(
            name,
            at64,
            read_pictures(judge, at64),
            truth[rows],
            claimed=claimed[rows],
            known=None if known is None else known[rows],
        )
        return found[0].float()

    return score

"""Who says how well pictures obey conditions: the scorers of the control protocol, as one each."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.evaluation.composition.crossing import Scorer
from composer_pl.evaluation.control.pictures import Shown, Wanted, to_bytes
from composer_pl.evaluation.control.scorers import Scorer as OneScorer
from composer_pl.evaluation.scenes.judge import Judge

OWN, INDEPENDENT = "own extractor", "independent judge"


def crossing_scorer(
    scorers: Sequence[OneScorer], wanted: Wanted, judge: Judge | None, *, independent: bool
) -> Scorer:
    """For each condition its first scorer of a kind; None of a condition that has none.

    Args:
        scorers: Of all conditions, see `control.scorers.panel`.
        wanted: What all pictures should show, on the device to work on.
        judge: The judge of scenes on that device; None where the pictures are no scenes.
        independent: Scorers that the model was not conditioned with, or those that it was.
    """
    chosen: dict[str, OneScorer] = {}
    for scorer in scorers:
        if scorer.independent == independent:
            chosen.setdefault(scorer.condition, scorer)
    device = wanted.batch["image"].device

    def score(
        name: str, pictures: Float[Tensor, "b 3 h w"], rows: Int[Tensor, " b"]
    ) -> Float[Tensor, " b"] | None:
        if name not in chosen:
            return None
        shown = Shown(to_bytes(pictures).to(device), judge)  # as they would be saved
        return chosen[name].score(shown, wanted[rows]).float().cpu()

    return score

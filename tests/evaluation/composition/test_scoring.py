"""From the scorers of single conditions to one that asks the right one about the right pictures."""

import torch

from composer_pl.evaluation.composition.scoring import crossing_scorer
from composer_pl.evaluation.control.pictures import Wanted
from composer_pl.evaluation.control.scorers import Scorer
from composer_pl.types import Batch


def scorer(condition, name, independent, factor):
    """The mean of the picture against the value, times a factor that tells who scored."""

    def score(shown, wanted):
        return factor * (shown.pictures.mean((1, 2, 3)) - wanted.values[condition])

    return Scorer(condition=condition, name=name, independent=independent, score=score)


def wanted(values):
    count = len(next(iter(values.values())))
    rows = torch.arange(count)
    batch = Batch(
        source=torch.zeros(count, 3, 8, 8),
        image=torch.zeros(count, 3, 8, 8),
        caption=[""] * count,
        index=rows,
        key=rows,
        identity=rows,
    )
    return Wanted(batch=batch, values=values, judged={})


def test_the_first_scorer_of_a_kind_judges_pictures_as_they_would_be_saved():
    scorers = [
        scorer("x", "judge", True, 10),
        scorer("x", "second judge", True, 100),
        scorer("x", "own", False, 1),
        scorer("y", "own", False, 1),
    ]
    target = wanted({"x": torch.tensor([0.0, 1.0, 2.0]), "y": torch.zeros(3)})
    pictures = torch.full((2, 3, 4, 4), 0.5001)
    saved = round((0.5001 + 1) * 127.5) / 127.5 - 1
    rows = torch.tensor([2, 1])
    independent = crossing_scorer(scorers, target, None, independent=True)
    own = crossing_scorer(scorers, target, None, independent=False)
    expected = torch.tensor([saved - 2, saved - 1])
    torch.testing.assert_close(independent("x", pictures, rows), 10 * expected)
    torch.testing.assert_close(own("x", pictures, rows), expected)
    assert independent("y", pictures, rows) is None
    assert own("y", pictures, rows) is not None

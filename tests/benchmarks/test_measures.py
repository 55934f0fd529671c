import pytest
import torch
from arms import HELD_OUT, PAIRS, SEEN
from cases import UNUSUAL, USUAL
from measures import material_contrast, material_marks, pair_contrast, retention_contrast

from composer_pl.data.scenes.vocabulary import MATERIALS
from composer_pl.evaluation.composition.marks import pair_marks

ASKED = torch.tensor([PAIRS.index(pair) for pair in HELD_OUT]).repeat_interleave(10)
CONTROL = torch.tensor([PAIRS.index(pair) for pair in SEEN]).repeat_interleave(10)


def saying(pairs, count=56):
    """Logits of a judge that is sure of one answer for each picture."""
    return torch.nn.functional.one_hot(torch.as_tensor(pairs), count).float() - 0.5


def _arms(a_right, b_right):
    """Pictures of which the given shares show what was asked, and else a seen neighbour."""
    neighbour = torch.tensor(
        [next(i for i in range(56) if PAIRS[i] in SEEN and i // 7 == a // 7) for a in ASKED]
    )
    place = torch.arange(len(ASKED)) % 10
    return {
        arm: pair_marks(saying(torch.where(place < 10 * right, ASKED, neighbour)), ASKED)
        for arm, right in (("A", a_right), ("B", b_right))
    }


@pytest.mark.parametrize(
    ("right", "verdict"), [(1.0, "composes"), (0.9, "composes"), (0.6, "partly"), (0.1, "fails")]
)
def test_the_verdict_is_that_of_the_plan(right, verdict):
    seen = {arm: pair_marks(saying(CONTROL), CONTROL) for arm in "AB"}
    found = pair_contrast(
        _arms(right, 1.0), seen, ASKED, CONTROL, "pair right", "confused with seen"
    )
    assert found["R"][0] == pytest.approx(right, abs=1e-4)
    assert found["D"][0] == pytest.approx(right - 1, abs=1e-4)
    assert found["verdict"] == verdict


def test_material_follows_the_size_or_the_word():
    asked = torch.arange(len(UNUSUAL)).repeat_interleave(5)
    wanted = torch.tensor([MATERIALS.index(kind.split()[0]) for kind in UNUSUAL])[asked]
    habit = {kind.split()[1]: kind.split()[0] for kind in USUAL}
    usual = torch.tensor([MATERIALS.index(habit[kind.split()[1]]) for kind in UNUSUAL])[asked]
    obeying = material_marks(saying(wanted, 4), asked, UNUSUAL)
    leaking = material_marks(saying(usual, 4), asked, UNUSUAL)
    assert obeying["material right"].mean() == 1
    assert obeying["usual instead"].sum() == 0
    assert leaking["material right"].sum() == 0
    assert leaking["usual instead"].mean() == 1
    control = torch.arange(len(USUAL)).repeat_interleave(5)
    answers = torch.tensor([MATERIALS.index(kind.split()[0]) for kind in USUAL])[control]
    normal = {arm: material_marks(saying(answers, 4), control, USUAL) for arm in "AB"}
    found = material_contrast({"A": obeying, "B": leaking}, normal, (asked, control))
    assert found["D"][0] == -1
    assert found["verdict"] == "fails"


def test_retention_is_of_what_a_condition_does_alone():
    noise = 0.01 * torch.randn(200)

    def arm(both):
        shared = {"floor": 0.2, "alone": 0.8, "both": both}
        return {f"{n} {k}": v + noise for n in ("sketch", "color") for k, v in shared.items()}

    found = retention_contrast({"A": arm(0.8), "B": arm(0.5)}, ("sketch", "color"))
    assert found["sketch"]["A"][0] == pytest.approx(1, abs=1e-4)
    assert found["color"]["B"][0] == pytest.approx(0.5, abs=1e-4)
    assert found["verdict"] == "fails"

import pytest

from composer_pl.errors import ConfigError
from composer_pl.systems.learning_rate import LearningRate


def test_warm_up_is_linear_and_ends_at_the_full_rate():
    rate = LearningRate(warmup_steps=4)
    assert [rate.factor(step) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_the_cosine_passes_through_its_middle_and_stays_at_its_end():
    rate = LearningRate(warmup_steps=10, decay="cosine", decay_steps=110, final=0.2)
    assert rate.factor(10) == 1.0
    assert rate.factor(60) == pytest.approx(0.6)
    assert rate.factor(110) == pytest.approx(0.2)
    assert rate.factor(10**6) == pytest.approx(0.2)


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert LearningRate(warmup_steps=0).factor(0) == 1.0


@pytest.mark.parametrize("end", [None, 5, 10])
def test_a_cosine_that_ends_before_it_begins_is_refused(end):
    with pytest.raises(ConfigError, match="decay_steps"):
        LearningRate(warmup_steps=10, decay="cosine", decay_steps=end)

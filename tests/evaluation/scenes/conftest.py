import pytest

from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.evaluation.scenes.rendered import UNSEEN, render_scenes


@pytest.fixture(scope="session")
def unseen():
    """Eight scenes with their truth."""
    sampler = SceneSampler(0)
    return render_scenes([sampler.scene(index) for index in range(UNSEEN, UNSEEN + 8)])

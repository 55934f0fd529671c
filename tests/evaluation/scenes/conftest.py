import pytest

from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.evaluation.scenes.rendered import UNSEEN, render_scenes


@pytest.fixture(scope="session")
def unseen():
    """Eight scenes of one to three objects, as the judge knows them, with their truth."""
    sampler = SceneSampler(0, SceneRules(max_objects=3))
    return render_scenes([sampler.scene(index) for index in range(UNSEEN, UNSEEN + 8)])

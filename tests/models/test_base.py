"""The model: losses per sample, plain descriptions, refusal of contradictions."""

import json
from dataclasses import replace

import pytest
import torch
from fakes import FakeGlobal, FakeLocal
from tiny import TINY

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import CheckpointError, ConfigError, UnknownConditionError
from composer_pl.models.base import ComposerModel


def test_the_loss_of_a_sample_does_not_depend_on_its_batch(model, values):
    generator = torch.Generator().manual_seed(2)
    x_0, eps = torch.randn(2, 3, 3, 16, 16, generator=generator)
    t = torch.tensor([10, 500, 990])
    keep = torch.tensor([[True, False, True], [True, True, False]])
    together = model.loss(x_0, values, keep, t, eps)
    for i in range(3):
        one = slice(i, i + 1)
        part = {name: value[one] for name, value in values.items()}
        alone = model.loss(x_0[one], part, keep[:, one], t[one], eps[one])
        torch.testing.assert_close(together[one], alone, rtol=1e-5, atol=1e-6)


def test_conditions_change_the_prediction_and_dropped_ones_do_not(model, values):
    x_t, t = torch.randn(3, 3, 16, 16), torch.tensor([300, 300, 300])

    def predict(given, keep):
        return model.predict(x_t, t, model.encode(given, torch.tensor(keep)))

    kept, dropped = [[True] * 3] * 2, [[False] * 3] * 2
    other = {name: value.roll(1, 0) for name, value in values.items()}
    assert (predict(values, kept) - predict(other, kept)).abs().max() > 1e-4
    assert torch.equal(predict(values, dropped), predict(other, dropped))


@pytest.mark.usefixtures("fake_plugins")
def test_a_model_is_rebuilt_from_its_description_as_json(model):
    text = json.dumps(model.describe())
    rebuilt = ComposerModel.from_description(json.loads(text))
    assert rebuilt.describe() == model.describe()
    rebuilt.load_state_dict(model.state_dict())


@pytest.mark.usefixtures("fake_plugins")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"format": 99}, CheckpointError, "expected format 1, found 99"),
        ({"backbone": {"width": 3}}, CheckpointError, "damaged or foreign"),
        ({"backbone": None}, CheckpointError, "damaged or foreign"),
        ({"backbone": {"channels": 47}}, CheckpointError, "channels must be even, found 47"),
        ({"process": {"num_timesteps": "1000"}}, CheckpointError, "damaged or foreign"),
        ({"process": {"schedule": "cosin"}}, CheckpointError, "damaged or foreign"),
        ({"conditions": ["mean"]}, CheckpointError, "damaged or foreign"),
        ({"conditions": {"mean": "FakeGlobal"}}, CheckpointError, "damaged or foreign"),
        ({"conditions": {"x": {"plugin": "os.system", "init_args": {}}}}, Exception, "os.system"),
        (
            {
                "conditions": {
                    "x": {
                        "plugin": "gone",
                        "distribution": "composer-pl-gone",
                        "version": "1.0",
                        "init_args": {},
                    }
                }
            },
            UnknownConditionError,
            "pip install composer-pl-gone",
        ),
    ],
)
def test_a_foreign_description_is_refused(model, change, error, message):
    with pytest.raises(error, match=message):
        ComposerModel.from_description({**model.describe(), **change})


@pytest.mark.usefixtures("fake_plugins")
def test_a_damaged_description_is_told_with_one_next_step(model):
    description = model.describe()
    description["conditions"]["mean"]["init_args"]["tokens"] = "four"
    with pytest.raises(CheckpointError) as caught:
        ComposerModel.from_description(description)
    assert str(caught.value).count("Next:") == 1


def test_local_conditions_need_hint_channels():
    with pytest.raises(ConfigError, match=r"local conditions \(grey\) need hint channels"):
        ComposerModel(replace(TINY, hint_channels=0), ProcessConfig(), {"grey": FakeLocal()})


def test_the_output_must_have_room_for_a_learned_variance():
    with pytest.raises(ConfigError, match="needs 6 output channels, found 3"):
        ComposerModel(TINY, ProcessConfig(variance="learned_range"), {"mean": FakeGlobal()})
    ComposerModel(
        replace(TINY, out_channels=6), ProcessConfig(variance="learned_range"), {"m": FakeGlobal()}
    )

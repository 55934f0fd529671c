"""Training and measuring the scene upsampler, at the smallest size."""

from types import SimpleNamespace

import pytest
import torch
from tiny import UPSAMPLER

from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.upsampler import UpsamplerModel


@pytest.fixture
def pictures():
    """Eight pictures of 32 px with an edge each, as the part of a corpus that is read."""
    columns = torch.arange(32)
    pixels = torch.stack([40 + 150 * (columns > 8 + 2 * i) for i in range(8)]).to(torch.uint8)
    return SimpleNamespace(pixels=pixels[:, None, None].expand(8, 3, 32, 32).contiguous())


def train(pictures, **options):
    from upsampler import train_upsampler

    options = {"steps": 6, "batch": 4, "seed": 0, "every": 2, "backbone": UPSAMPLER, **options}
    return train_upsampler(pictures, device="cpu", **options)


def test_training_gives_a_description_halves_and_a_curve(pictures):
    said = []
    description, weights, curve = train(pictures, log=said.append)
    model = UpsamplerModel.from_description(description)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    assert [point["step"] for point in curve] == [2, 4, 6]
    assert "step 6/6" in said[-1]
    again = train(pictures, log=said.append)
    assert again[2][-1]["loss"] == curve[-1]["loss"]
    assert all(torch.equal(again[1][name], tensor) for name, tensor in weights.items())


@pytest.mark.slow
def test_losses_of_the_curve_fall_and_crops_are_possible(pictures):
    curve = train(pictures, steps=80, batch=16, every=20, lr=5e-3, crop=16, log=lambda _: None)[2]
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]


def test_the_rate_rises_and_falls():
    from upsampler import learning_rate

    rates = [learning_rate(step, 1000, 100) for step in range(1000)]
    assert rates[0] < 0.011
    assert max(rates) == pytest.approx(rates[99])
    assert rates[549] == pytest.approx(rates[550], rel=0.01)
    assert rates[-1] < 0.011


def test_a_network_that_knows_the_pictures_is_measured_as_perfect(pictures, monkeypatch):
    from upsampler import measure_upsampler, small

    model = UpsamplerModel.from_description(train(pictures, steps=1, every=1, log=id)[0]).eval()
    truth = pictures.pixels.float() / 127.5 - 1

    def knowing(self, x_t, t, enlarged, signals):
        alpha, sigma = self.process.alpha_sigma(t, x_t)
        return (alpha * x_t - self.diffused(truth, small(truth, 2))) / sigma

    monkeypatch.setattr(UpsamplerModel, "predict", knowing)
    found = measure_upsampler(model, pictures, recipe=SamplingRecipe(steps=3), batch=8)
    ours, rival = found["model"], found["bicubic"]
    assert ours["psnr"] == ours["psnr_edges"] == 100
    assert ours["gradient_error"] == pytest.approx(0, abs=1e-3)
    assert ours["sharpness"] == pytest.approx(1, abs=1e-4)
    assert ours["consistency"] > 45, "but for the rounding of the small picture"
    assert found["better_psnr"] == 1
    assert rival["psnr"] < 40
    assert rival["psnr_edges"] < rival["psnr"]
    assert rival["sharpness"] < 0.9
    assert rival["gradient_error"] > 0.5

"""Training in sittings: what it draws, and that a stop changes nothing."""

from dataclasses import replace

import pytest
import torch
from tiny import TINY

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.models.storage import save_model

SMALL = replace(TINY, hint_scale=1)


@pytest.fixture
def start(tmp_path):
    from composer_pl_color import Color
    from composer_pl_intensity import Intensity
    from composer_pl_masking import Masking

    torch.manual_seed(0)
    plugins = {"color": Color(), "intensity": Intensity(), "masking": Masking()}
    model = ComposerModel(SMALL, ProcessConfig(prediction="v", variance="fixed"), plugins)
    save_model(model, tmp_path / "start")
    return tmp_path / "start"


@pytest.fixture
def bank():
    from bank import Bank

    generator = torch.Generator().manual_seed(0)
    side = SMALL.resolution
    return Bank(
        x_0=torch.randint(256, (6, 3, side, side), generator=generator, dtype=torch.uint8),
        fixed={"color": torch.rand(6, 156, generator=generator).softmax(1).half()},
        texts=1,
        masks=torch.rand(4, 1, side, side, generator=generator) > 0.5,
        greys=torch.full((1, 3), 1 / 3),
    )


def test_a_stop_changes_nothing(start, bank, tmp_path):
    from sittings import Settings, Sitting

    settings = Settings(steps=6, batch=2, warmup=2)
    whole = Sitting(start, settings)
    for _ in range(6):
        whole.train_step(bank)
    first = Sitting(start, settings)
    for _ in range(3):
        first.train_step(bank)
    first.save(tmp_path / "state.pt")
    second = Sitting(start, settings)
    second.resume(tmp_path / "state.pt")
    assert second.step == 3
    for _ in range(3):
        second.train_step(bank)
    for a, b in zip(whole.average, second.average, strict=True):
        assert torch.equal(a, b)
    with pytest.raises(SystemExit, match="give the same"):
        Sitting(start, Settings(steps=7, batch=2)).resume(tmp_path / "state.pt")


def test_focus_keeps_one_condition_alone_as_often_as_it_says():
    from sittings import draw_focused

    keep = torch.ones(3, 20_000, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    focus = {"a": 0.3, "absent": 0.2, "c": 0.1}
    found = draw_focused(keep, ["a", "b", "c"], generator, focus)
    assert keep.all()
    alone = found.sum(0) == 1
    assert (found[0] & alone).float().mean() == pytest.approx(0.3, abs=0.02)
    assert (found[2] & alone).float().mean() == pytest.approx(0.1, abs=0.02)
    assert found[:, ~alone].all()


def test_noisy_timesteps_are_drawn_as_often_as_it_says():
    from sittings import NOISY, draw_timesteps

    share, begin = NOISY
    t = draw_timesteps(50_000, 1000, torch.Generator().manual_seed(0), NOISY)
    assert (t >= begin * 1000).float().mean() == pytest.approx(
        share + (1 - share) * (1 - begin), abs=0.01
    )
    assert t.min() >= 0
    assert t.max() == 999

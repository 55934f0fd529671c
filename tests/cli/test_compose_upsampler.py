"""`compose --upsampler` from the command line, and what it answers to mistakes."""

import pytest
import torch
from PIL import Image
from tiny import TINY, UPSAMPLER

from composer_pl.cli import main
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.models.storage import save_model
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig

pytestmark = pytest.mark.usefixtures("fake_plugins")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A base model, its upsampler, and one that does not fit, in the working directory."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    process = ProcessConfig(prediction="v")
    models = {
        "model": ComposerModel(TINY, process, {}),
        "larger": UpsamplerModel(UPSAMPLER, process, {}, UpsamplingConfig()),
        "other": UpsamplerModel(UPSAMPLER, process, {}, UpsamplingConfig(factor=4)),
    }
    for name, model in models.items():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        save_model(model, name)
    return tmp_path


def compose(*arguments):
    return main(["compose", "--ckpt", "model", "--out", "out", "--steps", "2", *arguments])


def test_pictures_and_sheet_are_the_upsamplers(folder):
    assert compose("-n", "2", "--upsampler", "larger", "--upsampler-steps", "2") == 0
    with Image.open("out/001.png") as picture:
        large = picture.convert("RGB")
    assert large.size == (32, 32)
    with Image.open("out/sheet.png") as sheet:
        assert sheet.width == 2 * 192 + 3 * 6
        shown = sheet.crop((6 + 192 + 6, 22, 6 + 192 + 6 + 192, 22 + 192))
    assert shown.tobytes() == large.resize((192, 192), Image.Resampling.NEAREST).tobytes()


def test_steps_of_the_upsampler_matter_and_have_a_default(folder):
    drawn = []
    for steps in ((), ("--upsampler-steps", "15"), ("--upsampler-steps", "2")):
        assert compose("-n", "1", "--upsampler", "larger", *steps) == 0
        with Image.open(folder / "out" / "000.png") as picture:
            drawn.append(picture.tobytes())
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--upsampler", "model"], "expected an upsampler, found a base model"),
        (["--upsampler", "absent"], "found nothing there"),
        (["--upsampler", "other"], "expected an upsampler from 16 px"),
        (["--ckpt", "larger"], "expected a base model, found an upsampler"),
        (["--upsampler-steps", "5"], "needs an --upsampler"),
        (["--tile", "32"], "--tile needs an --upsampler"),
        (["--upsampler", "larger", "--tile", "7"], "tiles of at least 8 pixels"),
        (["--upsampler", "larger", "--upsampler-steps", "0"], "steps must be in 1..1000"),
        (["--upsampler", "larger", "--size", "17x16"], "multiples of"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(folder, capsys, arguments, message):
    assert compose(*arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (folder / "out").exists()

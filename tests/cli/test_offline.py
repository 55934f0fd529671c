"""The commands of a first day need no network: each runs in a process that has none."""

import blocked
import pytest
from PIL import Image

TINY = """
model:
  backbone: {channels: 8, channel_mult: [1, 2], num_res_blocks: 1, attention_levels: [1],
             head_dim: 8, context_dim: 8, hint_channels: 4, hint_scale: 2,
             out_channels: 3, resolution: 16}
  conditions: {grey: {class_path: fakes.FakeLocal}, text: {class_path: fakes.FakeCaption}}
data: {root: pictures, canvas: 32, batch_size: 4, num_workers: 1, val_fraction: 0.3}
previews: {every_n_steps: 0}
trainer: {max_steps: 1, accelerator: cpu}
"""


@pytest.fixture
def place(fake_plugins, tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "pictures").mkdir()
    for i in range(8):
        Image.new("RGB", (40, 40), (i * 30, 255 - i * 30, 99)).save(
            tmp_path / "pictures" / f"{i}.png"
        )
    return tmp_path


def run(place, *words):
    ended = blocked.run(*words, cwd=place, env={"PYTHONPATH": str(place / "site")})
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.mark.slow
def test_fit_decompose_and_compose_ask_for_no_network(place):
    run(place, "fit", "--config", "tiny.yaml")
    checkpoint = "runs/tiny/checkpoints/step-00000001.ckpt"
    # Without --conditions: whatever is installed here is looked at.
    run(place, "decompose", "pictures/1.png", "--out", "apart", "--caption", "a cab")
    assert (place / "apart" / "1" / "parts.safetensors").is_file()
    words = ("--from", "pictures/1.png", "--keep", "grey", "-n", "1", "--steps", "2")
    run(place, "compose", "--ckpt", checkpoint, "--out", "new", "--give", "text=a cab", *words)
    assert (place / "new" / "000.png").is_file()


@pytest.mark.slow
def test_doctor_asks_for_no_network(place):
    ended = blocked.run("doctor", cwd=place)
    assert ended.returncode == 0, ended.stdout
    assert "BROKEN" not in ended.stdout
    assert "Traceback" not in ended.stderr

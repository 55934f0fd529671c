"""A stranger's package, outside the source tree, becomes a ninth condition."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "composer-pl-ninth"
version = "1.2.3"
license = "BSD-3-Clause"
requires-python = ">=3.11"
dependencies = ["composer-pl>=0.1,<0.2"]

[project.entry-points."composer_pl.conditions"]
ninth = "composer_pl_ninth:Ninth"

[tool.hatch.build.targets.wheel]
packages = ["src/composer_pl_ninth"]
"""

PLUGIN = '''
"""A condition of somebody else."""

from composer_pl.plugin import ConditionPlugin, RepresentationSpec, VectorEncoder


class Ninth(ConditionPlugin):
    """Mean brightness of a coarse grid of cells.

    Args:
        cells: Cells along each side.
        drop_prob: Probability of dropping it in training.
    """

    scope = "global"
    canvas = 32

    def __init__(self, *, cells: int = 2, drop_prob: float = 0.5):
        self.cells = cells
        self.drop_prob = drop_prob

    @property
    def spec(self):
        return RepresentationSpec(shape=(self.cells**2,), value_range=(-1.0, 1.0))

    def build_extractor(self):
        from torch.nn.functional import adaptive_avg_pool2d

        return lambda image: adaptive_avg_pool2d(image.mean(1), self.cells).flatten(1)

    def build_encoder(self, dims):
        return VectorEncoder(self.cells**2, dims, tokens=1)
'''

CONFIG = """
seed_everything: 3
model:
  backbone:
    channels: 32
    channel_mult: [1, 2]
    num_res_blocks: 1
    attention_levels: [1]
    head_dim: 32
    context_dim: 32
    hint_channels: 4
    hint_scale: 2
    dropout: 0.0
    out_channels: 3
    resolution: 16
  process:
    schedule: cosine
    prediction: v
    variance: fixed
  conditions:
    ninth:
      class_path: composer_pl_ninth.Ninth
      init_args:
        cells: 3
data:
  canvas: 32
  batch_size: 4
  num_workers: 0
previews:
  every_n_steps: 0
checkpoints:
  every_n_steps: 2
trainer:
  accelerator: cpu
  devices: 1
  precision: 32-true
  max_steps: 4
"""

RELOAD = """
import sys
from composer_pl.composing.composer import Composer

checkpoint, folder, photo = sys.argv[1:]
composer = Composer.from_pretrained(checkpoint)
plugin = composer.model.plugins["ninth"]
print(type(plugin).__module__, plugin)
composer.save_pretrained(folder)
parts = Composer.from_pretrained(folder).decompose(photo)
print(sorted(parts))
"""


def run(*command, site=None, check=True):
    """Run a command in an environment whose path holds `site`."""
    paths = [str(site)] if site else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env=environment
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def composer_pl(*words, site=None, check=True):
    return run(sys.executable, "-m", "composer_pl", *words, site=site, check=check)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of installed packages with the wheel of the ninth plugin in it."""
    source = tmp_path_factory.mktemp("source")
    (source / "pyproject.toml").write_text(PYPROJECT)
    package = source / "src" / "composer_pl_ninth"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PLUGIN)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", source)
    (wheel,) = (source / "dist").glob("*.whl")
    folder = tmp_path_factory.mktemp("site")
    install = ["install", "--no-deps", "--no-index", "--target", folder, wheel]
    pip = run(sys.executable, "-m", "pip", "--version", check=False).returncode == 0
    if not pip and not shutil.which("uv"):
        pytest.skip("neither pip nor uv is here to install a wheel")
    run(*([sys.executable, "-m", "pip"] if pip else ["uv", "pip"]), *install)
    shutil.rmtree(source)  # the wheel must hold all
    return folder


@pytest.fixture(scope="module")
def trained(site, tmp_path_factory):
    """A run of the real `fit` with the ninth condition, interrupted after two steps of four."""
    folder = tmp_path_factory.mktemp("run")
    photos = folder / "photos"
    photos.mkdir()
    draws = np.random.default_rng(0)
    for number in range(8):
        pixels = draws.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 48), Image.Resampling.BICUBIC).save(
            photos / f"{number}.png"
        )
    config = folder / "ninth.yaml"
    config.write_text(CONFIG)
    words = ["fit", "--config", config, "--data.root", photos]
    words += ["--trainer.default_root_dir", folder / "out"]
    composer_pl(*words, "--trainer.max_steps", "2", site=site)
    composer_pl(*words, "--ckpt_path", "last", site=site)
    return folder


def newest_checkpoint(folder):
    return max((folder / "out" / "checkpoints").glob("step-*.ckpt"))


def test_it_is_listed_beside_the_others(site):
    before = json.loads(composer_pl("plugins", "list", "--json").stdout)
    after = json.loads(composer_pl("plugins", "list", "--json", site=site).stdout)
    (added,) = [record for record in after if record not in before]
    assert len(after) == len(before) + 1
    assert added == {
        "name": "ninth",
        "distribution": "composer-pl-ninth",
        "version": "1.2.3",
        "license": "BSD-3-Clause",
        "requires": "<0.2,>=0.1",
        "reference": "composer_pl_ninth:Ninth",
        "rivals": [],
        "problem": "",
    }


def test_it_keeps_the_contract(site):
    shown = composer_pl("plugins", "check", "ninth", site=site).stdout
    assert "0 failed, 0 skipped" in shown


def test_it_is_trained_with_and_resumed(trained):
    assert newest_checkpoint(trained).name.endswith("4.ckpt")


def test_its_model_is_saved_reloaded_and_used(trained, site):
    checkpoint, photo = newest_checkpoint(trained), trained / "photos" / "0.png"
    program = [sys.executable, "-c", RELOAD]
    shown = run(*program, checkpoint, trained / "model", photo, site=site).stdout
    assert shown.splitlines() == [
        "composer_pl_ninth Ninth(cells=3, drop_prob=0.5)",
        "['ninth']",
    ]


def test_the_control_report_includes_it(trained, site):
    checkpoint, out = newest_checkpoint(trained), trained / "control"
    words = ["eval", "control", "--ckpt", checkpoint, "--out", out, "-n", "4", "--steps", "1"]
    words += ["--data.root", trained / "photos", "--again", "2"]
    shown = composer_pl(*words, site=site).stdout
    assert "1 conditions on 4 pictures" in shown
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    found = {line["measure"]: line["value"] for line in lines}
    assert found["ninth by own extractor: ceiling"] > 0.95
    assert found["ninth by own extractor: floor"] < found["ninth by own extractor: ceiling"]
    assert "none: own extractor" in (out / "report.html").read_text()


def test_without_the_package_a_checkpoint_names_it(trained):
    checkpoint = newest_checkpoint(trained)
    out = trained / "composed"
    done = composer_pl("compose", "--ckpt", checkpoint, "-n", "1", "--out", out, check=False)
    assert done.returncode == 2
    assert "pip install composer-pl-ninth" in done.stderr
    assert "Traceback" not in done.stderr

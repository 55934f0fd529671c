"""What `fit` answers to mistakes in files and on the command line; nothing foreign is imported."""

import sys
from pathlib import Path

import pytest

from composer_pl.cli import main

CONFIG = str(Path(__file__).parents[2] / "configs" / "quickstart.yaml")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def fit(*arguments):
    return main(["fit", "--config", CONFIG, *arguments])


def sketch_is(folder, text):
    path = folder / "other.yaml"
    path.write_text(f"model:\n  conditions:\n    sketch:\n      {text}\n")
    return "--config", str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.backbone.chanels", "3"], "did you mean 'model.backbone.channels'?"),
        (["--trainer.max_step", "3"], "did you mean '--trainer.max_steps'?"),
        (["--optimizer.lr", "3"], "no option 'optimizer.lr'"),
        (["--model.conditions.sketch.init_args.edgs", "canny"], "did you mean 'edges'?"),
        (["--model.conditions.sketsh.init_args.edges", "canny"], "did you mean 'sketch'?"),
        (["--model.conditions.sketch.init_args.edges", "cany"], "canny"),
        (["--data.batch_size", "many"], "batch_size"),
        (["--seed_everything", "-1"], "seed_everything must be in 0..4294967295, found -1. Next:"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--data.root", ".", "--trainer.max_steps", "-5"], "You passed in -5. Next:"),
        (["--data.sources", "[{root: x, kind: foldr}]"], "did you mean 'folder'?"),
        (["--data.rot", "x"], "did you mean 'data.root'? Next:"),
        (["--data.sources", "[{rot: x}]"], "data.sources has no option 'rot'"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(capsys, arguments, message):
    assert fit(*arguments) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told
    assert "Next:" in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("modle: {seed: 3}", "did you mean 'model'?"),
        ("model: [1, 2]", "options below 'model' were expected, found [1, 2]"),
        ("", "found NoneType"),
        ("model: [", "at line"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(tmp_path, capsys, content, message):
    path = tmp_path / "other.yaml"
    path.write_text(content)
    assert fit("--config", str(path)) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told


def test_a_plugin_that_is_not_installed_is_named(tmp_path, capsys):
    assert fit(*sketch_is(tmp_path, "class_path: composer_pl_skech.Sketch")) == 2
    told = capsys.readouterr().err
    assert "did you mean 'sketch'?" in told
    assert "pip install composer-pl-skech" in told


@pytest.mark.parametrize("path", ["os.system", "subprocess.Popen", "shelve.open", "turtle.Turtle"])
def test_a_config_cannot_name_foreign_code(tmp_path, capsys, path):
    module = path.partition(".")[0]
    before = module in sys.modules
    arguments = sketch_is(tmp_path, f"class_path: {path}\n      init_args: {{command: touch x}}")
    assert fit(*arguments) == 2
    assert f"found '{path}', which was not imported" in capsys.readouterr().err
    assert (module in sys.modules) == before


def test_a_yaml_tag_is_not_executed(tmp_path, capsys):
    path = tmp_path / "tag.yaml"
    path.write_text(f"model: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    assert fit("--config", str(path)) == 2
    assert not (tmp_path / "made").exists()
    assert "Traceback" not in capsys.readouterr().err


def test_a_folder_without_pictures_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert fit("--data.root", "photos") == 2
    assert "photos" in capsys.readouterr().err.splitlines()[-1]


def test_last_without_a_checkpoint_does_not_start_from_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert fit("--data.root", ".", "--ckpt_path", "last") == 2
    assert "Next:" in capsys.readouterr().err

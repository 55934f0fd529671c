"""Reference runs that are shipped: their curves, grids and configuration.

A reference is a folder of `composer_pl/golden/`:

- `curve*.csv`: one loss curve a seed, at least one, as `composer_pl.evaluation.curves` reads them;
- `config.yaml`: the whole configuration, as `composer-pl fit` wrote it to its run folder; absent
  where the run was none of `fit`;
- `grid-STEP.png`: previews, any number;
- `README.md`: machine, seconds and versions; its first line is the title.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

import composer_pl
from composer_pl.errors import UserInputError, nearest
from composer_pl.evaluation.curves import Curve, read_curve

FOLDER = Path(composer_pl.__file__).parent / "golden"

_GRID = re.compile(r"(?:grid|step)-(\d+)\.png")
# What may differ without changing how the loss should go.
_FREE = (
    "ckpt_path", "config", "seed_everything", "model.seed", "data.seed", "data.num_workers",
    "model.cache_dir", "model.compile", "model.sampling", "previews", "probe", "checkpoints",
    "trainer.default_root_dir", "trainer.max_steps", "trainer.max_time", "trainer.max_epochs",
    "trainer.logger", "trainer.callbacks", "trainer.plugins", "trainer.log_every_n_steps",
    "trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.val_check_interval",
    "trainer.check_val_every_n_epoch", "trainer.limit_val_batches", "trainer.accelerator",
    "trainer.num_sanity_val_steps", "trainer.profiler", "trainer.benchmark",
    "trainer.deterministic",
)  # fmt: skip


def reference_names() -> list[str]:
    """The shipped references."""
    return sorted({path.parent.name for path in FOLDER.glob("*/curve*.csv")})


def reference(name: str) -> Path:
    """The folder of a reference.

    Raises:
        UserInputError: None of that name is shipped.
    """
    names = reference_names()
    if name not in names:
        raise UserInputError(
            f"Finding the reference {name!r}: expected one of {', '.join(names) or 'none'}, found "
            f"no such one{nearest(name, names) or '.'} Next: `composer-pl golden list`."
        )
    return FOLDER / name


def reference_curves(folder: Path) -> list[Curve]:
    """The curves of a reference, one a seed."""
    return [read_curve(path) for path in sorted(folder.glob("curve*.csv"))]


def title_of(folder: Path) -> str:
    """The first line of a reference's README, or nothing."""
    readme = folder / "README.md"
    lines = readme.read_text(encoding="utf-8").splitlines() if readme.is_file() else []
    return lines[0].lstrip("# ").strip() if lines else ""


def differences(run: Path, golden: Path) -> list[str] | None:
    """How the configuration of a run differs from a reference's where it concerns the loss.

    Args:
        run: The `config.yaml` of a run.
        golden: That of a reference.

    Returns:
        One text for each differing value; None where one of the two files is absent.

    Raises:
        UserInputError: A file is no YAML mapping.
    """
    if not (run.is_file() and golden.is_file()):
        return None
    mine, theirs = dict(_leaves(_mapping(run))), dict(_leaves(_mapping(golden)))
    missing = object()
    found = []
    for key in sorted(mine.keys() | theirs.keys()):
        if any(key == free or key.startswith(f"{free}.") for free in _FREE):
            continue
        here, there = mine.get(key, missing), theirs.get(key, missing)
        # An option that one of the two versions of composer-pl does not have is at its default.
        if here == there or (here is missing and there is None) or (there is missing and not here):
            continue
        shown = ["absent" if value is missing else repr(value) for value in (here, there)]
        found.append(f"{key} is {shown[0]}, in the reference {shown[1]}")
    return found


def grids(folder: Path) -> dict[int, Path]:
    """Step -> preview of a folder."""
    found = {}
    for path in sorted(folder.glob("*.png")):
        if match := _GRID.fullmatch(path.name):
            found[int(match[1])] = path
    return found


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        data = error
    if not isinstance(data, Mapping):
        raise UserInputError(
            f"Reading the configuration {str(path)!r}: expected YAML as `composer-pl fit` writes "
            f"it, found something else. Next: name a run folder of `composer-pl fit`."
        )
    return data


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, plain value); lists count by position."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{name}.{i}")
    else:
        yield name, value

"""What a person gave to `fit`: every key of the configuration files and of the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class UnreadableError(Exception):
    """A configuration file that cannot be read or is not YAML."""


@dataclass(frozen=True, slots=True)
class GivenKey:
    """One given key.

    Attributes:
        name: Dotted name.
        value: What it was set to: of a file the parsed value, of the command line the text.
        origin: Where it was given.
    """

    name: str
    value: Any
    origin: str


def given_keys(argv: Sequence[str]) -> list[GivenKey]:
    """Every key that the files and the command line give, containers included.

    Raises:
        UnreadableError: A file of `--config` is absent, no YAML, or no mapping.
    """
    keys: list[GivenKey] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("--") and word != "-c":
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            value = words.pop(0) if words and not words[0].startswith("--") else ""
        if name in ("config", "-c"):
            keys += _flat(_load(Path(value)), "", value)
        elif name:
            keys.append(GivenKey(name.removesuffix("+"), value, "the command line"))
    return keys


def _load(path: Path) -> Any:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableError(
            f"Reading the configuration {path}: a YAML file was expected, found none "
            f"({error.strerror}). Next: correct the path after --config."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise UnreadableError(
            f"Reading the configuration {path}: YAML was expected, found an error{where} "
            f"({problem}). Next: correct the file."
        ) from error
    if not isinstance(content, dict):
        raise UnreadableError(
            f"Reading the configuration {path}: sections such as `model:` and `data:` were "
            f"expected, found {type(content).__name__}. Next: start from a file in configs/."
        )
    return content


def _flat(value: Any, prefix: str, origin: str) -> list[GivenKey]:
    keys = [GivenKey(prefix, value, origin)] if prefix else []
    if isinstance(value, dict):
        for name, item in value.items():
            keys += _flat(item, f"{prefix}.{name}" if prefix else str(name), origin)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            keys += _flat(item, f"{prefix}.{i}", origin) if isinstance(item, dict) else []
    return keys

"""Conditions and a model of the `model` section of a configuration of `composer-pl fit`."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from composer_pl.backbones.unet import UNetConfig
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.plugin.api import ConditionPlugin


def read_config(path: Path) -> dict[str, Any]:
    """The `model` section of a configuration of `composer-pl fit`."""
    return yaml.safe_load(path.read_text())["model"]


def build_plugins(config: Mapping[str, Any]) -> dict[str, ConditionPlugin]:
    """The condition plugins of a `model` section."""
    plugins = {}
    for name, entry in config["conditions"].items():
        module, _, cls = entry["class_path"].rpartition(".")
        plugins[name] = getattr(importlib.import_module(module), cls)(**entry.get("init_args", {}))
    return plugins


def build_model(config: Mapping[str, Any], plugins: Mapping[str, ConditionPlugin]) -> ComposerModel:
    """An untrained model of a `model` section."""
    sizes = {k: tuple(v) if isinstance(v, list) else v for k, v in config["backbone"].items()}
    return ComposerModel(UNetConfig(**sizes), ProcessConfig(**config["process"]), plugins)

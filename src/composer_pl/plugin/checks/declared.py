"""Checks of what a plugin declares, and of how it is constructed."""
# ruff: noqa: D102 - the names of the checks say the fact

import inspect
import json
import os
import pickle
import re

from composer_pl.plugin.api import ConditionPlugin
from composer_pl.plugin.harness import loaded_by
from composer_pl.plugin.weights import WeightSpec


class DeclarationChecks:
    """A plugin is a plain, cheap object whose attributes are legal."""

    def test_declared_attributes_are_legal(self, plugin):
        assert plugin.scope in ("global", "local"), f"scope: {plugin.scope!r}"
        canvas = plugin.canvas
        assert canvas is None or (isinstance(canvas, int) and canvas > 0), f"canvas: {canvas!r}"
        assert plugin.resample in ("area", "bicubic", "nearest"), f"resample: {plugin.resample!r}"
        legal = (("image",), ("caption",), ("image", "caption"))
        assert plugin.inputs in legal, f"inputs: {plugin.inputs!r}, expected one of {legal}"
        assert isinstance(plugin.randomized, bool), f"randomized: {plugin.randomized!r}"
        assert 0 <= plugin.drop_prob <= 1, f"drop_prob: {plugin.drop_prob!r}"
        for spec in plugin.weights:
            assert isinstance(spec, WeightSpec), f"weights hold {spec!r}, expected a WeightSpec"
            assert spec.name == os.path.basename(spec.name), f"{spec.name!r} is no file name"
            assert spec.license, f"{spec.name} states no licence"
            assert spec.origin, f"{spec.name} states no origin"
            digits = re.fullmatch("[0-9a-f]{64}", spec.sha256)
            assert digits or not spec.sha256, f"{spec.name}: sha256 is 64 digits of 0-9 and a-f"
            if spec.converted:
                own, base = type(plugin).convert_weights, ConditionPlugin.convert_weights
                inherited = own.__qualname__ == base.__qualname__
                assert not inherited, f"{spec.name}: `converted` needs convert_weights"
        for spec in plugin.weights_in_use():
            assert spec in plugin.weights, f"{spec.name} is in use and not declared in `weights`"
        facts = plugin.agreement()
        assert all(isinstance(item, str) for pair in facts.items() for item in pair), facts

    def test_spec_is_legal(self, plugin):
        spec = plugin.spec
        sizes = [axis for axis in spec.shape if isinstance(axis, int)]
        assert all(size > 0 for size in sizes), f"shape: {spec.shape}"
        assert spec.dtype in ("float32", "int64"), f"dtype: {spec.dtype!r}"
        if plugin.scope == "local":
            assert spec.shape[1:] == ("H", "W"), f"a local shape is (c, H, W), found {spec.shape}"
        else:
            assert len(sizes) == len(spec.shape), f"a global shape has no H, W: {spec.shape}"
        if spec.value_range is not None:
            assert spec.value_range[0] < spec.value_range[1], f"value_range: {spec.value_range}"

    def test_constructor_is_keyword_only_and_typed(self, plugin):
        for item in inspect.signature(type(plugin)).parameters.values():
            assert item.kind is item.KEYWORD_ONLY, f"{item.name} must be keyword-only"
            assert item.annotation is not item.empty, f"{item.name} needs a type annotation"

    def test_config_is_plain_and_rebuilds_an_equal_plugin(self, plugin):
        text = json.dumps(plugin.config())  # a TypeError here names what is not plain data
        rebuilt = type(plugin)(**json.loads(text))
        assert rebuilt == plugin, f"from {text}: expected {plugin!r}, found {rebuilt!r}"

    def test_plugin_is_picklable(self, plugin):
        try:
            copy = pickle.loads(pickle.dumps(plugin))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            # The words differ between versions of Python.
            raise AssertionError(
                f"the plugin cannot be pickled, so it cannot be sent to workers: {error}"
            ) from error
        assert copy == plugin, "unpickling the plugin makes another one"

    def test_import_and_construction_load_nothing_heavy(self, plugin):
        cls = type(plugin)
        heavy = loaded_by(
            f"import {cls.__module__.partition('.')[0]}, json; "
            f"from {cls.__module__} import {cls.__name__}; "
            f"{cls.__name__}(**json.loads({json.dumps(plugin.config())!r}))"
        )
        assert not heavy, f"importing and constructing the plugin loads {', '.join(heavy)}"

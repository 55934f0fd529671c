"""The contract as tests: what a plugin's test class inherits, and `plugins check` runs.

A plugin's test file needs one fixture::

    class TestDepth(PluginContract):
        @pytest.fixture
        def plugin(self):
            return Depth()

Checks that need weights or a library that is absent are skipped, with that reason.
"""

import pytest
from jaxtyping import Float
from torch import Tensor

from composer_pl.plugin.api import ConditionPlugin
from composer_pl.plugin.checks.declared import DeclarationChecks
from composer_pl.plugin.checks.encoded import EncodingChecks
from composer_pl.plugin.checks.extracted import ExtractionChecks
from composer_pl.plugin.checks.used import UseChecks
from composer_pl.plugin.harness import SIDE, Samples, built_extractor, discs_on_gradients


class PluginContract(DeclarationChecks, ExtractionChecks, EncodingChecks, UseChecks):
    """Inherit, and give the fixture `plugin`; the others may be overridden.

    Fixtures:
        plugin: The configured plugin under test.
        images: `(3, 3, side, side)` in [-1, 1] at the plugin's canvas, three different pictures.
            The default draws discs on gradients; give photos where those show nothing.
        captions: Three different texts.
    """

    @pytest.fixture
    def plugin(self) -> ConditionPlugin:
        """The plugin under test."""
        raise NotImplementedError("A subclass of PluginContract must give the fixture `plugin`.")

    @pytest.fixture
    def images(self, plugin: ConditionPlugin) -> Float[Tensor, "b 3 s s"]:
        """Three different pictures."""
        return discs_on_gradients(plugin.canvas or SIDE)

    @pytest.fixture
    def captions(self) -> list[str]:
        """Three texts."""
        return ["a red disc", "two green fields under a wide sky", "blue"]

    @pytest.fixture
    def extracted(self, plugin, images, captions, request, monkeypatch) -> Samples:
        """Samples with an extractor; skips where weights or libraries are absent."""
        monkeypatch.delenv("COMPOSER_PL_ALLOW_DOWNLOADS", raising=False)
        return Samples(plugin, images, captions, built_extractor(request.cls, plugin))

    @pytest.fixture
    def samples(self, plugin, images, captions, request) -> Samples:
        """Samples with an extractor where that can be, else with random values."""
        try:
            return request.getfixturevalue("extracted")
        except pytest.skip.Exception:
            return Samples(plugin, images, captions, None)

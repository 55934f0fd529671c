"""The contract: everything that a plugin package may import from composer-pl."""

from composer_pl.errors import (
    ComposerPLError,
    ConfigError,
    MissingDependencyError,
    MissingWeightsError,
    RepresentationError,
    UserInputError,
)
from composer_pl.plugin.api import ConditionPlugin, Extractor
from composer_pl.plugin.between import lerp, slerp
from composer_pl.plugin.encoders import ConditionEncoder, HintEncoder, VectorEncoder
from composer_pl.plugin.levels import white_level
from composer_pl.plugin.requirements import require
from composer_pl.plugin.weights import WeightSpec
from composer_pl.plugin.weights import resolve as resolve_weights
from composer_pl.randomness import derive_key, keyed_draws, keyed_generator, keyed_uniform
from composer_pl.types import BackboneDims, ConditionSignals, RepresentationSpec

__all__ = [
    "BackboneDims",
    "ComposerPLError",
    "ConditionEncoder",
    "ConditionPlugin",
    "ConditionSignals",
    "ConfigError",
    "Extractor",
    "HintEncoder",
    "MissingDependencyError",
    "MissingWeightsError",
    "RepresentationError",
    "RepresentationSpec",
    "UserInputError",
    "VectorEncoder",
    "WeightSpec",
    "derive_key",
    "keyed_draws",
    "keyed_generator",
    "keyed_uniform",
    "lerp",
    "require",
    "resolve_weights",
    "slerp",
    "white_level",
]

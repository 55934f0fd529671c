"""What scenes may hold: how many objects, which values, and which values together.

A pair of values is written as two words of different attributes in any order: "red sphere",
"metal cube", "small yellow".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from composer_pl.data.scenes.vocabulary import (
    ATTRIBUTES,
    FLOORS,
    MAX_OBJECTS,
    SKIES,
    attribute_of,
    require_known,
)
from composer_pl.errors import ConfigError

Pair = Mapping[str, str]
"""Attribute -> value, for two attributes."""


@dataclass(frozen=True, kw_only=True)
class SceneRules:
    """Limits of the scenes of one sampler.

    Attributes:
        min_objects: Fewest objects of a scene.
        max_objects: Most objects of a scene, at most five.
        shapes: Shapes to use; None means all, likewise below.
        sizes: Sizes to use.
        materials: Materials to use.
        colors: Colours to use, also as the second colour of patterns.
        floors: Floors to use.
        skies: Skies to use.
        excluded: Pairs that no object has. A pair with a colour counts for second colours too.
        required: At least one object of every scene has one of these pairs; they take turns by
            chance, each as likely.
        correlated: Pair -> probability: "red sphere": 0.9 makes nine tenths of the objects whose
            first word is red spheres.
    """

    min_objects: int = 1
    max_objects: int = MAX_OBJECTS
    shapes: Sequence[str] | None = None
    sizes: Sequence[str] | None = None
    materials: Sequence[str] | None = None
    colors: Sequence[str] | None = None
    floors: Sequence[str] | None = None
    skies: Sequence[str] | None = None
    excluded: Sequence[str] = ()
    required: Sequence[str] = ()
    correlated: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse unknown words and numbers out of range; contradictions show in the sampler."""
        if not 1 <= self.min_objects <= self.max_objects <= MAX_OBJECTS:
            raise ConfigError(
                f"Describing scenes: expected 1 <= min_objects <= max_objects <= {MAX_OBJECTS} "
                f"(more do not fit into the picture), found min_objects {self.min_objects} and "
                f"max_objects {self.max_objects}. Next: correct them."
            )
        for attribute, values in self.values.items():
            require_known(f"{attribute}s", values, ATTRIBUTES[attribute])
        require_known("floors", self.floor_names, FLOORS)
        require_known("skies", self.sky_names, SKIES)
        for text in (*self.excluded, *self.required, *self.correlated):
            read_pair(text)
        for text, probability in self.correlated.items():
            if not 0 <= probability <= 1:
                raise ConfigError(
                    f"Describing scenes: expected a probability in 0..1 for the correlation "
                    f"{text!r}, found {probability}. Next: correct it."
                )

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """Attribute -> the values in use."""
        chosen = {
            "size": self.sizes,
            "material": self.materials,
            "color": self.colors,
            "shape": self.shapes,
        }
        return {
            name: tuple(values if values is not None else ATTRIBUTES[name])
            for name, values in chosen.items()
        }

    @property
    def floor_names(self) -> tuple[str, ...]:
        """Floors in use."""
        return tuple(FLOORS if self.floors is None else self.floors)

    @property
    def sky_names(self) -> tuple[str, ...]:
        """Skies in use."""
        return tuple(SKIES if self.skies is None else self.skies)


def read_pair(text: str) -> dict[str, str]:
    """Read "red sphere" as {"color": "red", "shape": "sphere"}, in the order of the words.

    Raises:
        ConfigError: When it is not two known values of two attributes.
    """
    doing = f"Reading the pair {text!r}"
    words = text.replace(",", " ").split()
    pair = {attribute_of(word, doing=doing): word for word in words}
    if len(words) != 2 or len(pair) != 2:
        raise ConfigError(
            f"{doing}: expected two values of two attributes, such as 'red sphere', found "
            f"{len(words)} of {', '.join(pair) or 'none'}. Next: correct it."
        )
    return pair

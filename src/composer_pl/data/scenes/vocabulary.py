"""The words that scenes are made of: solids, sizes, materials, colours, floors and skies."""

from collections.abc import Iterable

from composer_pl.errors import ConfigError, nearest

SHAPES = ("sphere", "cube", "cylinder", "cone", "torus", "capsule", "octahedron")
"""The solids; the order is that of the classes of instances, counted from 0."""

SIZES = {"small": 0.44, "medium": 0.64, "large": 0.90}
"""Scale of a solid by the name of its size; a sphere's radius in scene units."""

MATERIALS = ("matte", "shiny", "metal", "patterned")

PATTERNS = ("stripes", "checks", "dots")

# Far apart in every light of `skies.py`: tests measure the least distance in CIELAB.
COLORS = {
    "red": (0.82, 0.07, 0.08),
    "orange": (0.98, 0.47, 0.05),
    "yellow": (0.98, 0.86, 0.12),
    "green": (0.10, 0.58, 0.18),
    "cyan": (0.10, 0.76, 0.80),
    "blue": (0.10, 0.22, 0.82),
    "purple": (0.48, 0.13, 0.66),
    "white": (0.93, 0.93, 0.93),
}
"""Surface colours in sRGB."""

FLOORS = ("plain", "checked", "tiled", "planks", "striped", "speckled")

SKIES = ("clear", "cloudy", "overcast", "sunset", "night", "studio")

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "size": tuple(SIZES),
    "material": MATERIALS,
    "color": tuple(COLORS),
    "shape": SHAPES,
}
"""What an object is described by, in the order of English adjectives; no value is in two."""

MAX_OBJECTS = 5


def attribute_of(value: str, *, doing: str) -> str:
    """Return the attribute that a value belongs to.

    Args:
        value: Such as `red` or `cube`.
        doing: Beginning of the message, such as "Reading the excluded pair 'red cubr'".

    Raises:
        ConfigError: When no attribute has the value.
    """
    for attribute, values in ATTRIBUTES.items():
        if value in values:
            return attribute
    known = [known for values in ATTRIBUTES.values() for known in values]
    raise ConfigError(
        f"{doing}: expected values among {', '.join(known)}, found {value!r}"
        f"{nearest(value, known) or '.'} Next: correct the word."
    )


def require_known(kind: str, values: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a list that is empty or holds an unknown name.

    Raises:
        ConfigError: With the nearest known name.
    """
    known, values = tuple(known), tuple(values)
    doing = f"Describing scenes: expected {kind} among {', '.join(known)}, found"
    for value in values:
        if value not in known:
            raise ConfigError(
                f"{doing} {value!r}{nearest(value, known) or '.'} Next: correct the word."
            )
    if not values:
        raise ConfigError(f"{doing} none. Next: name at least one, or leave the list out.")

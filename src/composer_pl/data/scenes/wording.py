"""English for the words of scenes: nouns with plurals, adjectives, numbers, floors, skies."""

from collections.abc import Mapping, Sequence

NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "sphere": (("sphere", "spheres"), ("ball", "balls")),
    "cube": (("cube", "cubes"), ("block", "blocks")),
    "cylinder": (("cylinder", "cylinders"),),
    "cone": (("cone", "cones"),),
    "torus": (("torus", "tori"), ("ring", "rings")),
    "capsule": (("capsule", "capsules"), ("pill", "pills")),
    "octahedron": (("octahedron", "octahedra"), ("gem", "gems")),
}
"""Shape -> (singular, plural), the usual noun first."""

SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("small", "little"),
    "medium": ("medium-sized",),
    "large": ("large", "big"),
}
MATERIAL_WORDS: dict[str, tuple[str, ...]] = {
    "matte": ("matte",),
    "shiny": ("shiny", "glossy"),
    "metal": ("metal", "metallic"),
    "patterned": ("patterned",),
}
PATTERN_WORDS = {"stripes": "striped", "checks": "checked", "dots": "dotted"}
COUNTS = ("no", "one", "two", "three", "four", "five")
FLOOR_WORDS: dict[str, tuple[str, ...]] = {
    "plain": ("on a plain floor",),
    "checked": ("on a checked floor", "on a checkerboard floor"),
    "tiled": ("on a tiled floor", "on tiles"),
    "planks": ("on a wooden floor", "on wooden planks"),
    "striped": ("on a striped floor",),
    "speckled": ("on a speckled floor", "on a spotted floor"),
}
SKY_WORDS: dict[str, tuple[str, ...]] = {
    "clear": ("under a clear sky", "under a blue sky"),
    "cloudy": ("under a cloudy sky", "below white clouds"),
    "overcast": ("under a grey sky", "on an overcast day"),
    "sunset": ("at sunset", "under a sunset sky"),
    "night": ("at night", "under a night sky"),
    "studio": ("in a studio", "in front of a plain backdrop"),
}
RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "left of": ("to the left of", "left of"),
    "right of": ("to the right of", "right of"),
    "in front of": ("in front of",),
    "behind": ("behind",),
}


def noun_phrase(
    attributes: Mapping[str, str], count: int, words: Mapping[str, str], noun: tuple[str, str]
) -> str:
    """Word one group of objects: "a small red sphere", "two blue cubes with white dots".

    Args:
        attributes: What is said of them: size, material, color, shape, pattern, second_color.
        count: How many there are.
        words: Size and material -> the adjective chosen for it.
        noun: Singular and plural of the shape.
    """
    said = []
    if "size" in attributes:
        said.append(words[attributes["size"]])
    pattern = attributes.get("pattern", "")
    if pattern and "second_color" not in attributes:
        said.append(PATTERN_WORDS[pattern])
    elif "material" in attributes and not pattern:
        said.append(words[attributes["material"]])
    if "color" in attributes:
        said.append(attributes["color"])
    said.append(noun[count > 1])
    if pattern and "second_color" in attributes:
        said.append(f"with {attributes['second_color']} {pattern}")
    return f"{COUNTS[count]} {' '.join(said)}" if count > 1 else with_article(" ".join(said))


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a phrase."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def joined(phrases: Sequence[str]) -> str:
    """Join with commas and "and"."""
    if len(phrases) < 2:
        return "".join(phrases)
    return f"{', '.join(phrases[:-1])} and {phrases[-1]}"

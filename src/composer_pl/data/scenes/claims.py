"""What a caption claims of a scene, and whether it is so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from composer_pl.data.scenes.description import Scene, SceneObject

Relation = Literal["left of", "right of", "in front of", "behind"]

_APART = 0.10  # share of the picture's side between the projected middles
_DEEPER = 0.45  # scene units along the camera's axis
_LEAST_SKY = 0.08  # share of the picture above the horizon at which the sky is worth a word


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement.

    Attributes:
        kind: "objects": exactly `count` objects have `attributes`. "total": there are `count`
            objects. "relation": object `first` is `relation` object `second` (ids). "floor" and
            "sky": the scene's is `value`.
        count: See `kind`.
        attributes: Attribute -> value.
        relation: See `kind`.
        first: Id of an object.
        second: Id of another.
        value: Name of a floor or sky.
    """

    kind: Literal["objects", "total", "relation", "floor", "sky"]
    count: int = 0
    attributes: Mapping[str, str] = field(default_factory=dict)
    relation: Relation | None = None
    first: int = 0
    second: int = 0
    value: str = ""


def is_true(claim: Claim, scene: Scene) -> bool:
    """Tell whether a claim holds."""
    if claim.kind == "objects":
        return sum(has(thing, claim.attributes) for thing in scene.objects) == claim.count
    if claim.kind == "total":
        return len(scene.objects) == claim.count
    if claim.kind == "relation":
        return claim.relation in relations(scene, claim.first, claim.second)
    if claim.kind == "sky":
        return scene.surroundings.sky == claim.value and sky_is_seen(scene)
    return scene.surroundings.floor == claim.value


def has(thing: SceneObject, attributes: Mapping[str, str]) -> bool:
    """Tell whether an object has all of some attributes."""
    return all(getattr(thing, name) == value for name, value in attributes.items())


def relations(scene: Scene, first: int, second: int) -> list[Relation]:
    """All relations between two objects, by their ids, that are beyond doubt.

    Left and right are of the picture, by the projected middles; in front and behind by the distance
    of the middles along the camera's axis.
    """
    a, b = (scene.objects[i - 1].position for i in (first, second))
    found: list[Relation] = []
    x = scene.camera.projected(b)[0] - scene.camera.projected(a)[0]
    if abs(x) >= _APART:
        found.append("left of" if x > 0 else "right of")
    deeper = scene.camera.coordinates(b)[2] - scene.camera.coordinates(a)[2]
    if abs(deeper) >= _DEEPER:
        found.append("in front of" if deeper > 0 else "behind")
    return found


def sky_is_seen(scene: Scene) -> bool:
    """Tell whether enough of the picture lies above the horizon."""
    return scene.camera.sky_share >= _LEAST_SKY

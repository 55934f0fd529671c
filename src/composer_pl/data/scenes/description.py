"""A scene as a value: everything that its picture and its truth follow from.

Coordinates: x to the right, y up, z away from the camera's side; the floor is y = 0 and one unit is
about the radius of a large sphere.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

Vector = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneObject:
    """One solid that rests on the floor.

    Attributes:
        shape: One of `vocabulary.SHAPES`.
        size: One of `vocabulary.SIZES`.
        material: One of `vocabulary.MATERIALS`.
        color: One of `vocabulary.COLORS`.
        pattern: One of `vocabulary.PATTERNS`, empty unless the material is "patterned".
        second_color: The pattern's other colour, empty unless the material is "patterned".
        position: The middle of the solid.
        rotation: Turn about the vertical in radians.
        scale: Length of the solid's own unit.
    """

    shape: str
    size: str
    material: str
    color: str
    pattern: str = ""
    second_color: str = ""
    position: Vector
    rotation: float
    scale: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """A pinhole camera without roll that looks towards positive z.

    Attributes:
        position: Where it stands.
        pitch: Angle in radians by which it looks down.
        half_angle: Half of the field of view in radians, in both directions of the square picture.
    """

    position: Vector
    pitch: float
    half_angle: float

    def coordinates(self, point: Vector) -> Vector:
        """Return (right, up, along the axis) of a point, in scene units."""
        x, y, z = (point[i] - self.position[i] for i in range(3))
        c, s = math.cos(self.pitch), math.sin(self.pitch)
        return x, y * c + z * s, z * c - y * s

    def projected(self, point: Vector) -> tuple[float, float]:
        """Return (column, row) as shares of the picture's side, (0, 0) at its upper left corner."""
        right, up, depth = self.coordinates(point)
        reach = depth * math.tan(self.half_angle)
        return 0.5 + 0.5 * right / reach, 0.5 - 0.5 * up / reach

    @property
    def sky_share(self) -> float:
        """Share of the picture above the horizon."""
        return min(1.0, max(0.0, 0.5 - 0.5 * math.tan(self.pitch) / math.tan(self.half_angle)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """Floor, sky and light.

    Attributes:
        floor: One of `vocabulary.FLOORS`.
        floor_tone: Number of the floor's pair of colours.
        floor_rotation: Turn of the floor's pattern in radians.
        floor_scale: Length of the pattern's unit.
        sky: One of `vocabulary.SKIES`.
        light: Unit vector towards the key light.
        clouds: Offset of the sky's clouds and stars.
    """

    floor: str
    floor_tone: int
    floor_rotation: float
    floor_scale: float
    sky: str
    light: Vector
    clouds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A whole scene.

    Attributes:
        seed: Seed of its sampler.
        index: Its number.
        objects: Its solids, the nearest to the camera first: object i has the instance id i + 1.
        camera: Where it is seen from.
        surroundings: Floor, sky and light.
    """

    seed: int
    index: int
    objects: tuple[SceneObject, ...]
    camera: Camera
    surroundings: Surroundings

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Scene":
        """Read what `to_dict` gave, also after a journey through JSON."""
        objects = [SceneObject(**_vectors(o, "position")) for o in content["objects"]]
        return cls(
            seed=content["seed"],
            index=content["index"],
            objects=tuple(objects),
            camera=Camera(**_vectors(content["camera"], "position")),
            surroundings=Surroundings(**_vectors(content["surroundings"], "light")),
        )


def _vectors(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {**fields, name: tuple(fields[name])}

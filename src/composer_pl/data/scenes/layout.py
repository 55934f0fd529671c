"""Where the objects lie and where the camera stands."""

import math

from composer_pl.data.scenes.attributes import Attributes
from composer_pl.data.scenes.description import Camera, SceneObject, Vector
from composer_pl.data.scenes.draws import Draws
from composer_pl.data.scenes.solids import SOLIDS
from composer_pl.data.scenes.vocabulary import SIZES

_GAP = 0.10  # least clear floor between two objects
_MOST_HIDDEN = 0.40  # of an object's disc in the picture, behind the discs of nearer ones
_LAYOUTS, _PLACES = 200, 30


def lay_out(objects: list[Attributes], draws: Draws) -> tuple[tuple[SceneObject, ...], Camera]:
    """Place objects on the floor and a camera that has all of them wholly in view.

    Layouts are drawn until no object hides too much of another; each failure widens the ground, so
    that an end is certain.

    Returns:
        The objects, nearest first, and the camera.
    """
    spread = 1.0
    for _ in range(_LAYOUTS):
        placed = _place(objects, draws, spread)
        spread *= 1.02
        if placed is None:
            continue
        camera = _aim(placed, draws)
        placed.sort(key=lambda thing: camera.coordinates(thing.position)[2])
        if _mostly_seen(placed, camera):
            return tuple(placed), camera
    raise AssertionError("two hundred widening layouts, none of which is clear")


def footprint(thing: SceneObject) -> float:
    """Radius of the upright cylinder that holds an object."""
    return SOLIDS[thing.shape].footprint * thing.scale


def bound(thing: SceneObject) -> float:
    """Radius of the ball that holds an object."""
    return SOLIDS[thing.shape].bound * thing.scale


def _place(objects: list[Attributes], draws: Draws, spread: float) -> list[SceneObject] | None:
    """Drop objects on a round ground; None when one finds no free place."""
    scales = [SIZES[o["size"]] * draws.uniform(0.94, 1.06) for o in objects]
    radii = [
        SOLIDS[o["shape"]].footprint * s + _GAP / 2 for o, s in zip(objects, scales, strict=True)
    ]
    reach = 1.45 * spread * math.sqrt(sum(r * r for r in radii)) if len(objects) > 1 else 0.3
    placed: list[SceneObject] = []
    for attributes, scale, radius in zip(objects, scales, radii, strict=True):
        for _ in range(_PLACES):
            angle, out = draws.uniform(0, 2 * math.pi), math.sqrt(draws.uniform())
            x = 1.1 * reach * out * math.cos(angle)
            z = 0.9 * reach * out * math.sin(angle)
            if all(
                math.hypot(x - o.position[0], z - o.position[2]) > radius + _GAP / 2 + footprint(o)
                for o in placed
            ):
                break
        else:
            return None
        height = SOLIDS[attributes["shape"]].height * scale
        placed.append(
            SceneObject(
                **attributes,
                position=(x, height, z),
                rotation=draws.uniform(0, 2 * math.pi),
                scale=scale,
            )
        )
    return placed


def _aim(objects: list[SceneObject], draws: Draws) -> Camera:
    """Look down at the objects from as near as keeps all of them in view."""
    below = math.radians(9 + 27 * draws.uniform() ** 1.3)  # angle at which the camera looks down
    half = math.radians(draws.uniform(16, 25))
    # Tilting the camera up puts the objects into the lower part of the picture.
    tilt = half * draws.uniform(0.0, 0.38)
    fill = draws.uniform(0.82, 0.95)
    if len(objects) == 1:
        fill, tilt = draws.uniform(0.55, 0.82), 0.5 * tilt
    target = (
        0.5 * (min(o.position[0] for o in objects) + max(o.position[0] for o in objects)),
        sum(o.position[1] for o in objects) / len(objects),
        sum(o.position[2] for o in objects) / len(objects),
    )
    pitch = below - tilt
    here = Camera(position=target, pitch=pitch, half_angle=half)
    edge = math.atan(fill * math.tan(half))
    # Each side of the frame is a plane through the camera; going back by d along the line to the
    # target moves every ball by (0, -d sin tilt, d cos tilt) in the tilted camera's coordinates.
    back = 0.0
    for thing in objects:
        x, y, z = here.coordinates(thing.position)
        r, c, s = bound(thing), math.cos(edge), math.sin(edge)
        back = max(
            back,
            (r + abs(x) * c - z * s) / (s * math.cos(tilt)),
            (r + y * c - z * s) / math.sin(edge + tilt),
            (r - y * c - z * s) / math.sin(max(edge - tilt, 0.05)),
        )
    position: Vector = (
        target[0],
        target[1] + back * math.sin(below),
        target[2] - back * math.cos(below),
    )
    return Camera(position=position, pitch=pitch, half_angle=half)


def _mostly_seen(objects: list[SceneObject], camera: Camera) -> bool:
    """Tell whether no object's disc in the picture lies too far behind those of nearer ones."""
    discs: list[tuple[float, float, float]] = []
    for thing in objects:
        x, y = camera.projected(thing.position)
        depth = camera.coordinates(thing.position)[2]
        discs.append((x, y, 0.5 * bound(thing) / (depth * math.tan(camera.half_angle))))
    for far, (x, y, radius) in enumerate(discs):
        hidden = sum(
            _overlap(math.hypot(x - u, y - v), radius, other) for u, v, other in discs[:far]
        )
        if hidden > _MOST_HIDDEN * math.pi * radius * radius:
            return False
    return True


def _overlap(apart: float, a: float, b: float) -> float:
    """Area that two discs share."""
    if apart >= a + b:
        return 0.0
    if apart <= abs(a - b):
        return math.pi * min(a, b) ** 2
    u = (apart * apart + a * a - b * b) / (2 * apart)
    v = apart - u
    return (
        a * a * math.acos(u / a)
        + b * b * math.acos(v / b)
        - apart * math.sqrt(max(a * a - u * u, 0.0))
    )

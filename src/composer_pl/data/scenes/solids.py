"""The solids as signed distance functions in their own coordinates, all of them exact distances.

Distance functions: I. Quilez, "Distance functions" (2013), written here for tensors. Every solid is
convex but the torus. Only additions, products, quotients, roots and comparisons are used, whose
rounding IEEE 754 fixes: results do not depend on how many points are computed at once.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "3 *n"]
Distances = Float[Tensor, "*n"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Solid:
    """Measures of a solid of scale 1.

    Attributes:
        bound: Radius of the ball around its middle that holds it.
        footprint: Radius of the upright cylinder around its middle that holds it.
        height: Height of its middle above the floor it rests on.
        convex: Whether it is convex.
    """

    bound: float
    footprint: float
    height: float
    convex: bool = True


_CUBE, _CUBE_EDGE = 0.80, 0.10
_CYLINDER, _CYLINDER_HALF, _CYLINDER_EDGE = 0.80, 0.84, 0.08
_CONE, _CONE_HALF, _CONE_EDGE = 0.86, 0.92, 0.07
_RING, _TUBE = 0.70, 0.31
_CAPSULE_HALF, _CAPSULE = 0.62, 0.56
_OCTAHEDRON, _OCTAHEDRON_EDGE = 1.14, 0.06
_R3 = math.sqrt(3)

SOLIDS: dict[str, Solid] = {
    "sphere": Solid(bound=1.0, footprint=1.0, height=1.0),
    "cube": Solid(
        bound=_R3 * (_CUBE - _CUBE_EDGE) + _CUBE_EDGE,
        footprint=math.sqrt(2) * (_CUBE - _CUBE_EDGE) + _CUBE_EDGE,
        height=_CUBE,
    ),
    "cylinder": Solid(
        bound=math.hypot(_CYLINDER - _CYLINDER_EDGE, _CYLINDER_HALF - _CYLINDER_EDGE)
        + _CYLINDER_EDGE,
        footprint=_CYLINDER,
        height=_CYLINDER_HALF,
    ),
    "cone": Solid(
        bound=math.hypot(_CONE, _CONE_HALF) + _CONE_EDGE,
        footprint=_CONE + _CONE_EDGE,
        height=_CONE_HALF + _CONE_EDGE,
    ),
    "torus": Solid(bound=_RING + _TUBE, footprint=_RING + _TUBE, height=_TUBE, convex=False),
    "capsule": Solid(
        bound=_CAPSULE_HALF + _CAPSULE, footprint=_CAPSULE_HALF + _CAPSULE, height=_CAPSULE
    ),
    # Lies on a face: the axis of threefold symmetry stands upright.
    "octahedron": Solid(
        bound=_OCTAHEDRON + _OCTAHEDRON_EDGE,
        footprint=math.sqrt(2 / 3) * _OCTAHEDRON + _OCTAHEDRON_EDGE,
        height=_OCTAHEDRON / _R3 + _OCTAHEDRON_EDGE,
    ),
}


def distance(shape: str, p: Points) -> Distances:
    """Signed distance to a solid of scale 1 around the origin; negative inside."""
    return _FUNCTIONS[shape](p)


def _sphere(p: Points) -> Distances:
    return torch.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]) - 1.0


def _cube(p: Points) -> Distances:
    q = p.abs() - (_CUBE - _CUBE_EDGE)
    outside = q.clamp(min=0)
    length = torch.sqrt(outside[0] * outside[0] + outside[1] * outside[1] + outside[2] * outside[2])
    inside = torch.maximum(torch.maximum(q[0], q[1]), q[2]).clamp(max=0)
    return length + inside - _CUBE_EDGE


def _cylinder(p: Points) -> Distances:
    across = torch.sqrt(p[0] * p[0] + p[2] * p[2]) - (_CYLINDER - _CYLINDER_EDGE)
    along = p[1].abs() - (_CYLINDER_HALF - _CYLINDER_EDGE)
    inside = torch.maximum(across, along).clamp(max=0)
    across, along = across.clamp(min=0), along.clamp(min=0)
    return torch.sqrt(across * across + along * along) + inside - _CYLINDER_EDGE


def _cone(p: Points) -> Distances:
    across, y = torch.sqrt(p[0] * p[0] + p[2] * p[2]), p[1]
    base = torch.where(y < 0, _CONE, 0.0)
    a_x = across - torch.minimum(across, base)
    a_y = y.abs() - _CONE_HALF
    # The flank runs from the tip (0, half) to the rim (_CONE, -half).
    scale = 1 / (_CONE * _CONE + 4 * _CONE_HALF * _CONE_HALF)
    share = ((across * _CONE + (_CONE_HALF - y) * (2 * _CONE_HALF)) * scale).clamp(0, 1)
    b_x = across - _CONE * share
    b_y = y - _CONE_HALF + (2 * _CONE_HALF) * share
    near = torch.sqrt(torch.minimum(a_x * a_x + a_y * a_y, b_x * b_x + b_y * b_y))
    return torch.where((b_x < 0) & (a_y < 0), -near, near) - _CONE_EDGE


def _torus(p: Points) -> Distances:
    across = torch.sqrt(p[0] * p[0] + p[2] * p[2]) - _RING
    return torch.sqrt(across * across + p[1] * p[1]) - _TUBE


def _capsule(p: Points) -> Distances:
    x = p[0] - p[0].clamp(-_CAPSULE_HALF, _CAPSULE_HALF)
    return torch.sqrt(x * x + p[1] * p[1] + p[2] * p[2]) - _CAPSULE


def _octahedron(p: Points) -> Distances:
    # Axes in which the faces are |x| + |y| + |z| = const and (1, 1, 1) points up.
    u, v, w = p[0] * (1 / math.sqrt(2)), p[2] * (1 / math.sqrt(6)), p[1] * (1 / _R3)
    x, y, z = (u + v + w).abs(), (v + w - u).abs(), (w - v - v).abs()
    low = torch.minimum(torch.minimum(x, y), z)
    high = torch.maximum(torch.maximum(x, y), z)
    total = x + y + z
    middle = total - low - high
    over = total - _OCTAHEDRON
    # Nearest on a face unless the foot leaves it, then on the edge of the two largest axes.
    along = (0.5 * (high - middle + _OCTAHEDRON)).clamp(0, _OCTAHEDRON)
    to_high, to_middle = high - along, middle - _OCTAHEDRON + along
    edge = torch.sqrt(low * low + to_high * to_high + to_middle * to_middle)
    return torch.where(3 * low < over, edge, over * (1 / _R3)) - _OCTAHEDRON_EDGE


_FUNCTIONS = {
    "sphere": _sphere,
    "cube": _cube,
    "cylinder": _cylinder,
    "cone": _cone,
    "torus": _torus,
    "capsule": _capsule,
    "octahedron": _octahedron,
}

"""Between two palettes by optimal transport: colours change, they do not fade out and in.

Displacement interpolation (McCann 1997): the cheapest plan that carries one palette's mass to the
other's is found once, and at share t each parcel of it is t of its way along the straight line in
Lab. Half way from red to blue is purple, where the mean of the two palettes is red and blue.
"""

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.plugin import require
from composer_pl_color.codebook import BINS, ground_distance, reference_lab


def displaced(
    value: Float[Tensor, " 156"], other: Float[Tensor, " 156"], share: float
) -> Float[Tensor, " 156"]:
    """The palette a share of the way from one to another; both ends are exact.

    Args:
        value: The palette at share 0.
        other: The palette at share 1.
        share: In 0..1.

    Raises:
        MissingDependencyError: scipy is absent.
    """
    if share in (0, 1):
        return (other if share else value).clone()
    masses = [tuple(palette.detach().double().tolist()) for palette in (value, other)]
    start, end, mass = transport_plan(masses[0], masses[1])
    lab = reference_lab()
    bins, shares = around(torch.lerp(lab[start], lab[end], share))
    moved = torch.zeros(BINS, dtype=torch.float64)
    moved.index_add_(0, bins.flatten(), (mass[:, None] * shares).flatten())
    return moved.to(value)


@lru_cache(maxsize=8)  # every frame between two palettes asks for the same plan
def transport_plan(
    value: tuple[float, ...], other: tuple[float, ...]
) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"], Float[Tensor, " k"]]:
    """The cheapest plan between two palettes, exactly: from which colour, to which, how much.

    The cost is the squared Lab distance. A linear programme, solved by the dual simplex method of
    HiGHS in about 0.4 s for palettes that use all colours.

    Args:
        value: Masses of the reference colours; divided by their sum.
        other: The same of the other palette.

    Raises:
        MissingDependencyError: scipy is absent.
    """
    optimize = require("scipy.optimize", needed_by="Interpolating palettes", install="scipy")
    sparse = require("scipy.sparse", needed_by="Interpolating palettes", install="scipy")
    a, b = (torch.tensor(palette, dtype=torch.float64) for palette in (value, other))
    rows, columns = a.nonzero()[:, 0], b.nonzero()[:, 0]
    cost = ground_distance().square()[rows][:, columns]
    ones_a, ones_b = torch.ones(1, len(rows)).numpy(), torch.ones(1, len(columns)).numpy()
    sums = sparse.vstack(
        [
            sparse.kron(sparse.eye(len(rows)), ones_b),
            sparse.kron(ones_a, sparse.eye(len(columns))),
        ]
    ).tocsr()
    wanted = torch.cat([a[rows] / a.sum(), b[columns] / b.sum()]).numpy()
    found = optimize.linprog(cost.flatten().numpy(), A_eq=sums, b_eq=wanted, method="highs-ds")
    plan = torch.from_numpy(found.x.clip(min=0)).view(len(rows), len(columns))
    plan = plan / plan.sum()
    used = plan.nonzero()
    return rows[used[:, 0]], columns[used[:, 1]], plan[used[:, 0], used[:, 1]]


def around(lab: Float[Tensor, "n 3"]) -> tuple[Int[Tensor, "n 4"], Float[Tensor, "n 4"]]:
    """Share out colours among the reference colours around them, so that their mean stays.

    The references are the corners of the Delaunay tetrahedron that a colour lies in, and the shares
    its barycentric coordinates: a colour that is a reference is that one alone, and shares change
    steadily as a colour moves. Taking the nearest reference instead, a path of eight even steps has
    some that are four times as long as others.

    Args:
        lab: Colours between references.

    Returns:
        Indices and shares, rows of which sum to 1.
    """
    mesh, transforms, corners = _mesh()
    place = mesh.find_simplex(lab.numpy(), tol=1e-9)
    if (place < 0).any():  # on the surface, and outside by rounding
        inwards = torch.lerp(lab, reference_lab().mean(0), 1e-6)
        place = mesh.find_simplex(inwards.numpy(), tol=1e-9)
    found = torch.from_numpy(place).long()
    solving, origin = transforms[found, :3], transforms[found, 3]
    first = (solving * (lab - origin)[:, None]).sum(2)
    shares = torch.cat([first, 1 - first.sum(1, keepdim=True)], dim=1).clamp(min=0)
    return corners[found], shares / shares.sum(1, keepdim=True)


@lru_cache(maxsize=1)
def _mesh() -> tuple[Any, Float[Tensor, "m 4 3"], Int[Tensor, "m 4"]]:
    spatial = require("scipy.spatial", needed_by="Interpolating palettes", install="scipy")
    mesh = spatial.Delaunay(reference_lab().numpy())
    return mesh, torch.from_numpy(mesh.transform), torch.from_numpy(mesh.simplices).long()

"""Between two values of a representation: on the straight line, or along an arc."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def lerp(value: Shaped[Tensor, "*any"], other: Shaped[Tensor, "*any"], share: float) -> Tensor:
    """A share of the way on the straight line; integers name things, so the nearer one is taken.

    Args:
        value: At share 0.
        other: At share 1.
        share: In 0..1; both ends are exact, and nothing leaves the range of the two.
    """
    if not value.is_floating_point():
        return (value if share < 0.5 else other).clone()
    between = torch.lerp(value, other, share)
    return between.clamp(torch.minimum(value, other), torch.maximum(value, other))


def slerp(
    value: Float[Tensor, "*any d"], other: Float[Tensor, "*any d"], share: float
) -> Float[Tensor, "*any d"]:
    """A share of the way along the arc between two vectors (Shoemake 1985), as unCLIP does.

    The angle to the first grows in proportion to the share, and the length goes straight from one
    length to the other, so vectors of equal length keep it.

    Args:
        value: At share 0.
        other: At share 1.
        share: In 0..1; both ends are exact. A vector of zeros has no direction, and opposite ones
            have no single arc between them: there the way is straight.
    """
    if share in (0, 1):
        return (other if share else value).clone()
    a, b = value.double(), other.double()
    lengths = [vector.norm(dim=-1, keepdim=True) for vector in (a, b)]
    one, two = (v / n.clamp(min=1e-12) for v, n in zip((a, b), lengths, strict=True))
    # Kahan's angle: exact where two vectors are nearly parallel, unlike the arc cosine
    angle = 2 * torch.atan2((one - two).norm(dim=-1), (one + two).norm(dim=-1))[..., None]
    sine = angle.sin()
    direction = (one * ((1 - share) * angle).sin() + two * (share * angle).sin()) / sine
    arc = direction * torch.lerp(lengths[0], lengths[1], share)
    no_arc = (sine.abs() < 1e-6) | (lengths[0] == 0) | (lengths[1] == 0)
    return torch.where(no_arc, torch.lerp(a, b, share), arc).to(value.dtype)

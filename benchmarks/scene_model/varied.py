"""Light variations of training pictures, so that encoders read generated pictures as well."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def toned(image: Float[Tensor, "b 3 h w"], generator: torch.Generator) -> Tensor:
    """Change brightness and tint a little, and add grain to about half of the pictures.

    Args:
        image: In [-1, 1].
        generator: On its device.
    """
    count, device = len(image), image.device

    def draw(*size: int) -> Tensor:
        return torch.rand(count, *size, device=device, generator=generator)

    gain = 1 + 0.16 * (draw(3, 1, 1) - 0.5)
    shift = 0.12 * (draw(3, 1, 1) - 0.5)
    grain = torch.randn(image.shape, device=device, generator=generator)
    strength = 0.1 * (2 * draw(1, 1, 1) - 1).clamp(min=0)
    return (image * gain + shift + grain * strength).clamp(-1, 1)


def moved(
    image: Float[Tensor, "b 3 s s"], generator: torch.Generator, *, most: float = 0.05
) -> Tensor:
    """Shift and enlarge or shrink pictures by shares of the side; what is outside is mirrored."""
    count, device = len(image), image.device
    draws = most * (2 * torch.rand(count, 3, device=device, generator=generator) - 1)
    matrix = torch.zeros(count, 2, 3, device=device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1 + draws[:, 0]
    matrix[:, :, 2] = 2 * draws[:, 1:]
    grid = F.affine_grid(matrix, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)


def coarsened(image: Float[Tensor, "b 3 s s"], generator: torch.Generator) -> Tensor:
    """Bring half of the pictures to half their side and back, as the base model's are enlarged."""
    side = image.shape[-1]
    small = F.interpolate(image, scale_factor=0.5, mode="area")
    coarse = F.interpolate(small, size=(side, side), mode="bicubic", align_corners=False)
    chosen = torch.rand(len(image), 1, 1, 1, device=image.device, generator=generator) < 0.5
    return torch.where(chosen, coarse.clamp(-1, 1), image)

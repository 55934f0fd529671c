"""Scenes -> pictures with their truth, in batches of any size."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.pixels import SAMPLES, trace_pixels
from composer_pl.data.scenes.table import scene_table
from composer_pl.errors import ConfigError

SMALLEST, LARGEST = 16, 2048

# Pixels traced at once: many, because calling an operation costs as much as
# ten thousand numbers; few enough that a picture of any size fits into memory.
_CPU_BLOCK, _GPU_BLOCK = 1 << 17, 1 << 21


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendering:
    """Pictures and what each of their pixels shows at its middle.

    Attributes:
        scenes: What was drawn.
        pixels: 8-bit sRGB.
        layers: Instance ids along the ray, the nearest first, 0 after the last.
        depth: Distance along the camera's axis in scene units, infinite in the sky.
        normal: Unit normals in the scene's coordinates, zero in the sky.
    """

    scenes: tuple[Scene, ...]
    pixels: UInt8[Tensor, "b 3 s s"]
    layers: UInt8[Tensor, "b slots s s"]
    depth: Float[Tensor, "b s s"]
    normal: Float[Tensor, "b 3 s s"]

    @property
    def ids(self) -> UInt8[Tensor, "b s s"]:
        """Instance seen at each pixel: object i of a scene has the id i + 1, 0 is none."""
        return self.layers[:, 0]

    @property
    def image(self) -> Float[Tensor, "b 3 s s"]:
        """The pictures in [-1, 1]."""
        return self.pixels.float() / 127.5 - 1

    def whole_masks(self, picture: int) -> Bool[Tensor, "n s s"]:
        """Each object of one picture as if no other stood before it."""
        count = len(self.scenes[picture].objects)
        layers = self.layers[picture]
        return torch.stack([(layers == i + 1).any(0) for i in range(count)])

    def seen_masks(self, picture: int) -> Bool[Tensor, "n s s"]:
        """The visible part of each object of one picture."""
        count = len(self.scenes[picture].objects)
        ids = self.ids[picture]
        return torch.stack([ids == i + 1 for i in range(count)])


@torch.no_grad()
def render(
    scenes: Sequence[Scene],
    size: int = 256,
    *,
    samples: int = 5,
    device: torch.device | str = "cpu",
    block: int | None = None,
) -> Rendering:
    """Draw scenes; a picture's pixels are the same in any batch and with any `block`.

    Args:
        scenes: What to draw, at least one.
        size: Side of the pictures in pixels.
        samples: Samples of a pixel near an object: 1, 5 or 9.
        device: Where to compute; the result lies there too.
        block: Pixels traced at once; None suits the device.

    Raises:
        ConfigError: A number is out of range.
    """
    check_rendering(size, samples)
    table = scene_table(scenes, device)
    total = len(scenes) * size * size
    block = block or (_CPU_BLOCK if torch.device(device).type == "cpu" else _GPU_BLOCK)
    pixels = torch.empty(3, total, dtype=torch.uint8, device=device)
    layers = torch.empty(table.slots, total, dtype=torch.uint8, device=device)
    depth = torch.empty(total, device=device)
    normal = torch.empty(3, total, device=device)
    edges = _level_edges().to(device)
    for first in range(0, total, block):
        part = slice(first, min(first + block, total))
        number = torch.arange(part.start, part.stop, device=device)
        found = trace_pixels(table, number, size, samples)
        pixels[:, part] = torch.bucketize(found.color, edges, out_int32=True, right=True).to(
            torch.uint8
        )
        layers[:, part], depth[part] = found.layers, found.depth
        normal[:, part] = found.normal
    shape = (len(scenes), size, size)
    return Rendering(
        scenes=tuple(scenes),
        pixels=pixels.view(3, *shape).transpose(0, 1).contiguous(),
        layers=layers.view(table.slots, *shape).transpose(0, 1).contiguous(),
        depth=depth.view(shape),
        normal=normal.view(3, *shape).transpose(0, 1).contiguous(),
    )


def check_rendering(size: int, samples: int) -> None:
    """Refuse what `render` cannot draw.

    Raises:
        ConfigError: A number is out of range.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ConfigError(
            f"Rendering scenes: expected a size of {SMALLEST} to {LARGEST} pixels, found {size}. "
            "Next: correct it."
        )
    if samples not in SAMPLES:
        raise ConfigError(
            f"Rendering scenes: expected samples to be one of {', '.join(map(str, SAMPLES))}, "
            f"found {samples}. Next: correct it."
        )


def _level_edges() -> Float[Tensor, " 255"]:
    """Linear light at which each 8-bit sRGB level begins.

    Comparing with them gives the correctly rounded level without a power, whose last bit may depend
    on how many numbers are computed at once.
    """
    encoded = (torch.arange(255, dtype=torch.float64) + 0.5) / 255
    linear = torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return linear.float()

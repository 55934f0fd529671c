"""The tiny network of the library's own procedural scenes: what it looks like and what it knows.

A YOLOv8 segmentation network, narrower towards its coarse end, with seven classes. `training.py`
trains it; the package ships the result (`networks.CHECKPOINTS["tiny-scenes"]`).
"""

from typing import Any

NAMES = ("sphere", "cube", "cylinder", "cone", "torus", "capsule", "octahedron")
"""The solids of procedural scenes, in the order in which they number their classes."""

CANVAS = 256
"""Side of the picture that it is trained at."""

SLOTS = 5
"""The most objects that a scene holds."""


def description() -> dict[str, Any]:
    """The network as `networks.build_described` takes it; 2.0 million parameters.

    A new dictionary each time, as ultralytics writes into it.
    """
    return {
        "nc": len(NAMES),
        "channels": 3,
        "depth_multiple": 1.0,
        "width_multiple": 1.0,
        "backbone": [
            [-1, 1, "Conv", [16, 3, 2]],
            [-1, 1, "Conv", [32, 3, 2]],
            [-1, 1, "C2f", [32, True]],
            [-1, 1, "Conv", [64, 3, 2]],
            [-1, 2, "C2f", [64, True]],
            [-1, 1, "Conv", [96, 3, 2]],
            [-1, 2, "C2f", [96, True]],
            [-1, 1, "Conv", [160, 3, 2]],
            [-1, 1, "C2f", [160, True]],
            [-1, 1, "SPPF", [160, 5]],
        ],
        "head": [
            [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
            [[-1, 6], 1, "Concat", [1]],
            [-1, 1, "C2f", [96]],
            [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
            [[-1, 4], 1, "Concat", [1]],
            [-1, 1, "C2f", [64]],
            [-1, 1, "Conv", [64, 3, 2]],
            [[-1, 12], 1, "Concat", [1]],
            [-1, 1, "C2f", [96]],
            [-1, 1, "Conv", [96, 3, 2]],
            [[-1, 9], 1, "Concat", [1]],
            [-1, 1, "C2f", [160]],
            [[15, 18, 21], 1, "Segment", ["nc", 32, 64]],
        ],
    }


def is_tiny(found: Any) -> bool:
    """Whether a description is of this network, with whatever classes."""
    ours = description()
    return isinstance(found, dict) and all(found.get(k) == ours[k] for k in ("backbone", "head"))

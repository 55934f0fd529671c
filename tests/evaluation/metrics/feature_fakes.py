"""Small feature networks with random weights, and files of them."""

import json
import warnings

import torch
from torch import nn

from composer_pl.evaluation.metrics.inception import _BLOCKS, _SHAPES, _STEM

TINY_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


def kernel_of(name):
    """Kernel of a convolution, from its name: `7x7_2` is one of the two halves of a 7x7."""
    halves = {"7x7_2": (1, 7), "7x7_3": (7, 1), "7x7dbl_2": (7, 1), "7x7dbl_3": (1, 7)}
    halves |= {"7x7dbl_4": (7, 1), "7x7dbl_5": (1, 7), "7x7x3_2": (1, 7), "7x7x3_3": (7, 1)}
    halves |= {"7x7x3_4": (3, 3), "3x3dbl_1": (1, 1)}
    for pair in ("3x3_2", "3x3dbl_3"):
        halves |= {f"{pair}a": (1, 3), f"{pair}b": (3, 1)}
    if name in halves:
        return halves[name]
    if name in ("_pool", "1x1", "5x5_1", "3x3_1", "7x7_1", "7x7dbl_1", "7x7x3_1"):
        return (1, 1)
    return (5, 5) if name.startswith("5x5") else (3, 3)


def small_inception(width=4, seed=0):
    """A state in the layout of Inception, `width` channels a convolution."""
    generator = torch.Generator().manual_seed(seed)
    state = {}

    def add(name, inside, kernel):
        shape = (width, inside, *kernel)
        scale = (2 / (inside * kernel[0] * kernel[1])) ** 0.5
        state[f"{name}.conv.weight"] = scale * torch.randn(shape, generator=generator)
        for part in ("weight", "running_var"):
            state[f"{name}.bn.{part}"] = 0.5 + torch.rand(width, generator=generator)
        for part in ("bias", "running_mean"):
            state[f"{name}.bn.{part}"] = 0.1 * torch.randn(width, generator=generator)

    inside = 3
    for step in _STEM:
        if step is not None:
            add(step[0], inside, (1, 1) if step[0].endswith("1x1") else (3, 3))
            inside = width
    for block, shape in _BLOCKS.items():
        joined = 0
        for branch in _SHAPES[shape].split(", "):
            channels, words = inside, branch.split()
            if words[0] in ("avg", "max", "max/"):
                words.pop(0)
            for word in words:
                names = word.rstrip("/").split("|")
                for name in names:
                    add(f"{block}.branch{name}", channels, kernel_of(name))
                channels = width * len(names)
            joined += channels
        inside = joined
    return state


class Layers(nn.Module):
    """As small as a feature network can be: 299 px -> 6 numbers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 5, stride=4)
        self.second = nn.Conv2d(8, 6, 5, stride=4)

    def forward(self, x):
        """Pictures in about [-1, 1] -> (b, 6, 1, 1)."""
        return torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3), keepdim=True)


class Program(nn.Module):
    """Arranged as NVIDIA's TorchScript: `layers` takes pictures in [-1, 1]."""

    def __init__(self):
        super().__init__()
        self.layers = Layers()

    def forward(self, x):
        """Pictures in [0, 255] -> features."""
        return self.layers((x - 128) / 128)


def write_program(path, seed=0):
    """Write a TorchScript as clean-fid reads it."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.manual_seed(seed)
        torch.jit.script(Program().eval()).save(str(path))
    return path


def write_clip(folder, seed=0):
    """Write a folder of open_clip with random weights."""
    import open_clip
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = open_clip.CLIP(**TINY_CLIP)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY_CLIP}))
    return folder

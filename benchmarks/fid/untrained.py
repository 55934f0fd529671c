"""Inception with random weights, in the files that torchmetrics and clean-fid read.

The published weights are not on package indexes. For speed, and for whether two pipelines agree,
random ones do as well: the same tensors go into every pipeline.
"""

import warnings
from pathlib import Path

import torch
import torch_fidelity.feature_extractor_inceptionv3 as peer
from torch import Tensor, nn


class _Untrained(peer.FeatureExtractorInceptionV3):
    """torch-fidelity's network without its weights, which its constructor wants to load."""

    def load_state_dict(self, *given: object, **named: object) -> None:
        """Keep what there is."""


def random_state(seed: int = 0) -> dict[str, Tensor]:
    """Tensors under torch-fidelity's names; batch norms are drawn too, so that none is idle."""
    download, peer.load_state_dict_from_url = peer.load_state_dict_from_url, lambda *_, **__: {}
    try:
        state = _Untrained("inception-v3-compat", ["2048"]).state_dict()
    finally:
        peer.load_state_dict_from_url = download
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in state.items():
        if name.endswith("conv.weight"):
            nn.init.kaiming_normal_(tensor, generator=generator)
        elif name.endswith(("bn.weight", "bn.running_var")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith(("bn.bias", "bn.running_mean")):
            tensor.normal_(0, 0.1, generator=generator)
    return state


def write_state(folder: Path, seed: int = 0) -> Path:
    """Write random weights as torchmetrics reads them."""
    path = folder / "inception.pth"
    torch.save(random_state(seed), path)
    return path


class _Layers(nn.Module):
    """torch-fidelity's convolutions, from pictures in [-1, 1] at 299 px to features."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        n = self.network
        x = n.MaxPool_1(n.Conv2d_2b_3x3(n.Conv2d_2a_3x3(n.Conv2d_1a_3x3(x))))
        x = n.MaxPool_2(n.Conv2d_4a_3x3(n.Conv2d_3b_1x1(x)))
        for block in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            x = getattr(n, f"Mixed_{block}")(x)
        return n.AvgPool(x)


class _Program(nn.Module):
    """Arranged as the file that clean-fid downloads: it calls `layers`."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.layers = _Layers(network)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers((x - 128) / 128)


def write_program(folder: Path, weights: Path) -> Path:
    """Write the same weights as a TorchScript under the name that clean-fid looks for."""
    from torchmetrics.image.fid import NoTrainInceptionV3

    network = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights))
    path = folder / "inception-2015-12-05.pt"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.trace(_Program(network).eval(), torch.rand(2, 3, 299, 299)).save(str(path))
    return path

"""One feature network given to our pipeline, to clean-fid and to torchmetrics: one FID."""

import inspect

import numpy as np
import pytest
import torch
from feature_fakes import write_program
from PIL import Image
from torch import nn

from composer_pl.evaluation.metrics.features import feature_network
from composer_pl.evaluation.metrics.frechet import Moments, frechet_distance
from composer_pl.evaluation.metrics.resizing import resized

COUNT = 24


def write_pictures(folder, seed, blur):
    """Smooth random pictures of 48 px as PNG; returns them as one tensor."""
    generator = np.random.default_rng(seed)
    folder.mkdir()
    rows = []
    for index in range(COUNT):
        small = generator.integers(0, 256, (blur, blur, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((48, 48), Image.Resampling.BICUBIC)
        picture.save(folder / f"{index:03}.png")
        rows.append(torch.tensor(np.asarray(picture)).permute(2, 0, 1))
    return torch.stack(rows)


@pytest.fixture
def clean_fid(monkeypatch):
    """clean-fid, mended in this test where SciPy no longer takes its call (SciPy 1.18)."""
    from cleanfid import fid
    from scipy import linalg

    if "disp" not in inspect.signature(linalg.sqrtm).parameters:
        root = linalg.sqrtm
        monkeypatch.setattr(
            fid.linalg, "sqrtm", lambda a, disp=True: root(a) if disp else (root(a), 0.0)
        )
    return fid


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of TorchScript
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Pillow and SciPy
def test_three_pipelines_agree_to_a_thousandth(tmp_path, clean_fid):
    from torchmetrics.image.fid import FrechetInceptionDistance

    path = write_program(tmp_path / "network.pt")
    real = write_pictures(tmp_path / "real", 0, blur=6)
    fake = write_pictures(tmp_path / "fake", 1, blur=12)

    network = feature_network(f"clean-inception:{path}")
    sides = []
    for batch in (real, fake):
        sides.append(Moments(network.digest))
        sides[-1].update(network(batch))
    ours = frechet_distance(*sides)

    layers = torch.jit.load(str(path)).layers

    class Features(nn.Module):
        num_features = 6

        def forward(self, pictures):
            """Pictures in [0, 255] at 299 px -> features."""
            return layers((pictures - 128) / 128).flatten(1)

    features = Features().eval()
    clean = clean_fid.compare_folders(
        str(tmp_path / "real"),
        str(tmp_path / "fake"),
        features,
        mode="clean",
        device=torch.device("cpu"),
        verbose=False,
    )
    metric = FrechetInceptionDistance(features)
    for batch, is_real in ((real, True), (fake, False)):
        metric.update(resized(batch.float(), 299, "clean"), real=is_real)
    assert ours > 0
    assert ours == pytest.approx(float(clean), rel=1e-3)
    assert ours == pytest.approx(float(metric.compute()), rel=1e-3)


def test_another_resize_is_another_distance(tmp_path):
    """Of the same pictures through the same network; therefore it is in the manifest."""
    path = write_program(tmp_path / "network.pt")
    batches = [write_pictures(tmp_path / str(seed), seed, blur=24) for seed in (0, 1)]
    found = {}
    for how in ("clean", "tensorflow"):
        network = feature_network(f"clean-inception:{path}", resize=how)
        sides = []
        for batch in batches:
            sides.append(Moments())
            sides[-1].update(network(batch))
        found[how] = frechet_distance(*sides)
    assert abs(found["clean"] / found["tensorflow"] - 1) > 0.01

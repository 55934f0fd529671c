"""True pictures and painters for tests of the control protocol."""

import torch
from fakes import FakeGlobal, FakeLocal, FakeRandom
from torch.nn import functional as F

from composer_pl.conditions.extraction import Extraction
from composer_pl.evaluation.control.subjects import wanted_of
from composer_pl.evaluation.samples import Samples
from composer_pl.models.sampling import sample_keys
from composer_pl.types import Batch

PLUGINS = {"color": FakeGlobal(), "sketch": FakeLocal(), "grey": FakeRandom()}


def smooth(count, side=32, seed=0):
    """Smooth random pictures in [-1, 1]."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)


def samples(count, *, side=16, captions=None, seed=0):
    """True pictures at `side` px, with sources twice as large."""
    source = smooth(count, 2 * side, seed)
    numbers = torch.arange(count)
    return Samples(
        batch=Batch(
            source=source,
            image=F.avg_pool2d(source, 2),
            caption=captions or ["a bad cafe"] * count,
            index=numbers,
            key=1000 + numbers,
            identity=numbers,
        ),
        facts={"pictures": "smooth", "count": count},
    )


def subject(count, plugins=None, **settings):
    """`Wanted` and extraction of some true pictures."""
    extraction = Extraction(plugins or PLUGINS, value_size=(32, 32))
    found = samples(count, **settings)
    wanted, notes = wanted_of(
        found, extraction, list(extraction.plugins), device=torch.device("cpu")
    )
    assert not notes
    return wanted, extraction


def perfect(wanted, seed=0):
    """A painter that knows the true picture of each key, whatever it is given."""
    place = {int(key): row for row, key in enumerate(sample_keys(seed, len(wanted)))}
    place |= {int(key): row for row, key in enumerate(sample_keys(seed + 1, len(wanted)))}
    return lambda values, keys: wanted.batch["image"][[place[int(key)] for key in keys]]


def blind(values, keys):
    """A painter of pictures that hang on the noise alone."""
    return torch.cat([smooth(1, 16, seed=int(key) % 2**31) for key in keys])


def grey(values, keys):
    """A painter of one picture."""
    return torch.zeros(len(keys), 3, 16, 16)

"""Make `import tiny_training` work, also in the processes that tests launch."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def pictures(tmp_path):
    """A folder of 20 small pictures, some with captions."""
    from tiny_training import make_pictures

    return make_pictures(tmp_path / "pictures", 20)


@pytest.fixture(autouse=True)
def quiet():
    """What the command line passes over, tests pass over too; every other warning is an error."""
    from composer_pl.cli.fit import quieten

    quieten()

"""Benchmarks are scripts that import each other by folder; their tests do the same."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "benchmarks"
for folder in ("cascade", "scene_model", "composition", "prior"):
    sys.path.insert(0, str(ROOT / folder))


@pytest.fixture(scope="session")
def unseen():
    """Twelve scenes with their truth."""
    from corpus import UNSEEN, build_corpus

    return build_corpus(range(UNSEEN, UNSEEN + 12), texts=1, log=lambda line: None)

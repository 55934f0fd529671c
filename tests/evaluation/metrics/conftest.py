"""`import feature_fakes`, and modules of `benchmarks/fid`, work in every test of this folder."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "benchmarks" / "fid")]

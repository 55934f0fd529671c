"""Imported by Python at its start when this folder is on PYTHONPATH; see `tests/blocked.py`."""

import blocked

blocked.install_in_this_process()

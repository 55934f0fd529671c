"""Importing ultralytics without its side effects.

Its import looks hosts up, may install packages, writes a settings file with a lasting identifier,
turns usage events on, sets five environment variables (among them OMP_NUM_THREADS, for the whole
process), print formats, warning filters and OpenCV's threads, replaces `torch.save` and
`PIL.Image.open` (the latter by one that installs a package when a file is no picture), and in a
distributed run waits for other processes. Here all that is switched off or put back.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from torch import _tensor_str

from composer_pl.plugin import MissingDependencyError, require

SWITCHES = {
    "YOLO_OFFLINE": "1",  # no look-ups, no usage events
    "YOLO_AUTOINSTALL": "0",
    "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
    "ULTRALYTICS_SAFE_LOAD": "1",
    "YOLO_VERBOSE": "0",
    "WORLD_SIZE": "1",  # else it waits at a barrier for the other processes
}
"""Read once at import; constants of the library afterwards."""


def quiet_import(name: str) -> ModuleType:
    """Import a module of ultralytics with all switches off and everything put back.

    Raises:
        MissingDependencyError: The library is absent, or OpenCV lacks a system library.
    """
    with quiet():
        try:
            module = require(
                name, needed_by="The condition 'instances'", install="composer-pl-instances"
            )
        except MissingDependencyError:
            raise
        except ImportError as error:  # cv2 without libGL, in a container without a display
            raise MissingDependencyError(
                f"OpenCV ({error})",
                needed_by="The condition 'instances'",
                install="--force-reinstall opencv-python-headless",
            ) from error
        _no_sync()
    return module


@contextmanager
def quiet() -> Iterator[None]:
    """Set the switches, and put environment and process-wide settings back at the end.

    Does nothing when ultralytics is loaded already, by us or by somebody else.
    """
    if "ultralytics.utils" in sys.modules:
        yield
        return
    environment = dict(os.environ)
    threads = torch.get_num_threads()
    save, open_picture = torch.save, Image.open
    torch_print = vars(_tensor_str.PRINT_OPTS).copy()
    numpy_print = np.get_printoptions()
    opencv = sys.modules.get("cv2")
    opencv_threads = opencv.getNumThreads() if opencv else -1  # -1 stands for OpenCV's own choice
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.environ.update(SWITCHES, YOLO_CONFIG_DIR=folder)
            # Not empty, or it would be set to 1 for the whole process.
            os.environ.setdefault("OMP_NUM_THREADS", str(threads))
            yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        torch.set_num_threads(threads)
        torch.save, Image.open = save, open_picture
        vars(_tensor_str.PRINT_OPTS).update(torch_print)
        np.set_printoptions(**numpy_print)
        if opencv := sys.modules.get("cv2"):
            opencv.setNumThreads(opencv_threads)


def _no_sync() -> None:
    """Turn the settings' usage events off in memory, without writing the settings file."""
    settings = import_module("ultralytics.utils").SETTINGS
    dict.__setitem__(settings, "sync", False)

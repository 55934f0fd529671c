"""What a run on a lent GPU leaves: a folder, packed into pieces small enough to be carried."""

import importlib
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from install_weights import PLACES
from safetensors.torch import save_file
from torch import Tensor

_PIECE = "15m"


class Products:
    """Files below `work/products`, and `out/TITLE.tar.gz.*`.

    Args:
        out: Folder whose files are carried back.
        work: Folder for everything; may be `out`.
    """

    def __init__(self, out: Path, work: Path):
        self.out, self.work = out, work
        self.folder = work / "products"
        out.mkdir(parents=True, exist_ok=True)
        (self.folder / "encoders").mkdir(parents=True, exist_ok=True)

    def write_json(self, name: str, content: Any) -> None:
        """Write plain data."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1, default=str) + "\n")

    def write_model(
        self, name: str, description: Mapping[str, Any], weights: Mapping[str, Tensor]
    ) -> None:
        """Write a model folder that `load_model` reads."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        save_file({n: t.contiguous() for n, t in weights.items()}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(description, indent=2) + "\n")

    def install_encoders(self) -> None:
        """Copy what encoders there are to where the plugins look for them."""
        for place in PLACES:
            source = self.folder / "encoders" / place.file
            if source.is_file():
                module = importlib.import_module(place.package)
                home = Path(str(module.__file__)).parent / "weights"
                home.mkdir(exist_ok=True)
                shutil.copyfile(source, home / place.file)

    def pack(self) -> None:
        """Pack the folder anew into pieces beside it."""
        self.pack_only((), "products")

    def pack_only(self, names: Sequence[str], title: str) -> None:
        """Pack some of the folder's content; none named is all of it."""
        there = [f"products/{name}" for name in names if (self.folder / name).exists()]
        content = " ".join(there) or "products"
        command = (
            f"tar -C {self.work} -cf - {content} | gzip -1 > {self.work}/.{title}"
            f" && rm -f {self.out}/{title}.tar.gz.* && split -b {_PIECE} {self.work}/.{title} "
            f"{self.out}/{title}.tar.gz. && rm {self.work}/.{title}"
        )
        subprocess.run(["bash", "-c", command], check=True)

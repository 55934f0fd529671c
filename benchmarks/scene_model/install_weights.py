"""Put trained encoders into the plugins that ship them, and their digests into the plugins' code.

python benchmarks/scene_model/install_weights.py FOLDER     # of lease/encoders.py
python benchmarks/scene_model/install_weights.py --blank    # forget digests before training anew
"""

import argparse
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an encoder goes.

    Attributes:
        plugin: Folder below `plugins`.
        file: Name of the weights, in the folder `weights` of the package.
        module: Python file with the digest.
    """

    plugin: str
    file: str
    module: str

    @property
    def package(self) -> str:
        """The import package."""
        return f"composer_pl_{self.plugin}"


PLACES = (
    Place(plugin="caption", file="clip-tiny-scenes.safetensors", module="shipped.py"),
    Place(plugin="semantics", file="clip-tiny-scenes-visual.safetensors", module="shipped.py"),
    Place(plugin="depth", file="dpt-tiny-scenes.safetensors", module="shipped.py"),
    Place(plugin="instances", file="yolo-tiny-scenes-seg.safetensors", module="networks.py"),
)


def install(source_dir: str | Path, plugins: Path = PLUGINS) -> list[str]:
    """Copy trained files to the plugins and write their digests; what is not there is left alone.

    Args:
        source_dir: Folder with files named as in `PLACES`.
        plugins: The folder of plugins.

    Returns:
        One line for each installed file.

    Raises:
        ValueError: The folder holds none of the files, only one half of the CLIP, halves of two
            CLIPs, or a plugin's code does not state its digest in the expected form.
    """
    source = Path(source_dir)
    found = [place for place in PLACES if (source / place.file).is_file()]
    if not found:
        raise ValueError(f"{source} holds none of {', '.join(place.file for place in PLACES)}")
    halves = [place for place in found if place.plugin in ("caption", "semantics")]
    made = {_made_of(source / place.file) for place in halves}
    if len(halves) == 1 or len(made) > 1:
        raise ValueError(f"{source} holds no two halves of one CLIP: {sorted(made)}")
    lines = []
    for place in found:
        package = plugins / place.plugin / "src" / place.package
        content = (source / place.file).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        _write_facts(
            package / place.module,
            sha256=digest,
            size=len(content),
            made_of=_made_of(source / place.file) if place in halves else "",
        )
        (package / "weights").mkdir(exist_ok=True)
        shutil.copyfile(source / place.file, package / "weights" / place.file)
        lines.append(f"{place.package}: {place.file}, {len(content):,} bytes, sha256 {digest}")
    return lines


def blank(plugins: Path = PLUGINS) -> None:
    """Remove all files and digests, so that encoders that are being trained can be put there.

    Raises:
        ValueError: A plugin's code does not state its digest in the expected form.
    """
    for place in PLACES:
        package = plugins / place.plugin / "src" / place.package
        _write_facts(package / place.module, sha256="", size=0, made_of="")
        (package / "weights" / place.file).unlink(missing_ok=True)


def _made_of(path: Path) -> str:
    """The digest of the trained state that a file of a CLIP states."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return (file.metadata() or {}).get("made_of", "")


def _write_facts(module: Path, *, sha256: str, size: int, made_of: str) -> None:
    """Write a digest and a size into Python code.

    `shipped.py` states them as constants; elsewhere they are arguments of the `WeightSpec` that
    stands under "tiny-scenes".
    """
    text = module.read_text(encoding="utf-8")
    number = f"{size:_}"
    if module.name == "shipped.py":
        changes = [
            (r'^SHA256 = "\w*"$', f'SHA256 = "{sha256}"'),
            (r"^SIZE = \w+$", f"SIZE = {number}"),
        ]
        if "\nMADE_OF = " in text:
            changes.append((r'^MADE_OF = "\w*"$', f'MADE_OF = "{made_of}"'))
    else:
        spec = r'("tiny-scenes": WeightSpec\([^)]*?\bsha256=)"\w*"(,\s*size=)\w+'
        changes = [(spec, rf'\g<1>"{sha256}"\g<2>{number}')]
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"{module}: expected one {pattern}, found {count}")
    module.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--blank", action="store_true")
    args = parser.parse_args()
    if args.blank == bool(args.folder):
        parser.error("give a folder, or --blank")
    if args.blank:
        blank()
    else:
        print("\n".join(install(args.folder)))


if __name__ == "__main__":
    main()

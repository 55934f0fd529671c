"""README's pictures of the photo model: decompose held-out photos, compose; one HTML page.

    python benchmarks/photos/pictures.py --out out/photos

Needs no network and no weights beside those in the repository. The photos were held out of the
training of the model in `benchmarks/photos/model`. Sketches come from Canny, since PiDiNet's
weights may not be shipped; caption, semantics, instances and depth are left out, since their
weights are yours to fetch (`composer-pl plugins fetch NAME`).
"""

import argparse
import html
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Commands run in the root of the repository, with paths from there: whoever copies one off the page
# can repeat it, and no page tells where a checkout lies.
EXAMPLES = Path("benchmarks/photos/examples")
MODEL = Path("benchmarks/photos/model")
CONDITIONS = "sketch,color,intensity,masking"


@dataclass
class Step:
    """One command and the picture that it makes."""

    title: str
    command: list[str]
    picture: Path
    seconds: float = 0.0


def steps(out: Path) -> list[Step]:
    """The commands, in order.

    Args:
        out: Folder of the results, from the root of the repository where it lies inside.
    """
    photos = [EXAMPLES / path.name for path in sorted((ROOT / EXAMPLES).glob("*.jpg"))]
    parts = {photo.stem: str(out / "parts" / photo.stem / "parts.safetensors") for photo in photos}
    decompose = [
        "decompose", *map(str, photos), "--out", str(out / "parts"), "--conditions", CONDITIONS,
        "--set", "sketch.edges=canny", "--seed", "3",
    ]  # fmt: skip

    def compose(name: str, title: str, *arguments: str) -> Step:
        command = [
            "compose", "--ckpt", str(MODEL), "--out", str(out / name), "-n", "6", "--seed", "1",
            "--guidance", "4", *arguments,
        ]  # fmt: skip
        return Step(title, command, out / name / "sheet.png")

    jobs = [
        Step("Decompose eight photos", decompose, out / "parts" / "daisy" / "sheet.png"),
        compose(
            "sketch-color",
            "Sketch of the daisy, palette of the tulips",
            "--from", parts["daisy"], "--keep", "sketch",
            "--from", parts["tulips"], "--keep", "color",
        ),
        compose(
            "sketch-hex",
            "Sketch of the dress, a palette typed by hand",
            "--from", parts["green-dress"], "--keep", "sketch",
            "--give", "color=#7a1fa2:3,#f3e5f5:4,#4a148c",
        ),
        compose(
            "colorize",
            "Colourise: intensity of the rose, palette of the blue jacket",
            "--from", parts["orange-rose"], "--keep", "intensity",
            "--from", parts["blue-jacket"], "--keep", "color",
        ),
        compose(
            "inpaint",
            "Fill the holes of the sunflower",
            "--from", parts["sunflower"], "--keep", "masking",
        ),
        compose(
            "all",
            "Everything of the red vest",
            "--from", parts["red-vest"], "--keep", CONDITIONS,
        ),
        compose("none", "Nothing given"),
    ]  # fmt: skip
    return jobs


def write_page(out: Path, jobs: list[Step]) -> Path:
    """One self-contained folder: commands, seconds and pictures."""
    sections = []
    for job in jobs:
        command = html.escape("composer-pl " + shlex.join(job.command))
        picture = job.picture.relative_to(out)
        sections.append(
            f"<h2>{html.escape(job.title)}</h2><p><code>{command}</code><br>{job.seconds:.0f} s</p>"
            f'<img src="{picture}" alt="{html.escape(job.title)}">'
        )
    page = ROOT / out / "index.html"
    style = (
        "body{font:16px sans-serif;max-width:75em;margin:2em auto}"
        "code{font-size:12px}img{max-width:100%}"
    )
    page.write_text(
        f"<!doctype html><meta charset=utf-8><title>composer-pl: photos</title>"
        f"<style>{style}</style>"
        f"<h1>composer-pl: photos</h1><p>A 5 M parameter model at 64 px, trained for an hour and a "
        f"half on two shared cores; photos held out of training. Failures are left in. Commands "
        f"are for the root of the repository.</p>"
        f"{''.join(sections)}\n"
    )
    return page


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/photos"))
    args = parser.parse_args()
    out = args.out.resolve()
    out = out.relative_to(ROOT) if out.is_relative_to(ROOT) else out
    (ROOT / out).mkdir(parents=True, exist_ok=True)
    jobs = steps(out)
    for number, job in enumerate(jobs, 1):
        print(f"[{number}/{len(jobs)}] {job.title}", flush=True)
        started = time.monotonic()
        command = [sys.executable, "-m", "composer_pl", *job.command]
        done = subprocess.run(command, check=False, cwd=ROOT)
        job.seconds = time.monotonic() - started
        if done.returncode:
            print(f"failed: composer-pl {shlex.join(job.command)}", file=sys.stderr)
            return done.returncode
        if not (ROOT / job.picture).is_file():
            print(f"no picture where one was expected: {job.picture}", file=sys.stderr)
            return 1
    print(f"\nOpen {write_page(out, jobs)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

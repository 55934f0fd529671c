"""Every task on unseen scenes and on real photos: one page, failures included.

    python benchmarks/tasks/gallery.py --out DIR [--model scenes-64] [--upsampler scenes-128]
        [--prior NAME] [--photos FOLDER] [--steps 25] [-n 4] [--only WORD]

Scenes are rendered anew (no shipped model was trained on that seed) and every command is shown as a
person would type it. Photos are the held-out examples of `benchmarks/photos`, and those of
`--photos`. Writes `index.html`, a folder a task, and `commands.json` with times and errors.
"""

import argparse
import base64
import contextlib
import html
import io
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gallery_steps import Entry, photo_entries, prepare_photos, prepare_scenes, scene_entries

from composer_pl.cli import main as composer_pl

HERE = Path(__file__).parent

_STYLE = """
body{font:16px/1.4 sans-serif;max-width:80em;margin:2em auto;padding:0 1em;color:#222}
code{font-size:12px;overflow-wrap:anywhere;background:#f3f3f3;padding:2px 4px}
img{max-width:100%}.failed{border:2px solid #b22;background:#fee;padding:.5em 1em}
"""


@dataclass
class Done:
    """A command and what came of it."""

    title: str
    command: list[str]
    seconds: float
    said: str
    error: str


def run(entry: Entry, common: Sequence[str], out: Path) -> Done:
    """Run one command in this process."""
    command = ["edit", entry.task, *common, *entry.words, "--out", str(out / entry.name)]
    said, told = io.StringIO(), io.StringIO()
    began = time.monotonic()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        code = composer_pl(command)
    error = told.getvalue().strip().splitlines()[-1] if code else ""
    seconds = round(time.monotonic() - began, 1)
    print(f"{entry.name}: {'failed: ' + error if code else 'done'}, {seconds} s", flush=True)
    return Done(entry.title, command, seconds, said.getvalue().strip(), error)


def _steps(entry: Entry, steps: int) -> list[str]:
    """Of what begins with noise; an inversion keeps its own, which are more."""
    walks = entry.task in ("inversion", "reconfiguration") or "inversion" in entry.words
    walks |= entry.task == "translation" and "noise" not in entry.words
    return [] if walks else ["--steps", str(steps)]


def page(out: Path, sections: Sequence[tuple[str, Sequence[tuple[Entry, Done]]]]) -> None:
    """Write the page; pictures are inside."""
    body = ["<h1>composer-pl: every task</h1>", f"<p>{html.escape(__doc__.splitlines()[0])}</p>"]
    for title, done in sections:
        body.append(f"<h2>{html.escape(title)}</h2>")
        for entry, result in done:
            body.append(f"<h3>{html.escape(entry.title)}</h3>")
            typed = shlex.join(["composer-pl", *result.command])
            body.append(f"<p><code>{html.escape(typed)}</code> {result.seconds:.0f} s</p>")
            if entry.note:
                body.append(f"<p>{html.escape(entry.note)}</p>")
            if result.error:
                body.append(f'<p class="failed">{html.escape(result.error)}</p>')
                continue
            for name in ("sheet.png", *entry.more):
                if (file := out / entry.name / name).is_file():
                    data = base64.b64encode(file.read_bytes()).decode()
                    kind = "webp" if file.suffix == ".webp" else "png"
                    body.append(f'<img alt="" src="data:image/{kind};base64,{data}">')
    text = "\n".join(body)
    (out / "index.html").write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>composer-pl: every task</title>"
        f"<style>{_STYLE}</style>{text}</html>\n",
        encoding="utf-8",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="scenes-64")
    parser.add_argument("--upsampler", default="scenes-128")
    parser.add_argument("--prior", default="", help="a prior for that model")
    parser.add_argument("--photo-model", default="benchmarks/photos/model")
    parser.add_argument("--photos", type=Path, help="a folder of further photos")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("-n", type=int, default=4)
    parser.add_argument("--only", default="", help="commands whose name holds this")
    parser.add_argument("--bfloat16", action="store_true", help="twice as fast on some CPUs")
    args = parser.parse_args()
    if args.bfloat16:
        import torch

        torch.set_autocast_enabled("cpu", True)
    args.out.mkdir(parents=True, exist_ok=True)
    scenes = prepare_scenes(args.out)
    common = ["-n", str(args.n), "--seed", "1"]
    model = ["--ckpt", args.model]
    model += ["--upsampler", args.upsampler] if args.upsampler else []
    jobs = [("Scenes", scene_entries(scenes, args.prior), [*model, *common])]
    photos = prepare_photos(args.out, HERE.parent / "photos/examples", args.photos)
    by_hand = ["--ckpt", args.photo_model, "--set", "sketch.edges=canny"]
    jobs.append(("Photos", photo_entries(photos), [*by_hand, *common]))
    sections = []
    for title, entries, options in jobs:
        chosen = [entry for entry in entries if args.only in entry.name]
        sections.append(
            (
                title,
                [
                    (entry, run(entry, [*options, *_steps(entry, args.steps)], args.out))
                    for entry in chosen
                ],
            )
        )
        page(args.out, sections)
    records = [asdict(done) for _, section in sections for _, done in section]
    (args.out / "commands.json").write_text(json.dumps(records, indent=1) + "\n")
    failed = sum(bool(record["error"]) for record in records)
    print(f"{args.out / 'index.html'}: {len(records)} commands, {failed} refused or failed")


if __name__ == "__main__":
    main()

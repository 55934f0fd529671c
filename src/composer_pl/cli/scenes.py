"""`composer-pl scenes`: rendered scenes with their whole truth as a COCO root, and as shards."""

import argparse
import sys
import time
from pathlib import Path

from composer_pl.cli.parser import seed_value

HELP = (
    "Render scenes of simple solids as a COCO root: captions, instances, depth, outlines and truth."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("-n", "--count", type=int, required=True, help="scenes for training")
    parser.add_argument("--val", type=int, default=0, metavar="N", help="further scenes held out")
    parser.add_argument("--size", type=int, default=256, help="side in pixels, 16 to 2048")
    parser.add_argument("--seed", type=seed_value, default=0, help="decides all scenes")
    parser.add_argument("--first", type=int, default=0, metavar="I", help="number of the first")
    parser.add_argument("--samples", type=int, default=5, help="samples of a pixel: 1, 5 or 9")
    parser.add_argument("--shards", action="store_true", help="write WebDataset tar files too")
    parser.add_argument(
        "--block", type=int, default=500, metavar="N", help="scenes of a shard or resumable step"
    )
    parser.add_argument("--min-objects", type=int, default=1, metavar="N")
    parser.add_argument("--max-objects", type=int, default=5, metavar="N")
    for name in ("shapes", "colors", "materials", "sizes", "floors", "skies"):
        parser.add_argument(f"--{name}", default="", metavar="A,B", help=f"only these {name}")
    for name, what in (
        ("exclude", "a pair of values that no object has, such as 'red sphere'; may be repeated"),
        ("require", "a pair of which every scene shows one of those named; may be repeated"),
        ("correlate", "'red sphere=0.9': nine tenths of what is red are spheres; may be repeated"),
    ):
        parser.add_argument(f"--{name}", action="append", default=[], metavar="PAIR", help=what)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")


def run(args: argparse.Namespace) -> int:
    """Write the scenes; an interrupted call goes on where it was."""
    from composer_pl.composing.mistakes import usable_device
    from composer_pl.data.scenes.export import ExportSettings, export_scenes
    from composer_pl.data.scenes.rules import SceneRules

    _check_counts(args)

    def listed(text: str) -> list[str] | None:
        return [name.strip() for name in text.split(",") if name.strip()] or None

    rules = SceneRules(
        min_objects=args.min_objects,
        max_objects=args.max_objects,
        shapes=listed(args.shapes),
        colors=listed(args.colors),
        materials=listed(args.materials),
        sizes=listed(args.sizes),
        floors=listed(args.floors),
        skies=listed(args.skies),
        excluded=args.exclude,
        required=args.require,
        correlated=dict(_correlation(text) for text in args.correlate),
    )
    settings = ExportSettings(
        train=args.count,
        val=args.val,
        first=args.first,
        seed=args.seed,
        size=args.size,
        samples=args.samples,
        shards=args.shards,
        block=args.block,
        rules=rules,
    )
    out, device = Path(args.out), usable_device(args.device)
    written = export_scenes(out, settings, device=device, progress=_Progress())
    print(f"{out}: {args.count + args.val} scenes{'' if written else ', there already'}")
    return 0


def _check_counts(args: argparse.Namespace) -> None:
    """Refuse numbers that cannot be, by the names of their options."""
    from composer_pl.errors import UserInputError

    counts = {"-n": (args.count, 1), "--val": (args.val, 0)}
    counts |= {"--first": (args.first, 0), "--block": (args.block, 1)}
    for option, (found, least) in counts.items():
        if found < least:
            raise UserInputError(
                f"Reading the options of scenes: expected {option} to be at least {least}, found "
                f"{found}. Next: correct it."
            )


def _correlation(text: str) -> tuple[str, float]:
    """Read 'red sphere=0.9'."""
    from composer_pl.errors import UserInputError

    pair, _, share = text.partition("=")
    try:
        return pair, float(share)
    except ValueError as error:
        raise UserInputError(
            f"Reading --correlate {text!r}: expected a pair and a probability such as "
            f"'red sphere=0.9', found {share!r} for the probability. Next: correct it."
        ) from error


class _Progress:
    """Says on stderr how far the writing is, every two seconds; one line on a terminal."""

    def __init__(self):
        self.began = self.told = time.monotonic()
        self.start: int | None = None
        self.last = -1

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.start is None or now - self.began < 0.05:
            self.start = done  # what an earlier call had finished does not count for the speed
        if done == self.last or (0 < done < total and now - self.told < 2):
            return
        self.told, self.last = now, done
        speed = (done - self.start) / max(now - self.began, 1e-9)
        ending = "\r" if sys.stderr.isatty() and done < total else "\n"
        line = f"{done} of {total} scenes, {speed:.1f} a second"
        print(line.ljust(48), end=ending, file=sys.stderr, flush=True)

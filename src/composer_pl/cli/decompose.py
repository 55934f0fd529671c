"""`composer-pl decompose`: photos -> contact sheets and `parts.safetensors`."""

import argparse
import sys
from pathlib import Path

HELP = "Take photos apart into their representations: a contact sheet and parts.safetensors each."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="picture files")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--caption", default="", help="text that goes with the photos")
    parser.add_argument(
        "--conditions",
        default="",
        metavar="A,B",
        help="only these conditions; default: all installed ones whose weights are there",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME.ARG=VALUE",
        help="an argument of a condition, such as sketch.edges=canny; may be repeated",
    )
    parser.add_argument("--ckpt", default="", help="use the conditions of this trained model")
    parser.add_argument("--canvas", type=int, default=256, help="side that extractors see")
    parser.add_argument("--value-size", type=int, default=128, help="side of local values")
    parser.add_argument("--seed", type=int, default=0, help="of masks and grey weights")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")


def run(args: argparse.Namespace) -> int:
    """Decompose each photo; broken photos are named and the exit code is then 2."""
    from composer_pl.cli.settings import conditions_from_options
    from composer_pl.composing.composer import Composer
    from composer_pl.composing.decomposer import Decomposer
    from composer_pl.composing.panels import decomposition_rows
    from composer_pl.errors import UserInputError
    from composer_pl.sheet import contact_sheet

    names = [name.strip() for name in args.conditions.split(",") if name.strip()]
    if args.ckpt:
        decomposer = Composer.from_pretrained(args.ckpt, device=args.device).decomposer
    else:
        decomposer = Decomposer(
            conditions_from_options(names, args.set),
            value_size=(args.value_size, args.value_size),
            canvas=args.canvas,
            device=args.device,
        )
    out = Path(args.out)
    failures = 0
    told: set[str] = set()
    for photo in args.photos:
        try:
            if names:
                parts = decomposer.decompose(
                    photo, caption=args.caption, seed=args.seed, names=names
                )
                missing = {}
            else:
                parts, missing = decomposer.decompose_available(
                    photo, caption=args.caption, seed=args.seed
                )
        except UserInputError as error:
            print(error, file=sys.stderr)
            failures += 1
            continue
        for name, error in missing.items():
            if name not in told:
                print(f"left out: {error}", file=sys.stderr)
                told.add(name)
        folder = out / Path(photo).stem
        folder.mkdir(parents=True, exist_ok=True)
        parts.save(folder / "parts.safetensors")
        rows = decomposition_rows(decomposer, photo, parts, missing)
        contact_sheet(rows, cell=192).save(folder / "sheet.png")
        print(f"{folder / 'sheet.png'}: {', '.join(parts) or 'nothing'}")
    return 2 if failures else 0

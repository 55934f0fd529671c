"""`composer-pl decompose`: photos -> contact sheets and `parts.safetensors`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from composer_pl.cli.parser import seed_value

HELP = "Take photos apart into their representations: a contact sheet and parts.safetensors each."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="picture files")
    parser.add_argument("--out", required=True, metavar="DIR", help="holds a folder for each photo")
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
    parser.add_argument(
        "--canvas",
        type=int,
        default=None,
        help="side that extractors see; default: 256, or four times the side of the model",
    )
    parser.add_argument(
        "--value-size",
        type=int,
        default=None,
        help="side of local values; default: 128, or that of the model",
    )
    parser.add_argument("--seed", type=seed_value, default=0, help="of masks and grey weights")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")


def run(args: argparse.Namespace) -> int:
    """Decompose each photo; broken photos are named and the exit code is then 2."""
    from composer_pl.cli.output import check_output, writing
    from composer_pl.cli.settings import conditions_from_options, parse_names, parse_settings
    from composer_pl.cli.telling import telling
    from composer_pl.composing.composer import Composer
    from composer_pl.composing.decomposer import Decomposer
    from composer_pl.composing.panels import decomposition_rows
    from composer_pl.data.decode import BrokenPictureError
    from composer_pl.errors import UserInputError
    from composer_pl.files import replacing
    from composer_pl.sheet import contact_sheet

    out = check_output(args.out)
    names = parse_names(args.conditions)
    if args.ckpt and args.value_size is not None:
        raise UserInputError(
            "Reading the options of decompose: the model of --ckpt decides the side of local "
            "values, found --value-size. Next: leave one of the two out."
        )
    if args.ckpt:
        settings = parse_settings(args.set)
        with telling(f"Loading {args.ckpt}"):
            decomposer = Composer.from_pretrained(
                args.ckpt, device=args.device, canvas=args.canvas, settings=settings
            ).decomposer
    else:
        side = 128 if args.value_size is None else args.value_size
        decomposer = Decomposer(
            conditions_from_options(names, args.set),
            value_size=(side, side),
            canvas=256 if args.canvas is None else args.canvas,
            device=args.device,
        )
    failures = 0
    told: set[str] = set()
    for photo, folder_name in zip(args.photos, folder_names(args.photos), strict=True):
        try:
            with telling(f"Taking {photo} apart"):
                if names:
                    parts = decomposer.decompose(
                        photo, caption=args.caption, seed=args.seed, names=names
                    )
                    missing = {}
                else:
                    parts, missing = decomposer.decompose_available(
                        photo, caption=args.caption, seed=args.seed
                    )
        except BrokenPictureError as error:
            print(error, file=sys.stderr)
            failures += 1
            continue
        for name, error in missing.items():
            if name not in told:
                print(f"left out: {error}", file=sys.stderr)
                told.add(name)
        folder = out / folder_name
        sheet = contact_sheet(decomposition_rows(decomposer, photo, parts, missing), cell=192)
        with writing(folder):
            parts.save(folder / "parts.safetensors")
            with replacing(folder / "sheet.png") as path:
                sheet.save(path)
        print(f"{folder / 'sheet.png'}: {', '.join(parts) or 'nothing'}")
    return 2 if failures else 0


def folder_names(photos: Sequence[str]) -> list[str]:
    """A folder for each photo: its name without suffix, numbered where two photos share one."""
    taken = {Path(photo).stem for photo in photos}
    names: list[str] = []
    for photo in photos:
        name, number = Path(photo).stem, 2
        if name in names:
            while f"{name}-{number}" in taken:
                number += 1
            name = f"{name}-{number}"
            taken.add(name)
        names.append(name)
    return names

"""`composer-pl compose`: a new picture from the parts of several."""

import argparse
from collections.abc import Sequence

from composer_pl.cli.gathering import (
    gathered,
    given,
    parse_size,
    tiling_option,
    upsampling_recipe,
)
from composer_pl.cli.parser import seed_value
from composer_pl.cli.recipe_options import add_recipe_arguments, recipe_from_options

HELP = "Compose new pictures from parts of several photos, a caption, colours, drawings."


MOST_ON_SHEET = 64
"""Pictures that the sheet shows; each is a file of its own in any case."""
_CELL = 192  # pixels of the sheet that a picture gets, about


class _Ordered(argparse.Action):
    """Collect `--from`, `--keep` in the order given, since each --keep belongs to its --from."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Append (option, value)."""
        namespace.sources = [*(namespace.sources or []), (self.dest, values)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.set_defaults(sources=[])
    parser.add_argument("--ckpt", required=True, metavar="C", help="model folder or .ckpt file")
    parser.add_argument(
        "--upsampler",
        action="append",
        metavar="U",
        help="folder or .ckpt file of an upsampler for that model; a second one for a cascade",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--from",
        dest="from",
        action=_Ordered,
        metavar="PHOTO",
        help="a photo or parts.safetensors; without a --keep all of it is kept",
    )
    parser.add_argument(
        "--keep",
        dest="keep",
        action=_Ordered,
        metavar="A,B",
        help="what to keep of that --from; none for nothing",
    )
    parser.add_argument("--caption", default="", help="a text")
    parser.add_argument(
        "--give",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value by hand: color=#0b3d91,#fff or sketch=drawing.png; may be repeated",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME.ARG=VALUE",
        help="extract with another argument than in training: sketch.edges=canny; may be repeated",
    )
    parser.add_argument("-n", type=int, default=4, help="how many pictures")
    parser.add_argument(
        "--seed", type=seed_value, default=0, help="picture i of a seed is always the same"
    )
    add_recipe_arguments(parser)
    parser.add_argument(
        "--against", default="", metavar="A,B", help="parts that get weight 1 in the guidance"
    )
    parser.add_argument(
        "--against-give",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value to be guided away from: caption=blurry; may be repeated",
    )
    parser.add_argument(
        "--upsampler-steps", type=int, metavar="N", help="sampling steps of the upsampler"
    )
    parser.add_argument(
        "--tile", type=int, metavar="PX", help="upsample in tiles of this side, in little memory"
    )
    parser.add_argument(
        "--size", default="", metavar="HxW", help="before upsampling; default: the model's own"
    )
    parser.add_argument("--raw-weights", action="store_true", help="not the averaged ones")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")


def run(args: argparse.Namespace) -> int:
    """Gather the parts, sample, write pictures, a sheet and the parts."""
    from composer_pl.cli.drawn import drawn
    from composer_pl.cli.output import check_output, writing
    from composer_pl.cli.settings import parse_names, parse_settings
    from composer_pl.cli.telling import sampling_progress, telling
    from composer_pl.composing.composer import Composer
    from composer_pl.composing.drawing import Drawing
    from composer_pl.composing.panels import as_tensor, composition_rows
    from composer_pl.files import replacing
    from composer_pl.sheet import contact_sheet

    out = check_output(args.out)
    recipe = recipe_from_options(args)
    upsampling = upsampling_recipe(args.upsampler_steps, args.upsampler)
    tiling = tiling_option(args.tile, args.upsampler)
    size = parse_size(args.size)
    wanted = _pairs(args.sources)
    settings = parse_settings(args.set)
    with telling(f"Loading {args.ckpt}"):
        composer = Composer.from_pretrained(
            args.ckpt,
            device=args.device,
            averaged=not args.raw_weights,
            settings=settings,
            upsampler=args.upsampler,
        )
    with telling("Gathering the parts"):
        parts = _gather(composer, wanted, args)
    against = parts.only(*parse_names(args.against), origin="what is given, by --against")
    for text in args.against_give:
        against = against | given(composer, "--against-give", text)
    drawing = Drawing(
        parts=parts,
        against=against,
        recipe=recipe,
        upsampling=upsampling,
        tiling=tiling,
        n=args.n,
        seed=args.seed,
        size=size,
    )
    (made,) = drawn(out, composer, [drawing], progress=sampling_progress())
    pictures = made.pictures
    shown = [as_tensor(picture) for picture in pictures[:MOST_ON_SHEET]]
    longest = max(pictures[0].size)
    cell = longest * round(_CELL / longest) or _CELL  # whole multiples keep pixels square
    sheet = contact_sheet(composition_rows(parts, composer.model.plugins, shown), cell=cell)
    with writing(out), replacing(out / "sheet.png") as path:
        sheet.save(path)
    print(f"{out / 'sheet.png'}: {len(pictures)} pictures from {', '.join(parts) or 'nothing'}")
    return 0


def _pairs(sources: Sequence[tuple[str, str]]) -> list[tuple[str, list[str] | None]]:
    """[(from, a), (keep, x), ...] -> [(a, [x, ...]), ...]; None keeps all."""
    from composer_pl.cli.settings import parse_chosen
    from composer_pl.errors import UserInputError

    pairs: list[tuple[str, list[str] | None]] = []
    for option, value in sources:
        if option == "from":
            pairs.append((value, None))
        elif not pairs or pairs[-1][1] is not None:
            raise UserInputError(
                f"Reading the options of compose: --keep {value} must follow its own --from. "
                f"Next: write --from PHOTO --keep {value}."
            )
        else:
            pairs[-1] = (pairs[-1][0], parse_chosen(value, "--keep"))
    return pairs


def _gather(composer, pairs, args):
    from composer_pl.composing.parts import Parts

    parts = Parts({})
    for source, names in pairs:
        doing = f"Reading --keep of {source}"
        parts = parts | gathered(composer, source, names, seed=args.seed, doing=doing)
    for text in args.give:
        parts = parts | given(composer, "--give", text)
    if args.caption.strip():
        parts = parts | composer.read("caption", args.caption)
    return parts

"""`composer-pl compose`: a new picture from the parts of several."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HELP = "Compose new pictures from parts of several photos, a caption, colours, drawings."


class _Ordered(argparse.Action):
    """Collect `--from`, `--keep` in the order given, since each --keep belongs to its --from."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Append (option, value)."""
        namespace.sources = [*(namespace.sources or []), (self.dest, values)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.set_defaults(sources=[])
    parser.add_argument("--ckpt", required=True, metavar="C", help="model folder or .ckpt file")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--from", dest="from", action=_Ordered, metavar="PHOTO", help="a photo or parts.safetensors"
    )
    parser.add_argument(
        "--keep", dest="keep", action=_Ordered, metavar="A,B", help="what to keep of that --from"
    )
    parser.add_argument("--caption", default="", help="a text")
    parser.add_argument(
        "--give",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value by hand: color=#0b3d91,#fff or sketch=drawing.png; may be repeated",
    )
    parser.add_argument("-n", type=int, default=4, help="how many pictures")
    parser.add_argument(
        "--seed", type=int, default=0, help="picture i of a seed is always the same"
    )
    parser.add_argument("--sampler", default="dpmpp_2m", choices=["dpmpp_2m", "ddim"])
    parser.add_argument("--steps", type=int, default=25, help="sampling steps")
    parser.add_argument("--guidance", type=float, default=3.0, help="1 is no guidance")
    parser.add_argument("--eta", type=float, default=0.0, help="noise of DDIM")
    parser.add_argument(
        "--against", default="", metavar="A,B", help="parts that get weight 1 in the guidance"
    )
    parser.add_argument("--size", default="", metavar="HxW", help="default: the model's own")
    parser.add_argument("--raw-weights", action="store_true", help="not the averaged ones")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")


def run(args: argparse.Namespace) -> int:
    """Gather the parts, sample, write pictures, a sheet and the parts."""
    from composer_pl.composing.composer import Composer
    from composer_pl.composing.panels import as_tensor, composition_rows
    from composer_pl.models.sampling import SamplingRecipe
    from composer_pl.sheet import contact_sheet

    recipe = SamplingRecipe(
        sampler=args.sampler, steps=args.steps, guidance=args.guidance, eta=args.eta
    )
    size = _size(args.size)
    wanted = _pairs(args.sources)
    composer = Composer.from_pretrained(
        args.ckpt, device=args.device, averaged=not args.raw_weights
    )
    parts = _gather(composer, wanted, args)
    pictures = composer.compose(
        parts,
        n=args.n,
        seed=args.seed,
        recipe=recipe,
        size=size,
        against=[name for name in args.against.split(",") if name],
        progress=_progress if sys.stderr.isatty() else None,
    )
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(pictures):
        picture.save(out / f"{i:03d}.png")
    parts.save(out / "parts.safetensors")
    rows = composition_rows(parts, composer.model.plugins, [as_tensor(p) for p in pictures])
    contact_sheet(rows, cell=192).save(out / "sheet.png")
    print(f"{out / 'sheet.png'}: {len(pictures)} pictures from {', '.join(parts) or 'nothing'}")
    return 0


def _pairs(sources: Sequence[tuple[str, str]]) -> list[tuple[str, list[str] | None]]:
    """[(from, a), (keep, x), ...] -> [(a, [x, ...]), ...]; None keeps all."""
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
            pairs[-1] = (pairs[-1][0], [name.strip() for name in value.split(",") if name.strip()])
    return pairs


def _gather(composer, pairs, args):
    from composer_pl.composing.parts import Parts
    from composer_pl.errors import UnknownConditionError, UserInputError

    parts = Parts({})
    for source, names in pairs:
        for name in names or []:
            if name not in composer.names:
                raise UnknownConditionError(
                    name, composer.names, doing=f"Reading --keep of {source}"
                )
        if source.endswith(".safetensors"):
            loaded = Parts.load(source)
            parts = parts | (loaded if names is None else loaded.only(*names))
        else:
            parts = parts | composer.decompose(source, names=names, seed=args.seed)
    for text in args.give:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserInputError(
                f"Reading --give {text!r}: expected NAME=VALUE, such as color=#0b3d91,#fff. "
                f"Next: correct it."
            )
        parts = parts | composer.read(name, value)
    if args.caption:
        parts = parts | composer.read("caption", args.caption)
    return parts


def _size(text: str) -> tuple[int, int] | None:
    from composer_pl.errors import UserInputError

    if not text:
        return None
    height, cross, width = text.lower().partition("x")
    if not (cross and height.isdigit() and width.isdigit()):
        raise UserInputError(
            f"Reading --size {text!r}: expected height x width, such as 64x96. Next: correct it."
        )
    return int(height), int(width)


def _progress(step: int, steps: int) -> None:
    print(f"\rstep {step}/{steps}", end="\n" if step == steps else "", file=sys.stderr, flush=True)

"""`composer-pl reproduce`: make a picture again from the record that it carries."""

import argparse

HELP = "Make a picture again from what it says of itself, and tell whether it is the same."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("picture", metavar="PNG", help="a PNG that compose or edit wrote")
    parser.add_argument("--out", required=True, metavar="PNG", help="file to write")
    parser.add_argument(
        "--ckpt", default="", metavar="C", help="the model; default: where the record says it was"
    )
    parser.add_argument(
        "--upsampler", action="append", metavar="U", help="the same for its upsampler, or several"
    )
    parser.add_argument(
        "--raw-weights",
        action="store_true",
        help="not the averaged ones; default: as recorded (of older records: the averaged ones)",
    )
    parser.add_argument(
        "--show", action="store_true", help="print the record as JSON too, picture or no picture"
    )
    parser.add_argument("--device", default="", help="cpu or cuda; default: as recorded")


def run(args: argparse.Namespace) -> int:
    """Read the record, draw again, compare the files."""
    from pathlib import Path

    import torch

    from composer_pl.cli.output import check_output, writing
    from composer_pl.composing.composer import Composer
    from composer_pl.composing.record import read_record
    from composer_pl.composing.reproduction import readable, rewrite
    from composer_pl.errors import UserInputError

    record = read_record(args.picture)
    if args.show:
        print(readable(record))
    out = Path(args.out)
    if out.suffix.lower() != ".png" or out.is_dir():
        raise UserInputError(
            f"Reproducing {args.picture}: --out must name a PNG file, found {args.out!r}. "
            f"Next: write --out again.png."
        )
    original = Path(args.picture).read_bytes()
    if out.exists() and out.samefile(args.picture):
        raise UserInputError(
            f"Reproducing {args.picture}: expected another file to write, found --out to be the "
            f"picture itself. Next: write --out again.png."
        )
    check_output(str(out.parent))
    origins = {name: facts.get("origin", "") for name, facts in record.models.items()}
    base = args.ckpt or origins.get("base", "")
    if not base:
        raise UserInputError(
            f"Reproducing {args.picture}: its record does not say where the model was. "
            f"Next: name it with --ckpt."
        )
    stages = [origin for name, origin in sorted(origins.items()) if name != "base"]
    upsampler = args.upsampler or stages
    raw = any(facts.get("weights") == "raw" for facts in record.models.values())
    torch.set_num_threads(int(record.machine["threads"]))
    composer = Composer.from_pretrained(
        base,
        device=args.device or str(record.machine["device"]),
        averaged=not (raw or args.raw_weights),
        upsampler=upsampler,
    )
    with writing(out.parent):
        changes = rewrite(record, composer, out)
    if out.read_bytes() == original:
        print(f"{out}: the same bytes as {args.picture}")
        return 0
    why = "; ".join(changes) or "nothing that the record knows has changed: another machine?"
    print(f"{out}: not the same bytes as {args.picture} ({why})")
    return 1

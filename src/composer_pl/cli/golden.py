"""`composer-pl golden`: hold a training run against a shipped reference run."""

import argparse

HELP = "Is a training run on track? Its loss curve beside that of a shipped reference run."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="the shipped references", description="The references.")
    compare = actions.add_parser(
        "compare",
        help="a run beside a reference",
        description="Hold a run of `composer-pl fit` against a reference: one sentence, a chart "
        "and, where both have previews, their grids. Exit code 1 when it is behind or diverged.",
    )
    compare.add_argument("run", metavar="RUN", help="folder of a `composer-pl fit` run")
    compare.add_argument("--reference", default="quickstart", help="see `golden list`")
    compare.add_argument("--out", default="", metavar="DIR", help="default: RUN/golden")


def run(args: argparse.Namespace) -> int:
    """List the references, or compare and draw.

    Raises:
        UserInputError: There is no such run, curve or reference.
    """
    if args.action == "list":
        return _list()
    from pathlib import Path

    from composer_pl.cli.output import check_output, writing
    from composer_pl.errors import UserInputError
    from composer_pl.evaluation.curves import judge, read_curve
    from composer_pl.evaluation.golden import differences, grids, reference, reference_curves
    from composer_pl.evaluation.plots import draw_curves

    golden, folder = reference(args.reference), Path(args.run)
    if not (folder / "metrics.csv").is_file():
        found = "a folder without it" if folder.is_dir() else "no such folder"
        step = "name one, such as runs/quickstart"
        if folder.is_file():
            found, step = "a file", f"name the folder of a run, such as {folder.parent}"
        raise UserInputError(
            f"Reading the run {args.run!r}: expected a run folder of `composer-pl fit` with its "
            f"metrics.csv, found {found}. Next: {step}."
        )
    out = check_output(args.out or str(folder / "golden"))
    curve, references = read_curve(folder / "metrics.csv"), reference_curves(golden)
    _check_trained(curve, folder)
    different = differences(folder / "config.yaml", golden / "config.yaml")
    verdict = judge(curve, references)
    title = f"{folder.name} beside the reference {args.reference}"
    chart = draw_curves(curve, references, title=title, names=("this run", args.reference))
    sheet = _grids(grids(folder / "samples"), grids(golden), args.reference)
    with writing(out):
        chart.save(out / "curve.png")
        if sheet is not None:
            sheet.save(out / "grids.png")
    for text in different or []:
        print(f"differs: {text}")
    if different:
        print("Other settings than the reference's: what follows may be due to them alone.")
    elif different is None:
        print("Settings not compared: the run or the reference has no config.yaml.")
    print(verdict.text)
    drawn = f"{out / 'curve.png'}" + (f", {out / 'grids.png'}" if sheet is not None else "")
    print(f"Drawn: {drawn}")
    return 1 if verdict.state in ("behind", "diverged") else 0


def _check_trained(curve, folder):
    """Refuse losses that no training has: the error of a noise guessed well is small, not zero."""
    from composer_pl.errors import UserInputError

    for step, loss in zip(curve.steps, curve.losses, strict=True):
        if loss <= 0:
            raise UserInputError(
                f"Reading the loss curve {str(folder / 'metrics.csv')!r}: expected losses above "
                f"zero, as every training has, found {loss:g} at step {step}. Next: look at what "
                f"wrote it, and train anew."
            )


def _list() -> int:
    from composer_pl.evaluation.golden import (
        grids,
        reference,
        reference_curves,
        reference_names,
        title_of,
    )

    for name in reference_names():
        folder = reference(name)
        curves = reference_curves(folder)
        facts = f"{len(curves)} curve{'s' * (len(curves) > 1)} to step {curves[0].last}"
        print(f"{name}: {title_of(folder)} ({facts}, {len(grids(folder))} grids) {folder}")
    return 0


def _grids(mine, theirs, name):
    """The newest grid of the run above the reference's of the nearest step; None without both."""
    if not (mine and theirs):
        return None
    from PIL import Image, ImageDraw, ImageFont

    from composer_pl.errors import UserInputError

    step = max(mine)
    nearest = min(theirs, key=lambda other: abs(other - step))
    pictures = []
    for title, path in (
        (f"this run, step {step}", mine[step]),
        (f"{name}, step {nearest}", theirs[nearest]),
    ):
        try:
            with Image.open(path) as picture:
                pictures.append((title, picture.convert("RGB")))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UserInputError(
                f"Reading the preview {str(path)!r}: expected a whole picture, found a damaged "
                f"one. Next: remove that file; the curve needs none."
            ) from error
    width = max(picture.width for _, picture in pictures)
    height = sum(picture.height + 24 for _, picture in pictures)
    sheet = Image.new("RGB", (width, height), "white")
    draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(14), 0
    for title, picture in pictures:
        draw.text((6, top + 5), title, (30, 30, 30), font)
        sheet.paste(picture, (0, top + 24))
        top += picture.height + 24
    return sheet

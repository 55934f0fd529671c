"""`composer-pl edit interpolation`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.composing.drawing import Made
    from composer_pl.models.recipe import SamplingRecipe

HELP = "A row of pictures, and a film, from one picture to another."
CONFINED = "first"
PICTURES = 1
"""Rows by default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    add = parser.add_argument
    add("first", metavar="FIRST", help="a photo or parts.safetensors")
    add("second", metavar="SECOND", help="another")
    add("--frames", type=int, default=8, help="how many, both ends included")
    add("--blend", default="", metavar="A,B", help="parts that change; default: all that is global")
    add("--keep", metavar="A,B", help="parts of FIRST that all frames have")
    add("--keep-second", metavar="A,B", help="parts of SECOND that all frames have")
    add("--first-caption", default="", metavar="TEXT", help="goes with FIRST")
    add("--second-caption", default="", metavar="TEXT", help="goes with SECOND")
    add("--straight", action="store_true", help="no arcs and no transport of palettes")
    add(
        "--film",
        choices=["webp", "gif", "mp4", "none"],
        default="webp",
        help="format of the film; mp4 needs the library PyAV, composer-pl[video]",
    )
    add("--seconds", type=float, default=0.2, help="time of a frame in the film")


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import FROM_NOISE

    return FROM_NOISE


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Gather both ends; one drawing a frame."""
    from composer_pl.cli.settings import parse_chosen, parse_names
    from composer_pl.composing.film import check_film, strip, write_film
    from composer_pl.composing.tasks.interpolation import blended_by_default, interpolation
    from composer_pl.files import replacing

    composer, settings = session.composer, session.settings
    if args.film != "none":
        height, width = settings.size or (composer.side, composer.side)
        # Pictures inside of a photo come at its size, which is looked at when they are written.
        size = None if args.inside else (width * composer.factor, height * composer.factor)
        check_film(Path(f"film.{args.film}"), args.seconds, picture=size, rows=settings.n)
    keep = parse_chosen(args.keep, "--keep") or []
    keep_second = parse_chosen(args.keep_second, "--keep-second") or []
    blend = parse_names(args.blend) or [
        name for name in blended_by_default(composer) if name not in (*keep, *keep_second)
    ]
    ends = [
        session.parts(source, [*blend, *more], caption=caption)
        for source, caption, more in (
            (args.first, args.first_caption, keep),
            (args.second, args.second_caption, keep_second),
        )
    ]
    drawings = interpolation(
        composer,
        *ends,
        frames=args.frames,
        blend=blend,
        keep=keep,
        keep_second=keep_second,
        straight=args.straight,
        settings=settings,
    )

    def finish(folder: Path, made: Sequence["Made"]) -> str:
        frames = [one.pictures for one in made]
        with replacing(folder / "strip.png") as path:
            strip(frames).save(path, "PNG")
        if args.film == "none":
            return "strip.png"
        film = folder / f"film.{args.film}"
        write_film(film, frames, seconds=args.seconds)
        return f"strip.png and {film.name}"

    return Plan(drawings=drawings, sources=[args.first, args.second], finish=finish)

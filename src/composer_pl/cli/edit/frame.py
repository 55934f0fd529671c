"""What the tasks of `composer-pl edit` share: options, loading, drawing, writing."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from composer_pl.cli.parser import seed_value
from composer_pl.cli.recipe_options import add_recipe_arguments, recipe_from_options

if TYPE_CHECKING:
    from PIL import Image

    from composer_pl.composing.composer import Composer
    from composer_pl.composing.drawing import Drawing, Made
    from composer_pl.composing.parts import Parts
    from composer_pl.composing.tasks.frame import TaskSettings
    from composer_pl.sheet import Panel

MOST_ON_SHEET = 64
"""Pictures that the sheet shows; each is a file of its own in any case."""
_CELL = 192  # pixels of the sheet that a picture gets, about


@dataclass(frozen=True, kw_only=True)
class Session:
    """What a task's `plan` works with.

    Attributes:
        composer: The model, loaded.
        settings: n, seed, recipe and size of the command line, for the task's function.
    """

    composer: "Composer"
    settings: "TaskSettings"

    def parts(
        self, source: str, names: Sequence[str] | None = None, *, caption: str = ""
    ) -> "Parts":
        """Parts of a photo or parts.safetensors; None takes all that can be had."""
        from composer_pl.cli.gathering import gathered

        return gathered(
            self.composer,
            source,
            names,
            seed=self.settings.seed,
            caption=caption,
            doing=f"Reading parts of {source}",
        )

    def given(self, option: str, texts: Sequence[str]) -> "Parts":
        """Parts by hand, from texts such as `sketch=drawing.png`."""
        from composer_pl.cli.gathering import given
        from composer_pl.composing.parts import Parts

        parts = Parts({})
        for text in texts:
            parts = parts | given(self.composer, option, text)
        return parts


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a task is to draw and to show.

    Attributes:
        drawings: Drawn one after the other; their pictures are numbered on.
        sources: Pictures that the sheet shows beside the given parts: files or open pictures by
            title, or files alone; parts.safetensors are left out.
        panels: Further panels of the sheet.
        finish: Called with (folder, everything made) after the pictures are written, for further
            files such as a video; answers a word on them for the last line, or nothing.
    """

    drawings: Sequence["Drawing"]
    sources: "Sequence[str] | Mapping[str, str | Image.Image]" = ()
    panels: Sequence["Panel"] = ()
    finish: Callable[[Path, Sequence["Made"]], str] = field(default=lambda folder, made: "")


def add_common_arguments(parser: argparse.ArgumentParser, task: ModuleType) -> None:
    """Options of every task."""
    add = parser.add_argument
    if getattr(task, "CONFINED", ""):
        add(
            "--inside",
            metavar="MASK",
            help="confine the change to a region of the picture: a mask of its size, white is "
            "inside, or a box top,left,bottom,right in shares; outside, every pixel stays",
        )
    add("--ckpt", required=True, metavar="C", help="a shipped model, a model folder or .ckpt file")
    add(
        "--upsampler",
        action="append",
        metavar="U",
        help="an upsampler for that model; a second one for a cascade",
    )
    add("--out", required=True, metavar="DIR", help="folder to write to")
    pictures = getattr(task, "PICTURES", 4)
    add("-n", type=int, default=pictures, help=f"how many pictures; default: {pictures}")
    add("--seed", type=seed_value, default=0, help="picture i of a seed is always the same")
    add_recipe_arguments(parser)
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME.ARG=VALUE",
        help="extract with another argument than in training: sketch.edges=canny; may be repeated",
    )
    add("--upsampler-steps", type=int, metavar="N", help="sampling steps of the upsampler")
    add("--tile", type=int, metavar="PX", help="upsample in tiles of this side, in little memory")
    add("--size", default="", metavar="HxW", help="before upsampling; default: the model's own")
    add("--raw-weights", action="store_true", help="not the averaged ones")
    add("--device", default="cpu", help="cpu or cuda")


def run_task(task: ModuleType, args: argparse.Namespace) -> int:
    """Load, plan, draw, and write pictures, parts and a sheet."""
    from composer_pl.cli.drawn import drawn
    from composer_pl.cli.gathering import parse_size, tiling_option, upsampling_recipe
    from composer_pl.cli.output import check_output, writing
    from composer_pl.cli.settings import parse_settings
    from composer_pl.cli.telling import sampling_progress
    from composer_pl.composing.composer import Composer
    from composer_pl.composing.tasks.frame import TaskSettings
    from composer_pl.composing.tasks.region import check_square, framed, within
    from composer_pl.files import replacing

    out = check_output(args.out)
    recipe = recipe_from_options(args, task.recipe(args))
    upsampling = upsampling_recipe(args.upsampler_steps, args.upsampler)
    tiling = tiling_option(args.tile, args.upsampler)
    size = parse_size(args.size)
    progress = sampling_progress()
    composer = Composer.from_pretrained(
        args.ckpt,
        device=args.device,
        averaged=not args.raw_weights,
        settings=parse_settings(args.set),
        upsampler=args.upsampler,
    )
    settings = TaskSettings(
        n=args.n,
        seed=args.seed,
        recipe=recipe,
        upsampling=upsampling,
        tiling=tiling,
        size=size,
        progress=progress,
    )
    composer.cascade.check_manner(upsampling, tiling)  # before a picture is walked back
    region = getattr(args, "inside", None)
    edited = None
    if region:  # looked at before a task walks a picture back, which takes minutes
        check_square(size)
        edited = framed(getattr(args, task.CONFINED), region, centred=True)
    planned = task.plan(args, Session(composer=composer, settings=settings))
    drawings = planned.drawings
    if edited is not None:
        drawings = [within(composer, drawing, edited) for drawing in drawings]
    made = drawn(out, composer, drawings, progress=progress)
    sheet = _sheet(composer, planned, made)
    with writing(out):
        with replacing(out / "sheet.png") as path:
            sheet.save(path)
        more = planned.finish(out, made)
    count = sum(len(one.pictures) for one in made)
    names = ", ".join(made[0].drawing.parts) or "nothing"
    print(
        f"{out / 'sheet.png'}: {count} pictures by {args.task} from {names}{more and f'; {more}'}"
    )
    return 0


def _sheet(composer: "Composer", planned: Plan, made: Sequence["Made"]):
    """Sources and given parts above the pictures."""
    from composer_pl.composing.panels import as_tensor, composition_rows
    from composer_pl.sheet import Panel, contact_sheet

    named = planned.sources
    if not isinstance(named, Mapping):
        titles = ("picture", "second picture", "third picture", "fourth picture")
        named = dict(zip(titles, named, strict=False))
    beside = [
        Panel(title=title, content=(composer.decomposer.source(source)[0].cpu() + 1) / 2)
        for title, source in named.items()
        if not str(source).endswith(".safetensors")
    ]
    pictures = [picture for one in made for picture in one.pictures]
    shown = [as_tensor(picture) for picture in pictures[:MOST_ON_SHEET]]
    rows = composition_rows(made[0].drawing.parts, composer.model.plugins, shown)
    first = [*beside, *planned.panels]
    if first:
        rows = [first + rows[0], *rows[1:]] if made[0].drawing.parts else [first, *rows]
    longest = max(pictures[0].size)
    return contact_sheet(rows, cell=longest * round(_CELL / longest) or _CELL)

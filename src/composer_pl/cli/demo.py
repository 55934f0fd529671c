"""`composer-pl demo`: what the shipped model does, and a minute of training, on one page."""

import argparse
import contextlib
import io
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from composer_pl.cli.demo_steps import (
    Plan,
    Step,
    edited_caption,
    model_steps,
    photo_file,
    scene_step,
    training_steps,
    truths,
)

HELP = (
    "Decompose, compose, edit and train with what is installed: one HTML page, some three minutes."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--model", default="scenes-64", help="a shipped model, a model folder or a .ckpt file"
    )
    parser.add_argument(
        "--upsampler", default="", help="the same; default: scenes-128 with scenes-64, if shipped"
    )
    parser.add_argument("-n", type=int, default=3, help="pictures of each command")
    parser.add_argument("--steps", type=int, default=10, help="sampling steps")
    parser.add_argument(
        "--train-seconds", type=int, default=45, metavar="S", help="of training; 0 for none"
    )


def run(args: argparse.Namespace) -> int:
    """Do all steps, whatever becomes of each, and write the page.

    Returns:
        0 when all went well, 1 when a step failed, 130 when interrupted.
    """
    from composer_pl.cli.demo_page import write_page
    from composer_pl.cli.output import check_output, writing

    started = time.monotonic()
    _check_options(args)
    out = check_output(args.out)
    names, trouble = _look_at(args.model)
    plan = Plan(
        out=out,
        model=args.model,
        upsampler=args.upsampler or _upsampler(args.model),
        conditions=names,
        pictures=args.n,
        sampling_steps=args.steps,
        train_seconds=args.train_seconds,
    )
    if trouble:
        print(f"Only rendering and training are shown. {trouble}", file=sys.stderr)
    steps = [scene_step(plan)]
    with writing(out):
        _clean(out)
    code = _perform(steps[0], "[1]")
    if code != 130:
        photo = _prepare(plan) if not steps[0].error else False
        steps += _later(plan, photo) if not steps[0].error else []
        steps += training_steps(plan)
        for number, step in enumerate(steps[1:], 2):
            if step.needs_model and trouble:
                step.error = trouble
                continue
            code = _perform(step, f"[{number}/{len(steps)}]")
            if code == 130:
                break
    seconds = time.monotonic() - started
    page = out / "index.html"
    lead = (
        f"Model {args.model}: small, trained on rendered scenes alone. The scenes below have a "
        f"seed of their own, which it has not seen."
    )
    done = [step for step in steps if step.seconds or step.error]
    with writing(out):
        write_page(page, done, lead=lead, seconds=seconds)
    failed = sum(bool(step.error) for step in done)
    print(f"{len(done)} steps, {failed} failed, {seconds:.0f} s. Open {page}")
    return 130 if code == 130 else 1 if failed else 0


def _check_options(args: argparse.Namespace) -> None:
    """Refuse at once what the steps would refuse one after the other."""
    from composer_pl.errors import UserInputError

    for option, found, least, most in (
        ("-n", args.n, 1, 10_000),
        ("--steps", args.steps, 1, 1000),
        ("--train-seconds", args.train_seconds, 0, 86_400),
    ):
        if not least <= found <= most:
            raise UserInputError(
                f"Reading the options of demo: expected {option} in {least}..{most}, found "
                f"{found}. Next: correct it."
            )


def _look_at(model: str) -> tuple[tuple[str, ...], str]:
    """The model's conditions, and why it cannot be used; one of the two is empty."""
    from composer_pl.cli.telling import telling
    from composer_pl.errors import ComposerPLError
    from composer_pl.models.storage import load_model

    print(f"Loading {model} ...", flush=True)
    try:
        with telling(f"Loading {model}"):
            return load_model(model).names, ""
    except ComposerPLError as error:
        licence = " That package is AGPL-3.0, so nothing brings it along."
        return (), f"{error}{licence if 'composer-pl-instances' in str(error) else ''}"


def _upsampler(model: str) -> str:
    from composer_pl.models.pretrained import pretrained_names

    return "scenes-128" if model == "scenes-64" and "scenes-128" in pretrained_names() else ""


def _clean(out: Path) -> None:
    """Make the folder; the training and scenes of an earlier demo are made anew."""
    out.mkdir(parents=True, exist_ok=True)
    for name, mark in (("quickstart", "config.yaml"), ("scenes", "scenes.json")):
        if (out / name / mark).is_file():
            shutil.rmtree(out / name)


def _prepare(plan: Plan) -> bool:
    """Put the pictures and the configuration beside the results; answer whether there's a photo."""
    from composer_pl.cli.output import writing
    from composer_pl.evaluation.golden import reference

    with writing(plan.out):
        for number, name in enumerate("ab"):
            source = plan.out / "scenes" / "train" / f"{number:012d}.png"
            shutil.copyfile(source, plan.out / f"scene-{name}.png")
        nearest, _ = edited_caption(truths(plan)[0])
        _paint_mask(plan, nearest)
        if plan.train_seconds:
            config = reference("quickstart") / "config.yaml"
            shutil.copyfile(config, plan.out / "quickstart.yaml")
        photo = photo_file()
        if photo is None:
            print(
                "The real photo is left out: scikit-image, which brings one, is not installed. "
                "Next: `pip install 'composer-pl[demo]'`.",
                file=sys.stderr,
            )
            return False
        shutil.copyfile(photo, plan.out / "photo.png")
    return True


def _later(plan: Plan, photo: bool) -> Sequence[Step]:
    records = truths(plan)
    captions = [record["captions"][0] for record in records]
    return model_steps(plan, captions, edited_caption(records[0])[1], photo)


def _paint_mask(plan: Plan, nearest: int) -> None:
    """Save where scene a's nearest object is, with a margin, white on black."""
    from PIL import Image, ImageFilter

    ids = Image.open(plan.out / "scenes" / "ids" / "train" / "000000000000.png")
    mask = ids.point(lambda level: 255 * (level == nearest)).convert("L")
    mask.filter(ImageFilter.MaxFilter(13)).save(plan.out / "mask.png")


def _perform(step: Step, number: str) -> int:
    """Run one command in this process, where the libraries are loaded; its errors go on the page.

    Returns:
        130 when it was interrupted, else 0.
    """
    from composer_pl.cli import main

    print(f"{number} {step.title}", flush=True)
    said, complained = _Tee(sys.stdout), _Tee(sys.stderr)
    started = time.monotonic()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            code = main(list(step.command))
    except Exception as error:  # a bug of ours must not hide what else there is to show
        code, text = 1, f"{type(error).__name__}: {error}"
        print(text, file=sys.stderr)
        complained.write_only(text)
    step.seconds = time.monotonic() - started
    step.said = said.text()
    if code not in (0, 130) and not (step.verdict and code == 1):
        lines = complained.text().strip().splitlines()
        step.error = lines[-1] if lines else f"exit code {code}"
    elif step.picture.is_dir():  # the newest of a folder of previews
        step.picture = max(step.picture.glob("*.png"), default=step.picture)
    if not code and not step.picture.is_file():
        step.error = f"expected the picture {step.picture}, found none"
    print(f"    {'failed, ' if step.error else ''}{step.seconds:.1f} s", flush=True)
    return 130 if code == 130 else 0


class _Tee(io.TextIOBase):
    """Hands on what is written, and remembers it."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.kept = io.StringIO()

    def write(self, text: str) -> int:
        """Write to both."""
        self.kept.write(text)
        return self.stream.write(text)

    def write_only(self, text: str) -> None:
        """Remember what was said elsewhere."""
        self.kept.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Whether a person watches."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """The stream's own."""
        return self.stream.fileno()

    def text(self) -> str:
        """All that was written."""
        return self.kept.getvalue()

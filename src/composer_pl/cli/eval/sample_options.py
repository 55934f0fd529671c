"""Options of protocols that take any model and any pictures, and what they ask for."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from composer_pl.cli.parser import seed_value
from composer_pl.errors import UserInputError

if TYPE_CHECKING:
    from composer_pl.composing.composer import Composer
    from composer_pl.data.scenes.description import Scene
    from composer_pl.evaluation.samples import Samples


def add_subject_arguments(
    parser: argparse.ArgumentParser, *, pictures: int, batch: int, beside: bool = True
) -> None:
    """The model, models beside it, the folder, and the pictures.

    Args:
        parser: Of the protocol.
        pictures: How many by default.
        batch: Rows through the network at once by default.
        beside: Whether the protocol takes models on an equal footing, by `--beside`.
    """
    add = parser.add_argument
    add("--ckpt", required=True, metavar="C", help="a shipped model, a model folder or .ckpt file")
    if beside:
        add(
            "--beside",
            action="append",
            default=[],
            metavar="C",
            help="another model to measure on the same pictures and noise, in the same report: one "
            "with a single condition, say; may be repeated",
        )
    add("--out", required=True, metavar="DIR", help="folder for the report and its numbers")
    add("-n", type=int, default=pictures, help=f"how many pictures; default: {pictures}")
    add("--scenes", type=int, metavar="N", help="render N scenes; the default, with N from -n")
    add(
        "--data.root",
        dest="root",
        metavar="FOLDER",
        help="take pictures of a folder, a class folder or a COCO root instead",
    )
    add("--data.split", dest="split", default="", help="part of it: val, val2014, ...")
    add("--conditions", metavar="A,B", help="these alone; default: all of the model")
    add("--seed", type=seed_value, default=0, help="of scenes and noise; it decides picture i")
    add(
        "--batch",
        type=int,
        default=batch,
        help=f"rows through the network at once, which changes no number; default: {batch}",
    )
    add("--raw-weights", action="store_true", help="not the averaged ones")
    add("--device", default="cpu", help="cpu or cuda")


def check_numbers(args: argparse.Namespace, least: Mapping[str, int]) -> None:
    """Refuse a number below the least that its option takes.

    Args:
        args: Of a protocol.
        least: Option -> its least number.

    Raises:
        UserInputError: One is below it.
    """
    for option, number in least.items():
        if getattr(args, option) < number:
            raise UserInputError(
                f"Reading the options of eval {args.protocol}: expected --{option} of {number} or "
                f"more, found {getattr(args, option)}. Next: correct it."
            )


def load_subjects(args: argparse.Namespace) -> "dict[str, Composer]":
    """The model of `--ckpt`, first, and those of `--beside`, by the names that were given.

    Raises:
        ComposerPLError: One cannot be loaded, or is named twice.
    """
    from composer_pl.composing.composer import Composer

    subjects: dict[str, Composer] = {}
    for name in (args.ckpt, *args.beside):
        if name in subjects:
            raise UserInputError(
                f"Choosing models for eval {args.protocol}: expected each once, found {name!r} "
                f"twice. Next: leave one out."
            )
        subjects[name] = Composer.from_pretrained(
            name, device=args.device, averaged=not args.raw_weights
        )
    sides = {composer.side for composer in subjects.values()}
    if len(sides) > 1:
        raise UserInputError(
            f"Choosing models for eval {args.protocol}: expected pictures of one side, found "
            f"{', '.join(map(str, sorted(sides)))} px. Next: measure them apart."
        )
    return subjects


def samples_of(args: argparse.Namespace, composer: "Composer") -> "Samples":
    """The pictures that the options ask for.

    Raises:
        UserInputError: Both kinds are asked for, there are none, or a folder cannot be read.
    """
    from composer_pl.evaluation.samples import folder_samples, scene_samples

    doing = f"Choosing pictures for eval {args.protocol}"
    if args.scenes is not None and args.root:
        raise UserInputError(
            f"{doing}: expected --scenes or --data.root, found both. Next: leave one out."
        )
    count = args.n if args.scenes is None else args.scenes
    if count < 1:
        raise UserInputError(f"{doing}: expected at least 1, found {count}. Next: ask for more.")
    side = composer.side
    if not args.root:
        return scene_samples(count, resolution=side, seed=args.seed)
    return folder_samples(
        args.root,
        count,
        resolution=side,
        canvas=composer.decomposer.canvas,
        captioned=_reads_captions(composer),
        split=args.split,
        seed=args.seed,
    )


def scenes_of(
    args: argparse.Namespace, samples: "Samples", composer: "Composer"
) -> "list[Scene] | None":
    """The scenes that the pictures show; None where they are photos.

    Raises:
        UserInputError: The scenes of a root were drawn by another version of the renderer.
    """
    from composer_pl.evaluation.control.subjects import root_scenes

    if not args.root:
        return samples.scenes
    return root_scenes(args.root, samples, split=args.split, captioned=_reads_captions(composer))


def shared_names(
    subjects: "Mapping[str, Composer]", names: Sequence[str], *, doing: str
) -> dict[str, list[str]]:
    """Those of the chosen conditions that each model has.

    Raises:
        UserInputError: One has none of them.
    """
    shared = {}
    for subject, composer in subjects.items():
        shared[subject] = [name for name in names if name in composer.names]
        if names and not shared[subject]:
            raise UserInputError(
                f"{doing}: expected {subject} to have a condition of {', '.join(names)}, found "
                f"{', '.join(composer.names) or 'none'}. Next: leave it out."
            )
    return shared


def chosen_names(text: str | None, composer: "Composer", *, doing: str) -> list[str]:
    """Names of conditions from `a,b`; nothing takes all of the model.

    Raises:
        UnknownConditionError: The model does not know one.
    """
    from composer_pl.composing.mistakes import UnknownToModelError

    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in composer.names:
            raise UnknownToModelError(name, composer.names, doing=doing)
    return list(dict.fromkeys(names)) or list(composer.names)


def _reads_captions(composer: "Composer") -> bool:
    return any("caption" in plugin.inputs for plugin in composer.model.plugins.values())

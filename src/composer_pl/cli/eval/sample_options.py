"""Options that say which pictures a protocol works on, alike for those that take any."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.errors import UserInputError

if TYPE_CHECKING:
    from composer_pl.composing.composer import Composer
    from composer_pl.evaluation.samples import Samples


def add_sample_arguments(parser: argparse.ArgumentParser) -> None:
    """`--scenes`, `--data.root` and what belongs to it; `-n` is the frame's."""
    add = parser.add_argument
    add("--scenes", type=int, metavar="N", help="render N scenes; the default, with N from -n")
    add(
        "--data.root",
        dest="root",
        metavar="FOLDER",
        help="take pictures of a folder, a class folder or a COCO root instead",
    )
    add("--data.split", dest="split", default="", help="part of it: val, val2014, ...")


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
    side = composer.model.config.resolution
    if not args.root:
        return scene_samples(count, resolution=side, seed=args.seed)
    reads = any("caption" in plugin.inputs for plugin in composer.model.plugins.values())
    return folder_samples(
        args.root,
        count,
        resolution=side,
        canvas=composer.decomposer.canvas,
        captioned=reads,
        split=args.split,
        seed=args.seed,
    )


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

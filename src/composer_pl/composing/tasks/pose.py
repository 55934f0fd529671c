"""Pose transfer: a thing as it looks in one picture, placed as a map says."""

from typing import Literal

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.parts import Parts
from composer_pl.composing.tasks.frame import (
    DEFAULTS,
    Source,
    TaskSettings,
    bidirectional,
    drawing_of,
    parts_of,
    picture_of,
    require,
)
from composer_pl.errors import UserInputError

TASK = "pose"
MAPS = ("instances", "sketch", "depth")
"""Representations that can say a pose."""


def pose(
    composer: Composer,
    picture: Source,
    maps: Parts,
    *,
    route: Literal["noise", "inversion"] = "noise",
    settings: TaskSettings = DEFAULTS,
) -> Drawing:
    """Draw the thing of a picture in another pose (paper section 3: cars, dolls).

    Args:
        composer: The model.
        picture: What the thing looks like: its semantics are kept.
        maps: The pose: instances, sketch or depth, of another picture or by hand.
        route: Begin with noise; or walk the picture back under its own maps, which keeps more of
            its surroundings.
        settings: See there.

    Raises:
        TaskNeedsError: The model lacks `semantics` or a map.
        UserInputError: No map is given, or something that is none.
    """
    require(composer, TASK, "semantics", *maps)
    strange = [name for name in maps if name not in MAPS]
    if strange or not maps:
        raise UserInputError(
            f"Editing by pose: expected maps of a pose, one or more of {', '.join(MAPS)}, found "
            f"{', '.join(strange) or 'none'}. Next: give one, such as a drawn sketch."
        )
    if route == "inversion":
        picture = picture_of(picture, task=TASK)
    kept = parts_of(composer, picture, ["semantics"], task=TASK, seed=settings.seed)
    if route == "noise":
        return drawing_of(settings, kept | maps, task=TASK)
    own = parts_of(composer, picture, list(maps), task=TASK, seed=settings.seed)
    return bidirectional(composer, picture, kept | own, kept | maps, settings=settings, task=TASK)

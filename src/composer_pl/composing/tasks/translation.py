"""Image translation: the content of a picture, in the words of a text."""

from collections.abc import Sequence
from typing import Literal

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.tasks.frame import (
    DEFAULTS,
    Source,
    TaskSettings,
    bidirectional,
    captioned,
    drawing_of,
    parts_of,
    picture_of,
    require,
    require_any,
)

TASK = "translation"
CONTENT = ("sketch", "depth", "instances")
"""Representations that say where things are and not what they look like."""


def translation(
    composer: Composer,
    picture: Source,
    caption: str,
    *,
    before: str = "",
    keep: Sequence[str] | None = None,
    route: Literal["inversion", "noise"] = "inversion",
    settings: TaskSettings = DEFAULTS,
) -> Drawing:
    """Draw the content of a picture as a text says (paper section 3, by bidirectional guidance).

    Args:
        composer: The model.
        picture: What is translated.
        caption: What it is to become.
        before: What it is now, in words; makes the change that guidance enlarges more exact.
        keep: Content to keep; None takes those of `CONTENT` that the model knows.
        route: Walk the picture back under its content and draw from there, or begin with noise,
            which keeps nothing but the content.
        settings: See there.

    Raises:
        TaskNeedsError: The model reads no captions or knows no content.
        UserInputError: The caption is empty, or the picture is none.
    """
    wanted = captioned(composer, caption, task=TASK)
    if route == "inversion":
        picture = picture_of(picture, task=TASK)
    chosen = require_any(composer, TASK, CONTENT) if keep is None else list(keep)
    require(composer, TASK, *chosen)
    content = parts_of(composer, picture, chosen, task=TASK, seed=settings.seed)
    if route == "noise":
        return drawing_of(settings, content | wanted, task=TASK)
    known = content | captioned(composer, before, task=TASK) if before.strip() else content
    return bidirectional(composer, picture, known, content | wanted, settings=settings, task=TASK)

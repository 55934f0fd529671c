"""Style transfer: what one picture looks like, where things are in another."""

from collections.abc import Sequence

from composer_pl.composing.blending import parts_between
from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.tasks.frame import (
    DEFAULTS,
    Source,
    TaskSettings,
    drawing_of,
    parts_of,
    require,
    require_any,
)
from composer_pl.errors import UserInputError

TASK = "style"
CONTENT = ("depth", "sketch")
"""What the paper's figure takes of the content picture."""


def style(
    composer: Composer,
    look: Source,
    content: Source,
    *,
    strength: float = 1.0,
    styles: Sequence[str] = ("semantics",),
    contents: Sequence[str] | None = None,
    settings: TaskSettings = DEFAULTS,
) -> Drawing:
    """Draw the content of one picture in the style of another, from noise (paper section 3).

    Args:
        composer: The model.
        look: The picture whose style is taken.
        content: The picture whose content is taken.
        strength: How far the style goes from the content picture's own (0) to `look`'s (1).
        styles: Representations that make the style.
        contents: Representations that make the content; None takes those of `CONTENT` that the
            model knows.
        settings: See there.

    Raises:
        TaskNeedsError: The model lacks a representation, or has no content at all.
        UserInputError: The strength is outside 0..1, or both sets share a representation.
    """
    require(composer, TASK, *styles)
    chosen = require_any(composer, TASK, CONTENT) if contents is None else list(contents)
    require(composer, TASK, *chosen)
    if not 0 <= strength <= 1:
        raise UserInputError(
            f"Editing by style: the strength must be in 0..1, found {strength:g}. Next: correct it."
        )
    shared = sorted({*styles} & {*chosen})
    if shared or not styles:
        found = f"{', '.join(shared)} on both sides" if styles else "no style"
        raise UserInputError(
            f"Editing by style: expected representations of style and others of content, found "
            f"{found}. Next: name each once."
        )
    kept = parts_of(composer, content, chosen, task=TASK, seed=settings.seed)
    if strength == 0:
        look = content
    wanted = parts_of(composer, look, styles, task=TASK, seed=settings.seed)
    if 0 < strength < 1:
        own = parts_of(composer, content, styles, task=TASK, seed=settings.seed)
        size = settings.size or (composer.side, composer.side)
        wanted = parts_between(composer, own, wanted, strength, size=size, task=TASK)
    return drawing_of(settings, kept | wanted, task=TASK)

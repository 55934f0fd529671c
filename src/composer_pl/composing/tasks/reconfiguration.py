"""Reconfiguration: a picture whose sketch, map, depth or palette was edited by hand."""

from collections.abc import Sequence

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.parts import Parts
from composer_pl.composing.tasks.frame import (
    DEFAULTS,
    Source,
    TaskSettings,
    bidirectional,
    parts_of,
    picture_of,
    require,
)
from composer_pl.errors import UserInputError

TASK = "reconfiguration"
MASKING = "masking"
"""Customary name of the condition that holds pixels themselves: it would undo any edit."""


def reconfiguration(
    composer: Composer,
    picture: Source,
    edited: Parts,
    *,
    keep: Sequence[str] | None = None,
    caption: str = "",
    settings: TaskSettings = DEFAULTS,
) -> Drawing:
    """Draw a picture with one of its parts edited (paper section 3, by bidirectional guidance).

    It is walked back under its own parts and drawn under the same with the edited one in place:
    the edit is the difference between both sets, which guidance enlarges.

    Args:
        composer: The model.
        picture: What is edited.
        edited: The edited part or parts, such as a sketch with a stroke erased.
        keep: Other parts of the picture that both sets have; None takes `kept_beside(edited)`.
        caption: Words that are true of it before and after.
        settings: See there.

    Raises:
        TaskNeedsError: The model does not know a part.
        UserInputError: Nothing is edited, or a source cannot be read.
    """
    if not edited:
        raise UserInputError(
            "Editing by reconfiguration: expected an edited part, found none. Next: give one, such "
            "as --give sketch=edited.png."
        )
    picture = picture_of(picture, task=TASK)
    names = kept_beside(composer, edited) if keep is None else list(keep)
    require(composer, TASK, *edited, *names)
    readable = [name for name in edited if "caption" not in composer.model.plugins[name].inputs]
    own = [*names, *(name for name in readable if name not in names)]
    before = parts_of(composer, picture, own, task=TASK, seed=settings.seed)
    if caption:
        require(composer, TASK, "caption")
        before = before | composer.read("caption", caption)
    return bidirectional(composer, picture, before, before | edited, settings=settings, task=TASK)


def kept_beside(composer: Composer, edited: Parts) -> list[str]:
    """What a picture keeps by default when parts of it are edited.

    What contradicts the edit is left out. Beside an edited map all that is global, and no other
    map: each holds the old shapes. Beside an edited palette all maps, which say nothing of hues,
    and nothing else that is global: semantics hold the old colours, by which an edit loses a third
    of its effect (benchmarks/tasks/reconfiguration.md). Beside an edited caption all. Never
    `MASKING`, and no caption unless it is given.
    """
    plugins = {n: p for n, p in composer.model.plugins.items() if "caption" not in p.inputs}
    contradicted = {plugins[name].scope for name in edited if name in plugins}
    return [
        name
        for name, plugin in plugins.items()
        if name not in edited and name != MASKING and plugin.scope not in contradicted
    ]

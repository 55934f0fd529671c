"""Variation: keep some parts of a picture, let chance decide the rest."""

from collections.abc import Sequence

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.tasks.frame import DEFAULTS, Source, TaskSettings, drawing_of, parts_of
from composer_pl.errors import UserInputError

TASK = "variation"
PIXELS = ("intensity", "masking")
"""Customary names of conditions that hold pixels themselves."""


def variation(
    composer: Composer,
    picture: Source,
    *,
    keep: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    caption: str = "",
    settings: TaskSettings = DEFAULTS,
) -> Drawing:
    """Pictures that share the kept parts of one (paper section 3: any subset, from noise).

    Args:
        composer: The model.
        picture: What is varied.
        keep: Parts to keep, perhaps none; None keeps all but `PIXELS`, which leave nothing to
            chance.
        drop: Parts to leave out of those.
        caption: Text that goes with the picture.
        settings: See there.

    Raises:
        UserInputError: All that is kept is dropped again, or the source lacks a part.
        TaskNeedsError: The model does not know a part.
    """
    parts = parts_of(composer, picture, keep, task=TASK, caption=caption, seed=settings.seed)
    if keep is None:
        parts = parts.drop(*(name for name in PIXELS if name in parts and name not in drop))
    parts = parts.drop(*drop)
    if not parts and (keep is None or len(keep)):
        raise UserInputError(
            "Editing by variation: expected a part to keep, found none. Next: name at least one "
            f"of {', '.join(composer.names)}; to keep nothing, say so (--keep none)."
        )
    return drawing_of(settings, parts, task=TASK)

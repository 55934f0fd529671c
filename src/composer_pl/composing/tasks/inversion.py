"""Bidirectional guidance, plainly: walk a picture back under one set, draw under another."""

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.parts import Parts
from composer_pl.composing.tasks.frame import DEFAULTS, Source, TaskSettings, bidirectional, require

TASK = "inversion"


def inversion(
    composer: Composer,
    picture: Source,
    before: Parts,
    after: Parts | None = None,
    *,
    settings: TaskSettings = DEFAULTS,
) -> Drawing:
    """Walk a picture back to noise under `before`, draw from there under `after` (paper section 2).

    Where both sets are equal, guidance has nothing to enlarge and the picture comes back, to the
    error of the steps: how well the noise holds it.

    Args:
        composer: The model.
        picture: What is walked back.
        before: The set c1, parts that are true of the picture; may be empty.
        after: The set c2; None is `before`.
        settings: See there; one picture comes of it, as nothing is drawn at random.

    Raises:
        TaskNeedsError: The model does not know a part.
        UserInputError: The picture is none, or the recipe does not walk back.
    """
    after = before if after is None else after
    require(composer, TASK, *before, *after)
    return bidirectional(composer, picture, before, after, settings=settings, task=TASK)

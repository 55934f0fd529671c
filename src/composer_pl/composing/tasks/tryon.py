"""Virtual try-on: a garment of one picture on the person of another."""

from collections.abc import Sequence

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.masks import Region
from composer_pl.composing.tasks.frame import (
    DEFAULTS,
    Source,
    TaskSettings,
    drawing_of,
    parts_of,
    require,
)
from composer_pl.composing.tasks.region import within

TASK = "tryon"


def tryon(
    composer: Composer,
    person: Source,
    garment: Source,
    region: Region,
    *,
    keep: Sequence[str] = (),
    settings: TaskSettings = DEFAULTS,
) -> Drawing:
    """Fill the garment's region of a person's picture with another garment (paper section 3).

    Everything outside the region is known to the model and comes back unchanged.

    Args:
        composer: The model.
        person: The picture that is changed.
        garment: The picture whose semantics fill the region; show the garment alone.
        region: Where the garment is; see `masks.read_region`.
        keep: Parts of the person's picture that hold inside as well, such as `instances`.
        settings: See there.

    Raises:
        TaskNeedsError: The model lacks `semantics`, `masking` or a kept part.
        UserInputError: A picture or the region cannot be used.
    """
    require(composer, TASK, "semantics", "masking", *keep)
    parts = parts_of(composer, garment, ["semantics"], task=TASK, seed=settings.seed)
    if keep:
        parts = parts | parts_of(composer, person, keep, task=TASK, seed=settings.seed)
    return within(composer, drawing_of(settings, parts, task=TASK), person, region)

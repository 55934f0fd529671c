"""Interpolation: a row of pictures from one picture to another."""

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
)
from composer_pl.errors import UserInputError

TASK = "interpolation"
MOST = 1000
"""Most frames of a row."""


def interpolation(
    composer: Composer,
    first: Source,
    second: Source,
    *,
    frames: int = 8,
    blend: Sequence[str] | None = None,
    keep: Sequence[str] = (),
    keep_second: Sequence[str] = (),
    straight: bool = False,
    settings: TaskSettings = DEFAULTS,
) -> list[Drawing]:
    """Pictures whose chosen parts go from one picture to another (paper section 3, interpolation).

    Each condition says itself what lies between two values: embeddings go along the arc, palettes
    by optimal transport, maps fade. All frames begin with the noise of one seed, so the first and
    the last are the pictures that the ends alone give.

    Args:
        composer: The model.
        first: At the beginning.
        second: At the end.
        frames: How many, both ends included.
        blend: Parts that change on the way; None takes `blended_by_default`.
        keep: Parts of the first that all frames have.
        keep_second: Parts of the second that all frames have.
        straight: Go straight (and bring what leaves the legal values back), not along arcs and by
            transport.
        settings: See there; `n` rows of pictures come of it.

    Raises:
        TaskNeedsError: The model does not know a part.
        UserInputError: There are too few or many frames, a part is chosen twice, or a source cannot
            be read.
    """
    if not 2 <= frames <= MOST:
        raise UserInputError(
            f"Editing by interpolation: expected 2 to {MOST} frames, found {frames}. "
            f"Next: correct it."
        )
    names = blended_by_default(composer) if blend is None else list(dict.fromkeys(blend))
    names = [name for name in names if blend is not None or name not in (*keep, *keep_second)]
    require(composer, TASK, *names, *keep, *keep_second)
    chosen = [*names, *keep, *keep_second]
    if not names or len(set(chosen)) < len(chosen):
        twice = sorted({name for name in chosen if chosen.count(name) > 1})
        raise UserInputError(
            f"Editing by interpolation: expected parts to blend, each chosen once, found "
            f"{'none' if not names else f'{twice[0]!r} twice'}. Next: name parts that change with "
            f"--blend, others with --keep or --keep-second."
        )
    ends = [
        parts_of(composer, source, [*names, *more], task=TASK, seed=settings.seed)
        for source, more in ((first, keep), (second, keep_second))
    ]
    fixed = ends[0].only(*keep) | ends[1].only(*keep_second)
    start, end = (parts.only(*names) for parts in ends)
    size = settings.size or (composer.side, composer.side)
    drawings = []
    for frame in range(frames):
        share = frame / (frames - 1)
        between = parts_between(
            composer, start, end, share, size=size, task=TASK, straight=straight
        )
        drawings.append(drawing_of(settings, fixed | between, task=TASK))
    return drawings


def blended_by_default(composer: Composer) -> list[str]:
    """The global conditions that pictures have: what they show, their style, their colours.

    Not the caption: between the words of two sentences there are no words.
    """
    return [
        name
        for name, plugin in composer.model.plugins.items()
        if plugin.scope == "global" and "caption" not in plugin.inputs
    ]

"""Pictures that lie on the disk while others are still being drawn; for `compose` and `edit`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from composer_pl.composing.composer import Composer
    from composer_pl.composing.drawing import Drawing, Made


def drawn(
    out: Path,
    composer: "Composer",
    drawings: "Sequence[Drawing]",
    *,
    progress: Callable[[int, int], None] | None = None,
) -> "list[Made]":
    """Draw, and write each batch with its record as soon as it is finished.

    Whatever ends it too early (Ctrl-C, a full disk, a network that answers NaN), what was finished
    stays, and one line on standard error says how much that is.

    Args:
        out: Folder for the pictures, numbered on through all drawings, and for the parts of the
            first drawing; made with the first batch.
        composer: The model.
        drawings: Drawn one after the other.
        progress: Called with (finished steps, all steps) of each drawing.

    Raises:
        UserInputError: A drawing is not usable with this model, or something could not be written.
    """
    from composer_pl.cli.output import writing
    from composer_pl.composing.drawing import Made, in_precision, make_batches
    from composer_pl.composing.record import write_each

    total, written = sum(drawing.n for drawing in drawings), 0
    made = []
    try:
        for asked in drawings:
            drawing = in_precision(composer, asked)
            one = Made(pictures=[], drawing=drawing)
            for index, pictures in make_batches(composer, drawing, progress=progress):
                with writing(out):
                    if not made and not index:
                        drawing.parts.save(out / "parts.safetensors")
                    batch = Made(pictures=pictures, drawing=drawing)
                    for _ in write_each(out, batch, composer, first=written, index=index):
                        written += 1
                one.pictures.extend(pictures)
            made.append(one)
    except BaseException:
        if written:
            if progress is not None and sys.stderr.isatty():
                print(file=sys.stderr)  # the line of progress is unfinished
            found = f"{written} of {total} pictures are in {out}"
            print(f"{found}, each whole and with its recipe.", file=sys.stderr)
        raise
    return made

"""A recorded picture made again, and what differs where it is not the same."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import make_batches
from composer_pl.composing.identity import machine_facts
from composer_pl.composing.parts import Parts
from composer_pl.composing.record import TOLD, Record, record_chunks, summary
from composer_pl.errors import UserInputError
from composer_pl.files import replacing


def readable(record: Record) -> str:
    """The record as indented JSON, values as digests."""
    return json.dumps(summary(replace(record, told=TOLD)), indent=2, sort_keys=True)


def rewrite(record: Record, composer: Composer, path: Path) -> list[str]:
    """Make a recorded picture again and write it.

    The file has the same bytes where model, versions, threads and processor are the same.

    Args:
        record: From `read_record`.
        composer: With the recorded model.
        path: File to write.

    Returns:
        What differs here from where it was made, in words.

    Raises:
        UserInputError: The model is another one, or something enlarges that did not then.
    """
    if more := [name for name in composer.identity if name not in record.models]:
        raise UserInputError(
            f"Making a picture again: expected {' and '.join(record.models)} alone, found "
            f"{' and '.join(more)} too. Next: leave that out."
        )
    for name, facts in record.models.items():
        found = composer.identity.get(name, {}).get("sha256", "none")
        if found != facts.get("sha256"):
            option = "--ckpt" if name == "base" else f"--{name}"
            raise UserInputError(
                f"Making a picture again: expected the {name} model with digest "
                f"{facts.get('sha256', '')[:12]}, found {found[:12]}. Next: name the model that "
                f"made it with {option} (it came from {facts.get('origin') or 'an unnamed place'}) "
                f"and, of a checkpoint, perhaps --raw-weights."
            )
    drawing = record.drawing
    # Facts of extraction were held against this very model when the picture was made.
    trusted = {side: Parts(dict(getattr(drawing, side))) for side in ("parts", "against")}
    batches = make_batches(composer, replace(drawing, **trusted), holding=record.index)
    first, pictures = next(batches)
    machine = machine_facts(composer.model.plugins, drawing.parts, composer.device)
    # Where it lay is of no concern to the picture: the record keeps what it said.
    again = replace(record, machine=machine)
    with replacing(path) as temporary:
        pictures[record.index - first].save(temporary, "PNG", pnginfo=record_chunks(again))
    before, now = _flat(record.machine), _flat(machine)
    return [
        f"{key}: {before.get(key)} then, {now.get(key)} now"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]


def _flat(machine: Mapping[str, Any]) -> dict[str, Any]:
    versions = machine.get("versions", {})
    return {k: v for k, v in machine.items() if k != "versions"} | dict(versions)

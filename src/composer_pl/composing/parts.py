"""The representations of a picture as a value: pick, join, save, load."""

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from composer_pl.errors import UserInputError
from composer_pl.files import replacing

_NOTES, _FACTS = "composer_pl_notes", "composer_pl_facts"


class Parts(Mapping[str, Tensor]):
    """An immutable mapping from condition name to value (no batch axis).

    `parts.only("sketch") | other.only("color")` takes the sketch of one picture and the palette of
    another; where both sides have a condition, the right one wins, as with dictionaries.

    Args:
        values: A value for each condition.
        notes: One line about where each value came from (a file name, a caption); for people.
        facts: How each value was extracted, as plain data; see `composing.provenance`.
    """

    def __init__(
        self,
        values: Mapping[str, Tensor],
        notes: Mapping[str, str] | None = None,
        facts: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self._values = dict(values)
        self.notes = {name: (notes or {}).get(name, "") for name in self._values}
        self.facts = {name: dict(kept) for name, kept in (facts or {}).items() if name in values}

    def __getitem__(self, name: str) -> Tensor:
        """The value of one condition."""
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the conditions, in order."""
        return iter(self._values)

    def __len__(self) -> int:
        """Number of conditions."""
        return len(self._values)

    def __repr__(self) -> str:
        """Names and shapes."""
        shapes = ", ".join(f"{name}: {tuple(value.shape)}" for name, value in self.items())
        return f"Parts({{{shapes}}})"

    def only(self, *names: str, origin: str = "a picture") -> "Parts":
        """Keep the named conditions.

        Args:
            *names: Which.
            origin: What the message of a mistake calls the picture.

        Raises:
            UserInputError: One of them is not there.
        """
        self._check(names, f"Picking parts of {origin}")
        return Parts({name: self[name] for name in names}, self.notes, self.facts)

    def drop(self, *names: str) -> "Parts":
        """Leave the named conditions out.

        Raises:
            UserInputError: One of them is not there.
        """
        self._check(names, "Dropping parts of a picture")
        return Parts({n: v for n, v in self.items() if n not in names}, self.notes, self.facts)

    def __or__(self, other: "Parts") -> "Parts":
        """Join two sets of parts; `other` wins where both have a condition."""
        ours = {name: facts for name, facts in self.facts.items() if name not in other}
        return Parts(
            {**self._values, **other._values},
            {**self.notes, **other.notes},
            {**ours, **other.facts},
        )

    def batch(self) -> dict[str, Tensor]:
        """The values with a batch axis of one, as the model takes them."""
        return {name: value[None] for name, value in self.items()}

    def save(self, path: str | Path) -> None:
        """Write all values, notes and facts to one safetensors file."""
        tensors = {name: value.contiguous().cpu() for name, value in self.items()}
        with replacing(path) as temporary:
            save_file(
                tensors,
                temporary,
                metadata={_NOTES: json.dumps(self.notes), _FACTS: json.dumps(self.facts)},
            )

    @classmethod
    def load(cls, path: str | Path) -> "Parts":
        """Read what `save` wrote.

        Raises:
            UserInputError: The file is absent, no safetensors file, or holds no parts.
        """
        try:
            with safe_open(path, framework="pt") as file:
                values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata = file.metadata() or {}
            notes = json.loads(metadata.get(_NOTES, "{}"))
            facts = json.loads(metadata.get(_FACTS, "{}"))  # files of before have none
            if not isinstance(notes, dict):
                raise ValueError("notes that are no mapping")
            if not isinstance(facts, dict) or not all(isinstance(f, dict) for f in facts.values()):
                raise ValueError("facts that are no mapping of mappings")
            if strange := [name for name in values if not name.isidentifier()]:
                raise ValueError(f"tensors such as {strange[0]!r}, which name no condition")
        except (OSError, SafetensorError, ValueError, RecursionError) as error:
            raise UserInputError(
                f"Reading parts from {str(path)!r}: expected a file that `composer-pl decompose` "
                f"wrote, found none that can be read ({error}). Next: correct the path."
            ) from error
        return cls(values, {name: str(note) for name, note in notes.items()}, facts)

    def __eq__(self, other: object) -> bool:
        """Same names and equal values."""
        return (
            isinstance(other, Parts)
            and set(self) == set(other)
            and all(torch.equal(value, other[name]) for name, value in self.items())
        )

    __hash__ = None  # type: ignore[assignment]

    def _check(self, names: tuple[str, ...], doing: str) -> None:
        for name in names:
            if name not in self:
                # Closer than `errors.nearest` asks for: it may be the right name of another part.
                close = get_close_matches(name, list(self), n=1, cutoff=0.6)
                hint = f"; did you mean {close[0]!r}?" if close else "."
                raise UserInputError(
                    f"{doing}: no condition {name!r} among {', '.join(self) or 'none'}{hint} "
                    f"Next: correct the name, or give a source that has it."
                )

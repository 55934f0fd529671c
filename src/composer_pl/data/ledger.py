"""Counts broken files over all data workers, names each once, and stops when there are too many."""

import logging
from collections.abc import Sequence

import torch

from composer_pl.data.decode import BrokenPictureError, read_picture
from composer_pl.data.records import Record
from composer_pl.errors import UserInputError

_GOOD, _BROKEN = 1, 2
_FEWEST_SEEN = 1000  # below this many pictures a share says little, unless there are no more
_MOST_NAMED = 20

_logger = logging.getLogger(__name__)


class BrokenFileLedger:
    """One byte a picture in memory that all data workers of a process share.

    Workers only write marks; names, counts and the decision to stop come from the main process.
    Marking is free of races, because a file's state is a fact about the file.
    """

    def __init__(self, records: Sequence[Record], *, max_broken: float):
        """Start with nothing seen.

        Args:
            records: The pictures, by slot.
            max_broken: Largest share of broken pictures that is passed over; a single one always
                is.
        """
        self.records = records
        self.max_broken = max_broken
        self._marks = torch.zeros(len(records), dtype=torch.uint8).share_memory_()
        self._named: set[int] = set()

    def mark(self, slot: int, *, broken: bool) -> None:
        """Note what reading the picture showed."""
        self._marks[slot] = _BROKEN if broken else _GOOD

    def is_broken(self, slot: int) -> bool:
        """Tell whether any worker already found the picture broken."""
        return bool(self._marks[slot] == _BROKEN)

    @property
    def seen(self) -> int:
        """Pictures that were tried so far."""
        return int(torch.count_nonzero(self._marks))

    @property
    def broken(self) -> tuple[int, ...]:
        """Slots of the pictures found broken so far."""
        return tuple(torch.nonzero(self._marks == _BROKEN).flatten().tolist())

    def exceeded(self) -> bool:
        """Tell whether more pictures are broken than is to be passed over."""
        broken = len(self.broken)
        basis = max(self.seen, min(len(self.records), _FEWEST_SEEN))
        return broken > max(1, self.max_broken * basis) or broken == len(self.records)

    def report(self) -> None:
        """Name pictures found broken since the last report; stop when they are too many.

        Raises:
            UserInputError: When more than the permitted share is broken.
        """
        broken = self.broken
        if len(broken) == len(self._named):
            return
        for slot in broken:
            if slot in self._named:
                continue
            self._named.add(slot)
            if len(self._named) <= _MOST_NAMED:
                name, reason = self.records[slot].name, self._reason(slot)
                _logger.warning("Passed over %s: %s.", name, reason)
            elif len(self._named) == _MOST_NAMED + 1:
                _logger.warning("More broken pictures follow; they are counted, not named.")
        if self.exceeded():
            raise self.too_many()

    def too_many(self) -> UserInputError:
        """Return the error that ends a run over broken pictures."""
        broken = self.broken
        examples = "; ".join(f"{self.records[s].name}: {self._reason(s)}" for s in broken[:3])
        return UserInputError(
            f"Reading pictures: expected at most {self.max_broken:.0%} broken files, found "
            f"{len(broken)} among the {self.seen} read so far ({examples}). "
            "Next: mend or remove them, or raise --data.max_broken."
        )

    def summary(self) -> str:
        """One sentence on what was found so far."""
        return f"{len(self.broken)} of {self.seen} pictures were broken and passed over"

    def _reason(self, slot: int) -> str:
        """Say why a picture is broken by reading it once more in this process."""
        try:
            read_picture(self.records[slot].path)
        except BrokenPictureError as error:
            return error.reason
        return "readable now, but not when it was needed"

"""Which pictures are used, and which of them are held out: decided by hashes of their names.

So the choice is the same on every machine, and stays what it was when pictures are added.
"""

from collections.abc import Sequence

from composer_pl.data.records import Record


def choose(listed: Sequence[Sequence[Record]], at_most: int | None) -> list[list[Record]]:
    """Keep at most so many pictures of all sources together, those whose names hash lowest."""
    if at_most is None:
        return [list(records) for records in listed]
    places = [(s, i) for s, records in enumerate(listed) for i in range(len(records))]
    places.sort(key=lambda place: (listed[place[0]][place[1]].rank("chosen"), place))
    kept = sorted(places[:at_most])
    return [[records[i] for s, i in kept if s == n] for n, records in enumerate(listed)]


def held_out_names(chosen: Sequence[Sequence[Record]], fraction: float) -> set[str]:
    """Return the names of a share of the pictures; where any is to be held out, at least one is."""
    ranks = {r.name: r.rank("held out") for records in chosen for r in records}
    names = {name for name, rank in ranks.items() if rank < fraction}
    if not names and fraction > 0 and len(ranks) > 1:
        names = {min(ranks, key=ranks.__getitem__)}
    return names

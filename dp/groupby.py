"""A group-by: one table that is asked for, with everything that bounds what one person adds to it.

    GroupBy("by_region", (Category("region", ("north", "south")),), keys_per_person=1,
            measures=(People(), Count("views", at_most=20)))

Its squared sensitivity in one measure is argued in `dp.layout`, which lays several of them out in one row.

The code ensures: everything here follows from declarations.
The caller ensures: they are those of the signed contract and job.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import keys
from .canonical import Leaf
from .keys import Dimension, InvalidQuery
from .measures import LARGEST_BOUND, Amount, Cut, Measure, People, total_bound
from .running import MOST_BINS, longest_column


@dataclass(frozen=True, slots=True)
class GroupBy:
    """One table that is asked for: all combinations of the declared dimensions, and some measures in each.

    by: () for a single total. keys_per_person: the most keys one person adds to, of its own by a keyed hash.
    rows_per_key: the most rows of one person in one key, by a keyed hash; None to keep all, and cut sums alone.
    running: cells are running sums along the last dimension, for quantiles: see `dp.running`.
    totals: sums over all dimensions but the ones named, () for the grand total: of the same bounded shares, with noise
    of their own, made to add up when they are read. Errors: InvalidQuery.
    """

    name: str
    by: tuple[Dimension, ...]
    keys_per_person: int
    measures: tuple[Measure, ...]
    rows_per_key: int | None = None
    running: bool = False
    totals: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.measures or len({measure.name for measure in self.measures}) != len(self.measures):
            raise InvalidQuery(self.name, "its measures must be some, of different names", "name each once")
        if not self.amounts or len(self.measures) > len(self.amounts) + 1:
            raise InvalidQuery(self.name, "people who are cut are counted once, beside something", "name a measure")
        if self.keys_per_person < 1:
            raise InvalidQuery(self.name, "keys_per_person must be 1 or more", "declare how many keys a person adds to")
        if self.rows_per_key is not None and self.rows_per_key < 1:
            raise InvalidQuery(self.name, "rows_per_key must be 1 or more", "declare how many rows count")
        if self.running and not (self.by and keys.sizes(self.by)[-1] <= MOST_BINS):
            raise InvalidQuery(self.name, f"quantiles need a last column of at most {MOST_BINS:,} bins", "declare bins")
        _refuse_open(self)
        _refuse_totals(self)
        for measure in self.measures:
            self.l2_squared(measure)

    @property
    def cells(self) -> int:
        return keys.cells(self.by)

    @property
    def open(self) -> keys.Open | None:
        """The column whose values nobody listed, where it is counted by one."""
        return next((dimension for dimension in self.by if isinstance(dimension, keys.Open)), None)

    @property
    def amounts(self) -> tuple[Amount, ...]:
        """The measures that rows add to."""
        return tuple(measure for measure in self.measures if not isinstance(measure, Cut))

    @property
    def notes_cuts(self) -> bool:
        """Whether it is asked of how many people something was cut off."""
        return len(self.amounts) < len(self.measures)

    def most(self, measure: Measure) -> int:
        """What one person may add over all keys, in parts."""
        total = total_bound(measure)
        reached = self.keys_per_person if self.open else min(self.keys_per_person, self.cells)
        most = reached * self.bound(measure)
        return most if total is None else min(total, most)

    def bounds(self, measure: Measure) -> tuple[int, int]:
        """What one person adds to one key, in parts. Errors: InvalidQuery."""
        least, most = measure.bounds(self.rows_per_key)
        if max(-least, most) >= LARGEST_BOUND or max(-least, most) < 1:
            raise InvalidQuery(
                measure.name,
                f"one person may add 1 to {LARGEST_BOUND:,} parts to a key, not {max(-least, most):,}",
                "declare another bound, or another unit",
            )
        return least, most

    def bound(self, measure: Measure) -> int:
        least, most = self.bounds(measure)
        return max(-least, most)

    def l2_squared(self, measure: Measure) -> int:
        """The most one person moves the measure's cells: squared L2, in parts (or in parts of 2^-COLUMN_BITS)."""
        if self.running:
            return self.most(measure) ** 2 * longest_column(keys.sizes(self.by)[-1])
        bound = self.bound(measure)
        full, rest = divmod(self.most(measure), bound)
        return full * bound**2 + rest**2

    def as_json(self) -> Leaf:
        return {
            "table": self.name,
            "by": [dimension.as_json() for dimension in self.by],
            "keys_per_person": self.keys_per_person,
            "rows_per_key": self.rows_per_key,
            "running": self.running,
            "totals": [list(kept) for kept in self.totals],
            "measures": [measure.as_json() for measure in self.measures],
        }


def _refuse_open(group: GroupBy) -> None:
    """Keys that nobody listed stand alone: what would show beside them would show them. Errors: InvalidQuery."""
    if group.open and (len(group.by) > 1 or group.totals or group.running or group.notes_cuts):
        rule = "keys that nobody listed stand without other columns, totals and quantiles"
        raise InvalidQuery(group.open.name, rule, "ask these in a job of their own")


def _refuse_totals(group: GroupBy) -> None:
    """Totals are of named columns, fewer than all, and of what adds up. Errors: InvalidQuery."""
    names = [dimension.name for dimension in group.by]
    for kept in group.totals:
        if list(kept) != [name for name in names if name in kept] or len(kept) >= len(names):
            raise InvalidQuery(
                f"{group.name}.totals", "a total keeps some of the table's columns", "name them in order"
            )
    if len(set(group.totals)) != len(group.totals) or (group.totals and group.running):
        raise InvalidQuery(f"{group.name}.totals", "each stands once, and not beside quantiles", "ask another table")
    if group.totals and group.keys_per_person > 1 and any(isinstance(measure, People) for measure in group.measures):
        raise InvalidQuery(
            f"{group.name}.totals",
            "people who are in several keys do not add up",
            "count them in a table of their own, or declare keys_per_person = 1",
        )

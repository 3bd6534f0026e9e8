"""Columns that a lookalike considers without using them: how a job names them, and what it is refused for.

    consider = ["region", "age x device"]     # columns that it does not use, and pairs of columns that it uses

They are sums in the same noisy statistic as the columns it uses, so they cost nothing else and make all of it noisier;
the release says how much each would add. A pair is about what its two columns say together, so both are in the model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..contract import Column, NumberColumn, SetColumn
from ..refused import Refused
from ..sentences import counted, names
from .job import MOST_COLUMNS

CROSS = " x "
MOST_CONSIDERED = 50
"""Each is held beside all used columns, and takes a part of every row."""
MOST_PAIR_CELLS, BINS_IN_PAIRS = 256, 4
"""Cells of a pair, and bins of a number in one."""
MOST_CELLS, CELLS_OF_A_NUMBER = 2_500, 162
"""Cells of all used columns beside which a column can be ranked, and those that a number fills at most. `modelling` has
the same numbers, which a test holds together."""
_NAME = "[a-z][a-z0-9_-]{0,39}"
_SAID = re.compile(f"^{_NAME}(?:{CROSS}{_NAME})?$")


@dataclass(frozen=True, slots=True)
class Considered:
    """What a job considers, in the contract's order, whatever order it names it in."""

    columns: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, said: Sequence[str], declared: Sequence[str]) -> Considered:
        """declared: the contract's columns, in order; what is not among them is left out."""
        parts = [each.split(CROSS) for each in said]
        columns = tuple(name for name in declared if [name] in parts)
        together = {frozenset(each) for each in parts if len(each) > 1}
        pairs = ((a, b) for at, a in enumerate(declared) for b in declared[at + 1 :])
        return cls(columns, tuple(pair for pair in pairs if frozenset(pair) in together))

    @property
    def named(self) -> tuple[str, ...]:
        """Columns, then pairs, as a job may write them."""
        return (*self.columns, *map(CROSS.join, self.pairs))

    def in_ledger(self, dataset: str) -> tuple[str, ...]:
        """As the columns of a specification say it."""
        return tuple(f"{dataset}.{name} considered" for name in self.named)


def spelled(said: list[str] | None) -> list[str] | None:
    """Errors: ValueError where an entry is no column and no pair, or stands twice."""
    if any(not _SAID.match(each) for each in said or []):
        raise ValueError('each is a column, or two with an x between them, such as "age x device"')
    parts = [each.split(CROSS) for each in said or []]
    if any(len(each) > len(set(each)) for each in parts):
        raise ValueError("a column stands beside itself")
    if len({frozenset(each) for each in parts}) < len(parts):
        raise ValueError("a column, or a pair of columns in either order, stands twice")
    return said


def refuse_considered(
    declared: Mapping[str, Column], used: Sequence[str], columns: Sequence[str] | None, said: Sequence[str]
) -> None:
    """declared: columns that can be learnt from. used: those the model has; columns: as the job names them.

    Errors: Refused.
    """
    parts = [each.split(CROSS) for each in said]
    unknown = {name for each in parts for name in each if name not in declared}
    if unknown:
        raise Refused("consider", f"{names(unknown)} is not declared", f"consider some of {names(declared)}")
    if not used:
        raise Refused("consider", "all columns are considered, and none is used", "leave at least one to the model")
    twice = [each[0] for each in parts if len(each) == 1 and each[0] in (columns or [])]
    if twice:
        raise Refused("consider", f"{names(twice)} is among the columns used", "name it in columns or in consider")
    for each in parts:
        if len(each) > 1:
            _refuse_pair(declared, used, each)
    if len(used) + len(parts) > MOST_COLUMNS:
        raise Refused("consider", f"used and considered there are more than {MOST_COLUMNS}", "name fewer")
    cells = sum(_most_cells(declared[name]) for name in used)
    if cells > MOST_CELLS:
        rule = f"the columns used may fill {cells:,} cells, and others are ranked beside at most {MOST_CELLS:,}"
        raise Refused("consider", rule, "name fewer in columns; a number may fill 162 cells")


def _refuse_pair(declared: Mapping[str, Column], used: Sequence[str], pair: Sequence[str]) -> None:
    named, missing = CROSS.join(pair), [name for name in pair if name not in used]
    if missing:
        rule = f"{named} is about what two columns say together, and {names(missing)} is not used"
        raise Refused("consider", rule, "name both in columns")
    sets = [name for name in pair if isinstance(declared[name], SetColumn)]
    if sets:
        rule = f"{named} is no pair: a person may have several values of {names(sets)} at once"
        raise Refused("consider", rule, "name two numbers, categories or ordinals")
    cells = math.prod(_levels_in_pair(declared[name]) for name in pair)
    if cells > MOST_PAIR_CELLS:
        rule = f"{named} has {counted(cells, 'pair')} of values, at most {MOST_PAIR_CELLS} can be considered"
        raise Refused("consider", rule, f"name columns of fewer values; a number has {BINS_IN_PAIRS} bins here")


def _levels_in_pair(column: Column) -> int:
    return BINS_IN_PAIRS if isinstance(column, NumberColumn) else _values(column)


def _most_cells(column: Column) -> int:
    return CELLS_OF_A_NUMBER if isinstance(column, NumberColumn) else _values(column) + 1


def _values(column: Column) -> int:
    return len(getattr(column, "values", ()))

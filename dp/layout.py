"""Layout: how the numbers of a request share one row of integers, and so one draw of noise.

    views = GroupBy("by_region", (Category("region", ("north", "south")),), keys_per_person=1,
                    measures=(People(), Count("views", at_most=20)))
    layout = Layout.of([views])
    layout.cells, layout.l2_squared                    for the Specification (bits 0), before any data is touched
    statistic = aggregate(layout, [rows], secret)      dp.grouped: exact integers, secret
    noisy = ledger.pay(purchase, statistic)            one discrete Gaussian of one scale over all cells
    table = layout.read(noisy)["by_region"]            dp.table: numbers with intervals

**One scale for all.** Measure j counts in parts of its unit; one person moves its cells by at most S_j, squared L2, in
parts. Each exact sum is multiplied by a whole number m_j, so one person moves the whole row by Δ² = Σ m_j² S_j lattice
steps, squared, exactly: products of integers, nothing is rounded after the bound was enforced. One Gaussian of scale s
over everything gives measure j the noise s / m_j parts, and costs Δ² / 2s², whatever the m_j are.

**The best split.** Let v_j be how much a variance of one part² in measure j matters: by default 1 / bound_j², so that
each is measured by what one person may add. Σ v_j s² / m_j² at a fixed price is least where m_j² is in proportion to
√(v_j / S_j), by Cauchy and Schwarz, and then is (Σ √(v_j S_j))² / 2ρ. `importance` multiplies v_j. Rounding m_j to
whole numbers costs less than a thousandth (tests/dp/test_layout.py). One person moves some measure by at least two
thirds of `FINEST` steps, so Δ is never less: verifiers that lay nothing out know that much (docs/ledger.md).

**S_j.** One person adds to at most k keys, at most c in each and at most t in all (in absolute value): the largest sum
of squares under these is that of ⌊t/c⌋ full keys and the rest in one more. In a table that is read as quantiles
(`running=True`) cells are weighted sums along the last dimension, in which the columns of two keys overlap: there S_j
is (the most in all)² times the longest column, squared.

The code ensures: everything here follows from declarations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import keys
from .canonical import Json
from .consistency import Agreed, add_up
from .groupby import GroupBy as GroupBy
from .keys import Dimension, InvalidQuery
from .measures import LARGEST_BOUND, Cut, Measure
from .noisy import Z95, Estimate, Noisy
from .running import COLUMN_BITS
from .table import Table
from .veil import HIDDEN

Float = NDArray[np.float64]

FINEST = 2**14
"""One person moves a measure by about this many lattice steps: the lattice is far finer than any noise."""
COARSEST = 2**22
"""Up to here the lattice is made finer for the sake of the split; beyond, only as far as the bounds ask for it."""
SPLIT = 32
"""Whole multipliers are at least this large where that fits: then rounding them costs nothing."""


@dataclass(frozen=True, slots=True)
class Block:
    """One measure's cells in the row. kept: the columns that a total keeps, None for the table's own keys.

    l2_squared: in parts. multiplier: lattice steps a part.
    """

    group: GroupBy
    measure: Measure
    kept: tuple[str, ...] | None
    start: int
    multiplier: int

    @property
    def by(self) -> tuple[Dimension, ...]:
        return _by(self.group, self.kept)

    @property
    def stop(self) -> int:
        return self.start + keys.cells(self.by)

    @property
    def l2_squared(self) -> int:
        return _l2_squared(self.group, self.measure, self.kept)

    @property
    def steps(self) -> int:
        """Lattice steps of one unit of the measure."""
        return self.multiplier * self.measure.parts * _unit(self.group, self.measure)

    @property
    def total_axes(self) -> tuple[int, ...]:
        """The axes of the table that a total adds up."""
        return tuple(at for at, dimension in enumerate(self.group.by) if dimension not in self.by)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each number lies, how fine its lattice is, and what one person moves of it all. Made by `of` and `over`."""

    groups: tuple[GroupBy, ...]
    blocks: tuple[Block, ...] = field(repr=False)

    @classmethod
    def of(cls, groups: Sequence[GroupBy], importance: Mapping[tuple[str, str], float] | None = None) -> Layout:
        """importance: (table, measure) to how much its variance counts, 1 where not named. Errors: InvalidQuery."""
        return cls(*_laid_out(tuple(groups), tuple(sorted((importance or {}).items()))))

    def over(self, found: Sequence[str]) -> Layout:
        """The same with the keys that are there, or show, in the place of a column whose values nobody listed.

        Multipliers stay, and so does what one person moves: neither follows from keys.
        """
        blocks, start = list[Block](), 0
        groups = {group.name: _opened(group, tuple(found)) for group in self.groups}
        for block in self.blocks:
            blocks.append(replace(block, group=groups[block.group.name], start=start))
            start = blocks[-1].stop
        return Layout(tuple(groups.values()), tuple(blocks))

    @property
    def cells(self) -> int:
        return self.blocks[-1].stop

    @property
    def l2_squared(self) -> int:
        """The most one person moves the row: squared L2, in lattice steps, exactly."""
        return sum(block.multiplier**2 * block.l2_squared for block in self.blocks)

    def block(self, table: str, measure: str) -> Block:
        """A table's own cells of a measure; of people who were cut, the one. Errors: KeyError."""
        return self._mine(table, measure)[0]

    def noise(self, table: str, measure: str, kept: tuple[str, ...] | None = None) -> float:
        """Standard deviation of a number that is read, in its unit, for a draw of scale 1. Errors: KeyError.

        kept: of the total that keeps these columns. What is left after totals and parts were made to add up.
        """
        mine = self._mine(table, measure)
        if len(mine) == 1:
            return 1 / mine[0].steps
        places = [block.kept for block in mine]
        return _agreed(mine, np.zeros(self.cells, dtype=np.int64), 1.0)[places.index(kept)].sigma

    def _mine(self, table: str, measure: str) -> list[Block]:
        found = [b for b in self.blocks if (b.group.name, b.measure.name) == (table, measure)]
        if not found:
            raise KeyError(f"{table}.{measure}")
        return found

    def read(self, noisy: Noisy) -> dict[str, Table]:
        """The noisy numbers by table. Errors: ValueError where these are not the layout's."""
        if noisy.values.shape != (self.cells,) or noisy.bits != 0:
            raise ValueError("these numbers were laid out in another way")
        return {group.name: self._table(group, noisy) for group in self.groups}

    def _table(self, group: GroupBy, noisy: Noisy) -> Table:
        """A table and its totals. Where there are totals, all of them are made to add up."""
        cells: dict[tuple[str, ...] | None, dict[str, Float]] = {kept: {} for kept in (None, *group.totals)}
        sigma: dict[tuple[str, ...] | None, dict[str, float]] = {kept: {} for kept in (None, *group.totals)}
        for measure in group.amounts:
            mine = self._mine(group.name, measure.name)
            for block, agreed in zip(mine, _agreed(mine, noisy.values, noisy.scale), strict=True):
                cells[block.kept][measure.name] = agreed.values.ravel()
                sigma[block.kept][measure.name] = agreed.sigma
        steps = {measure.name: self.block(group.name, measure.name).steps for measure in group.amounts}
        covers = "noise; made to add up" if group.totals else "noise"
        totals = {
            kept: Table(_by(group, kept), group.measures, cells[kept], sigma[kept], steps, covers=covers)
            for kept in group.totals
        }
        return Table(
            group.by,
            group.measures,
            cells[None],
            sigma[None],
            steps,
            group.running,
            covers,
            totals,
            self._cut(group, noisy),
        )

    def _cut(self, group: GroupBy, noisy: Noisy) -> Estimate | None:
        for block in self.blocks:
            if block.group is group and isinstance(block.measure, Cut) and noisy.values[block.start] != HIDDEN:
                (people,), half = noisy.values[block.start : block.stop] / block.steps, Z95 * noisy.scale / block.steps
                return Estimate(float(people), float(people - half), float(people + half))
        return None

    def as_json(self) -> list[Json]:
        """What was asked, as an entry can hold it: enough to recompute cells, lattice and sensitivity."""
        steps: dict[str, list[Json]] = {group.name: [] for group in self.groups}
        for block in self.blocks:
            steps[block.group.name].append(block.multiplier)
        return [{**group.as_json(), "steps": steps[group.name]} for group in self.groups]


@lru_cache(maxsize=16)
def _laid_out(
    groups: tuple[GroupBy, ...], importance: tuple[tuple[tuple[str, str], float], ...]
) -> tuple[tuple[GroupBy, ...], tuple[Block, ...]]:
    """A layout's parts: of immutable values alone, and asked several times for one job. Errors: InvalidQuery."""
    if not groups or len({group.name for group in groups}) != len(groups):
        raise InvalidQuery("tables", "they must be some, of different names", "name each once")
    parts = [(g, measure, kept) for g in groups for measure in g.measures for kept in _places(g, measure)]
    weights = _weights(parts, dict(importance))
    blocks, start = list[Block](), 0
    for (group, measure, kept), multiplier in zip(parts, _multipliers(parts, weights), strict=True):
        blocks.append(Block(group, measure, kept, start, multiplier))
        start = blocks[-1].stop
    if start > keys.MOST_CELLS:
        raise InvalidQuery("tables", f"together they have {start:,} cells", f"ask at most {keys.MOST_CELLS:,}")
    return groups, tuple(blocks)


_Part: TypeAlias = tuple[GroupBy, Measure, tuple[str, ...] | None]
"""One measure's own cells (None), or one of its totals, before it is placed."""


def _places(group: GroupBy, measure: Measure) -> tuple[tuple[str, ...] | None, ...]:
    """Where a measure has cells: the table's keys and totals; of people who were cut, one total."""
    return ((),) if isinstance(measure, Cut) else (None, *group.totals)


def _by(group: GroupBy, kept: tuple[str, ...] | None) -> tuple[Dimension, ...]:
    return tuple(dimension for dimension in group.by if kept is None or dimension.name in kept)


def _l2_squared(group: GroupBy, measure: Measure, kept: tuple[str, ...] | None) -> int:
    """Of a total: all that a person adds may fall into one of its cells."""
    if isinstance(measure, Cut):
        return 1
    return group.l2_squared(measure) if kept is None else group.most(measure) ** 2


def _opened(group: GroupBy, found: tuple[str, ...]) -> GroupBy:
    by = (replace(each, found=found) if isinstance(each, keys.Open) else each for each in group.by)
    return replace(group, by=tuple(by))


def _unit(group: GroupBy, measure: Measure) -> int:
    """Running sums have parts of their own."""
    return 2**COLUMN_BITS if group.running and not isinstance(measure, Cut) else 1


def _agreed(blocks: Sequence[Block], values: NDArray[np.int64], scale: float) -> list[Agreed]:
    """One measure's cells and totals, in its unit; where there are totals, they add up."""
    raw = [Agreed(values[b.start : b.stop] / b.steps, scale / b.steps) for b in blocks]
    if len(blocks) == 1:
        return raw
    names = [dimension.name for dimension in blocks[0].group.by]
    kept = [tuple(at for at, name in enumerate(names) if b.kept is None or name in b.kept) for b in blocks]
    shaped = [each.values.reshape(keys.sizes(b.by)) for each, b in zip(raw, blocks, strict=True)]
    totals = {axes: (v, r.sigma) for axes, v, r in zip(kept[1:], shaped[1:], raw[1:], strict=True)}
    agreed = add_up(shaped[0], raw[0].sigma, totals)
    return [agreed[axes] for axes in kept]


def _weights(parts: Sequence[_Part], importance: Mapping[tuple[str, str], float]) -> list[float]:
    names = [(group.name, measure.name) for group, measure, _ in parts]
    if set(importance) - set(names) or any(not 1e-4 <= weight <= 1e4 for weight in importance.values()):
        raise InvalidQuery("importance", "it names another number, or is not from 1e-4 to 1e4", "name what is asked")
    return [importance.get(name, 1.0) for name in names]


def _multipliers(parts: Sequence[_Part], weights: Sequence[float]) -> list[int]:
    """Whole numbers in the best proportion, on the finest lattice that `FINEST` and `COARSEST` allow."""
    units = np.array([_unit(group, measure) for group, measure, _ in parts], dtype=np.float64)
    bounds = np.array([group.bound(measure) for group, measure, _ in parts], dtype=np.float64)
    lengths = np.sqrt([float(_l2_squared(*part)) for part in parts]) / units
    best = np.sqrt(np.sqrt(weights) / bounds / lengths) / units
    moves = (best * units * bounds).max()
    finest = max(FINEST / moves, min(SPLIT / best.min(), COARSEST / moves), 1 / best.min())
    whole = [max(1, round(float(finest * each))) for each in best]
    for (group, measure, _), multiplier in zip(parts, whole, strict=True):
        if group.most(measure) * _unit(group, measure) * multiplier >= LARGEST_BOUND:
            raise InvalidQuery(
                f"{group.name}.{measure.name}",
                "sums might not fit beside the others of the request",
                "declare a tighter bound, or a larger unit",
            )
    return whole

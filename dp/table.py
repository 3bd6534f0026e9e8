"""Tables: what paid noise says of every declared key. All of it is post-processing, and free.

    table.numbers("views")                     noisy ± 1.96 σ, negative ones too
    table.ratio("clicks", "views", most=1)     Fieller's interval, right also where few views are behind it
    table.mean("price")                        of the rows that `dp.measures.mean` counted
    table.quantile(0.5)                        of a `running` table, along its last dimension
    table.top("views", 10)                     the largest; `together`: intervals that hold for all keys at once
    table.cut, table.at_stake("spend", 5e4)    people whom a bound cut, and what may be missing for it
    table.shown("people", 50, 1e-6)            which keys have at least 50 people, as good as surely
    table.sum_over("views", ("region",))       noisy parts added up; `GroupBy.totals` pays for less noise instead

The arrays are flat, in the order of the declared keys (`labels`). The code ensures: nothing here sees anything but
noisy numbers and declarations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .intervals import Estimates, at_once, numbers, quantiles, ratios
from .keys import Bins, Dimension, InvalidQuery, sizes
from .measures import Measure, Sum, rows_of
from .noisy import Estimate
from .running import decoder
from .threshold import least_shown

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Noisy numbers over declared keys. cells: measure to (keys,), in units. sigma: measure to its noise, in units.

    steps: measure to lattice steps a unit. covers: what intervals cover; where totals were asked, numbers were made to
    add up, and it says so. cut: people of whom a bound cut something off, where that was asked and may be shown.
    """

    by: tuple[Dimension, ...]
    measures: tuple[Measure, ...]
    cells: Mapping[str, Float] = field(repr=False)
    sigma: Mapping[str, float] = field(repr=False)
    steps: Mapping[str, int] = field(repr=False)
    running: bool = False
    covers: str = "noise"
    totals: Mapping[tuple[str, ...], Table] = field(default_factory=dict, repr=False)
    cut: Estimate | None = None

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """Every key, in order."""
        return list(itertools.product(*(dimension.labels for dimension in self.by)))

    def numbers(self, measure: str) -> Estimates:
        """Errors: KeyError; InvalidQuery where the cells are no numbers of their own."""
        self._refuse_coded(measure)
        return numbers(self.cells[measure], self.sigma[measure], covers=self.covers)

    def ratio(self, top: str, bottom: str, least: float = 0.0, most: float = math.inf) -> Estimates:
        """One measure over another, key by key. least, most: what is possible, shown where nothing is known."""
        self._refuse_coded(top, bottom)
        return ratios(self.cells[top], self.sigma[top], self.cells[bottom], self.sigma[bottom], least, most)

    def mean(self, measure: str) -> Estimates:
        """The mean of a centred sum's rows. Errors: InvalidQuery where it is none."""
        total = self._sum(measure)
        rows = rows_of(measure)
        if not total.centred or rows not in self.cells:
            raise InvalidQuery(measure, "it is no mean", "ask it with dp.measures.mean")
        least, most = (bound / total.parts for bound in total.row_bounds())
        off = ratios(self.cells[measure], self.sigma[measure], self.cells[rows], self.sigma[rows], least, most)
        return off.moved(1.0, total.middle / total.parts)

    def quantile(self, share: float, measure: str | None = None) -> Estimates:
        """Of the values along the last dimension, for each key of the others. share: .5 for the median."""
        bins, name = self.by[-1] if self.by else None, measure or self.measures[0].name
        if not isinstance(bins, Bins) or self.totals:
            raise InvalidQuery(name, "quantiles need bins along the last dimension, and no totals", "declare bins")
        noisy = self.cells[name].reshape(-1, sizes(self.by)[-1])
        weights = decoder(noisy.shape[1]) if self.running else np.tril(np.ones((noisy.shape[1],) * 2))
        return quantiles(np.array(bins.edges, dtype=np.float64), share, noisy, weights, self.sigma[name])

    def histogram(self, measure: str | None = None) -> Estimates:
        """Each bin of a running table by itself: differences of its running sums."""
        name = measure or self.measures[0].name
        if not self.running:
            return self.numbers(name)
        decode = np.diff(decoder(sizes(self.by)[-1]), axis=0, prepend=0.0)
        values = self.cells[name].reshape(-1, len(decode)) @ decode.T
        sigma = np.broadcast_to(self.sigma[name] * np.sqrt((decode**2).sum(axis=1)), values.shape)
        return numbers(values.ravel(), sigma.ravel(), covers=self.covers)

    def top(self, measure: str, many: int) -> NDArray[np.int64]:
        """The keys with the largest noisy numbers, best first. Their intervals are those of `together`."""
        self._refuse_coded(measure)
        return np.argsort(-self.cells[measure], kind="stable")[:many].astype(np.int64)

    def together(self, measure: str, among: int = 0) -> Estimates:
        """Numbers with intervals that hold for all keys at once: so whichever the noise puts first, theirs hold.

        among: where this very number decided which keys are here, how many there may be with those that are not.
        """
        self._refuse_coded(measure)
        many = max(len(self.cells[measure]), among)
        whose = "keys at once, shown or not" if among else f"{many} keys at once"
        covers = f"{self.covers}, of all {whose}" if many > 1 else self.covers
        return numbers(self.cells[measure], self.sigma[measure], at_once(max(1, many)), covers)

    def shown(self, people: str, at_least: int, delta: float, at_once: bool = False) -> NDArray[np.bool_]:
        """Which keys have a noisy count of at least k + t: one of fewer than k people is, at most, at rate δ.

        at_once: no such key is among them, but for δ in all. Errors: InvalidQuery.
        """
        self._refuse_coded(people)
        each = delta / len(self.cells[people]) if at_once else delta
        least = least_shown(at_least, self.sigma[people], each, self.steps[people])
        return np.asarray(self.cells[people] >= least)

    def at_stake(self, measure: str, declared: float) -> Estimate:
        """By how much clipping may have moved the sum of this measure over all keys, at most; 0 to the interval's end.

        declared: the most that one person could have added to all keys, by the contract. Errors: InvalidQuery.
        """
        if self.cut is None:
            raise InvalidQuery(measure, "nobody counted who was cut", "ask dp.measures.Cut in the same table")
        people, low, high = (max(0.0, end) * declared for end in (self.cut.estimate, self.cut.low, self.cut.high))
        return Estimate(people, low, high)

    def sum_over(self, measure: str, kept: Sequence[str]) -> Estimates:
        """Noisy parts, added up over all dimensions but the `kept` ones: their noise adds up too."""
        self._refuse_coded(measure)
        gone = tuple(at for at, dimension in enumerate(self.by) if dimension.name not in kept)
        shape = sizes(self.by)
        values = self.cells[measure].reshape(shape).sum(axis=gone)
        if self.totals:
            raise InvalidQuery(measure, "its totals were paid for", "read them in `totals`")
        many = math.prod(shape[at] for at in gone)
        return numbers(np.ravel(values), math.sqrt(many) * self.sigma[measure], covers=self.covers)

    def _sum(self, name: str) -> Sum:
        for measure in self.measures:
            if measure.name == name and isinstance(measure, Sum):
                return measure
        raise InvalidQuery(name, "the table has no such sum", "name one that was asked for")

    def _refuse_coded(self, *names: str) -> None:
        """Cells of running tables and of centred sums are no numbers that a person may read."""
        if self.running:
            raise InvalidQuery(", ".join(names), "its cells are running sums", "read quantiles, or the histogram")
        for measure in self.measures:
            if measure.name in names and isinstance(measure, Sum) and measure.centred:
                raise InvalidQuery(measure.name, "it is centred, for a mean", "read the mean, or ask a sum")

"""Keys that nobody declared: shown only where so many people have them that one person cannot have made them appear.

Each person counts once in each of at most k of its keys. Every key that is there gets Gaussian noise on its count of
people; a key is shown where the noisy count is at least T = 1 + σ Φ⁻¹((1 - δ)^(1/k)), and one lattice step more. What
is not shown is forgotten, noise and all: neither how many keys there were, nor which, leaves.

**Why that is private.** Take one person away. Keys that others have too stay; their counts move by at most √k in L2,
and showing those above T is post-processing of a Gaussian release on a set of keys that does not depend on the person.
Keys that only this person has, at most k, have the count 1: each is shown with probability at most 1 - Φ((T - 1)/σ),
and any of them with at most 1 - Φ((T - 1)/σ)^k = δ. So with and without the person are a Gaussian release of μ = √k/σ,
but for an event of probability δ. That is (ε, δ(ε) + δ) for every ε, and over many selections and releases, chosen one
after the other: μ's add up in squares as ever, and the δ's of selections add up beside them.

**How good it is.** Of all ways to show a key by its count that keep to this trade-off, the best shows a key of n + 1
people with probability Φ(Φ⁻¹(π_n) + μ) + δ, as long as that is possible. The threshold, Φ(Φ⁻¹(π_n) + μ), is less than
one person behind it from ε 1 on, 1.6 at ε .5 (tests/dp/test_selection.py). A pure (ε, δ) selection (Desfontaines and
others 2022, arXiv:2006.03684) needs a third fewer people at ε 1, but is no Gaussian release, and so would cost a room
more for everything else it does: caps then hold for mechanisms of any kind only.

OpenDP's own threshold constructors are not used: #2922, their δ is understated up to threefold.

The code ensures: which of its keys a person counts in depends on that person alone, on a keyed hash of their names.
The caller ensures: noise is drawn by the ledger on exactly these counts, δ is charged, and only `shown` keys are kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .aggregate import COUNT_BITS, Statistic
from .bounding import Limits, Rows, bounded
from .grouped import people_of
from .keys import Int, InvalidQuery, column_of
from .scale import SCALE_UNIT, Scale

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Selection:
    """Which keys are shown. column: of text. keys_per_person: k. delta: of this selection. Errors: InvalidQuery."""

    column: str
    keys_per_person: int
    delta: float

    def __post_init__(self) -> None:
        if self.keys_per_person < 1 or not 0 < self.delta < 0.5:
            raise InvalidQuery(self.column, "a selection needs keys_per_person and a δ below 1/2", "declare both")

    @property
    def l2_squared(self) -> int:
        """The most one person moves the counts: squared L2, in lattice steps of 2^-COUNT_BITS people."""
        return self.keys_per_person << (2 * COUNT_BITS)

    def threshold(self, scale: Scale) -> int:
        """The least noisy count that is shown, in lattice steps. scale: of the noise.

        Discrete tails are at most the continuous ones a step before (Canonne, Kamath, Steinke 2020, proposition 25).
        """
        each = -np.expm1(np.log1p(-self.delta) / self.keys_per_person)
        sigma = scale / SCALE_UNIT
        return int(np.ceil(2**COUNT_BITS + sigma * -NormalDist().inv_cdf(float(each)))) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Every key that is there, sorted, and its count of people. Secret: even how many there are."""

    keys: tuple[str, ...] = field(repr=False)
    statistic: Statistic = field(repr=False)

    def __repr__(self) -> str:
        return "Candidates(secret)"


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The keys that may leave, and their noisy counts of people."""

    keys: tuple[str, ...]
    people: NDArray[np.float64]


def candidates(selection: Selection, rows: pl.DataFrame, secret: bytes) -> Candidates:
    """Distinct people by key, each in at most k of its keys. Errors: InvalidQuery by schema, never by a row."""
    import polars as pl

    column = column_of(rows, selection.column)
    if column.dtype not in (pl.String, pl.Enum, pl.Categorical):
        raise InvalidQuery(selection.column, "it holds no text", "name a column of text")
    names = sorted(column.cast(pl.String).drop_nulls().unique().to_list())
    place = column.cast(pl.String).cast(pl.Enum(names)).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
    person, known = people_of(rows)
    there = (place >= 0) & known
    code = _named(names, secret)
    row = Rows(person[there], code[place[there]], (None,))
    shares = bounded(row, [Limits(0, 1, None, once=True)], selection.keys_per_person, None, secret)
    counts = np.zeros(len(names), dtype=np.int64)
    order = np.argsort(code)
    np.add.at(counts, order[np.searchsorted(code[order], shares.key)], shares.amounts[0])
    return Candidates(tuple(names), Statistic(counts << COUNT_BITS, COUNT_BITS, selection.l2_squared))


def shown(selection: Selection, found: Candidates, noisy: Int, scale: Scale) -> Shown:
    """What is left once noise was drawn on the counts. noisy: in the order of `found.keys`."""
    stays = noisy >= selection.threshold(scale)
    keys = tuple(key for key, kept in zip(found.keys, stays, strict=True) if kept)
    return Shown(keys, np.ldexp(noisy[stays].astype(np.float64), -COUNT_BITS))


def _named(names: list[str], secret: bytes) -> Int:
    """A number for each name that depends on no other name: a new key moves nobody's cuts."""
    digests = (hashlib.blake2b(name.encode(), key=secret[:64], digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)

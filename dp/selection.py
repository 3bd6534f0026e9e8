"""Keys that nobody listed: shown only where so many people have them that one person cannot have made them appear.

Each person counts once in each of at most k of its keys. Every key that is there gets Gaussian noise on its count of
people; a key is shown where the noisy count is at least T = 1 + σ Φ⁻¹((1 - δ)^(1/k)), and one lattice step more. What
is not shown is forgotten, noise and all: neither how many keys there were, nor which, leaves.

**Why that is private.** Take one person away. Keys that others have too stay; their counts move by at most √k in L2,
and showing those above T is post-processing of a Gaussian release on a set of keys that does not depend on the person.
Keys that only this person has, at most k, have the count 1: each is shown with probability at most 1 - Φ((T - 1)/σ),
and any of them with at most 1 - Φ((T - 1)/σ)^k = δ. So with and without the person are a Gaussian release of μ = √k/σ,
but for an event of probability δ. That is (ε, δ(ε) + δ) for every ε, and over many selections and releases, chosen one
after the other: μ's add up in squares as ever, and the δ's of selections add up beside them.

**More numbers of a key.** Rows, sums and means of a key are further cells of the same Gaussian release, whose μ counts
what a person moves in all cells together. Nothing of a key leaves but where its people show it. Their noise is drawn
for keys that show only: draws are independent of each other, so the others' would be thrown away unseen.

**No more than so many keys.** Of the keys that show, the `most` with the largest noisy counts stay, and of these the
largest whose text, written one after the other, takes no more than `most_text`: post-processing of keys that may leave.

**How good it is.** Of all ways to show a key by its count that keep to this trade-off, the best shows a key of n + 1
people with probability Φ(Φ⁻¹(π_n) + μ) + δ, as long as that is possible. The threshold, Φ(Φ⁻¹(π_n) + μ), is less than
one person behind it from ε 1 on, 1.6 at ε .5 (tests/dp/test_selection.py). A pure (ε, δ) selection (Desfontaines and
others 2022, arXiv:2006.03684) needs a third fewer people at ε 1, but is no Gaussian release, and so would cost a room
more for everything else it does: caps then hold for mechanisms of any kind only.

OpenDP's own threshold constructors are not used: #2922, their δ is understated up to threefold.

The code ensures: no number of a key passes but with its people; what one key of one person passes at is at most δ.
The caller ensures: candidates are all keys that somebody counts in, whoever that is, and which of its keys a person
counts in depends on that person alone (`dp.grouped.candidates`); `draw` is the ledger's, for all cells of a key
together; δ is charged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from .aggregate import Statistic
from .budget import DELTA_UNIT
from .keys import Int, InvalidQuery
from .scale import SCALE_UNIT, Scale


@dataclass(frozen=True, slots=True)
class Selection:
    """Which keys are shown. keys_per_person: k. delta: of this selection, in whole units of 10^-18.

    steps: lattice steps of one person. judge: which of a key's cells counts its people. at_least: people that the
    contract asks for beside, as `dp.threshold.least_shown` makes it, in lattice steps. most: how many keys are shown.
    most_text: how many bytes all of them take, as JSON. Errors: InvalidQuery.
    """

    keys_per_person: int
    delta: int
    steps: int
    judge: int = 0
    at_least: int = 0
    most: int = 2**20
    most_text: int = 2**25

    def __post_init__(self) -> None:
        if min(self.keys_per_person, self.steps, self.most) < 1 or not 0 < 2 * self.delta < DELTA_UNIT:
            rule = "a selection needs keys_per_person, and a δ above 0 and below 1/2"
            raise InvalidQuery("selection", rule, "declare both")

    def threshold(self, scale: Scale) -> int:
        """The least noisy count that is shown, in lattice steps. scale: of the noise.

        Discrete tails are at most the continuous ones a step before (Canonne, Kamath, Steinke 2020, proposition 25).
        """
        each = -np.expm1(np.log1p(-self.delta / DELTA_UNIT) / self.keys_per_person)
        sigma = scale / SCALE_UNIT
        alone = int(np.ceil(self.steps + sigma * -NormalDist().inv_cdf(float(each)))) + 1
        return max(alone, self.at_least)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Every key that somebody counts in, sorted, and its exact numbers: secret, even how many there are.

    cells: of one key. statistic: the first cell of every key, then the second of every key, and so on.
    """

    keys: tuple[str, ...] = field(repr=False)
    cells: int
    statistic: Statistic = field(repr=False)

    def __repr__(self) -> str:
        return "Candidates(secret)"


def shown(
    selection: Selection, found: Candidates, scale: Scale, draw: Callable[[Int], Int]
) -> tuple[tuple[str, ...], Int]:
    """What may leave: the keys that show, and their noisy numbers in the order of candidates. draw: integers with noise
    of that scale."""
    exact = found.statistic.values.reshape(found.cells, len(found.keys))
    people = draw(exact[selection.judge])
    stays = np.flatnonzero(people >= selection.threshold(scale))
    largest = np.argsort(-people[stays], kind="stable")[: selection.most]
    text = np.cumsum([written(found.keys[at]) for at in stays[largest]])
    stays = stays[np.sort(largest[: np.searchsorted(text, selection.most_text, side="right")])]
    noisy = exact[:, stays]
    others = np.arange(len(exact)) != selection.judge
    noisy[others] = draw(noisy[others].ravel()).reshape(noisy[others].shape)
    noisy[selection.judge] = people[stays]
    return tuple(found.keys[at] for at in stays), noisy.ravel()


def written(key: str) -> int:
    """Bytes of a key as JSON."""
    return len(json.dumps(key, ensure_ascii=False).encode())

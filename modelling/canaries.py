"""What an attacker could learn in practice: a lower bound on the privacy loss, beside the one that was charged.

Canaries go through the real code on people made from declared domains, never on submitted records: an audit of those
would be an unpaid release. Three audits:

- *Two worlds*: one worst-case person is in or out, as often the one as the other, with fresh noise. An attacker who
  knows all else guesses which, by a threshold fixed beforehand. How often it is right bounds mu from below: under
  Gaussian differential privacy no test is right more often than Phi(mu / 2) on average over the two (Dong, Roth, Su
  2022, section 2). At 95 % by Clopper and Pearson, whose bound for one coin holds for two of other odds with the same
  mean (Hoeffding 1956).
- *One run*: thousands of canaries, each in or out by a coin, in a single run (Steinke, Nasr, Jagielski 2023,
  arXiv:2305.08846, theorem 5.2). It has teeth only with about ten thousand nearly orthogonal canaries.
- *Two answers*: of labels by randomised response, which keep to epsilon alone: how much likelier all labels of a record
  say yes where they should than where they should not, by Clopper and Pearson on both. Labels are flipped apart from
  each other, so that one draw holds as many records as are wanted.

The code ensures: `lower` exceeds what was charged with probability at most .05 if the code keeps its promise, and
`leaks` says so wrongly in one of 10,000 audits of two worlds at most. One run keeps the first bound for both: what it
finds of a Gaussian's loss is so far below it that luck does not carry it there.
The caller ensures: scores come from the real code under the audited charge; thresholds are not fitted to the runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, binom, norm

from ..dp.aggregate import Statistic
from ..dp.noisy import Noisy
from .blank import STEPS
from .design import BITS, Block, Design, Float, Int, Mask
from .draw import Draw
from .packed import Packed
from .person import DPGAM
from .progress import Progress, quietly
from .strategy import Rows

CONFIDENCE, SURE = 0.95, 0.9999
AIMED = 0.05
"""How far below the truth a bound is expected to lie, as a share of it, where `runs_for` says how many runs."""


@dataclass(frozen=True, slots=True)
class Audited:
    """lower: of the privacy loss that was met, 95 % sure. sure: the same, 99.99 % sure. charged: what the ledger
    takes. unit: mu or epsilon."""

    lower: float
    sure: float
    charged: float
    unit: str
    runs: int

    @property
    def leaks(self) -> bool:
        """More was lost than was charged: the code breaks its promise."""
        return self.sure > self.charged


def two_worlds(
    score: Callable[[bool], float], charged_mu: float, runs: int, progress: Progress = quietly, threshold: float = 0.5
) -> Audited:
    """score: one fresh run with the canary in (True) or out, higher where it seems to be in. runs: in each world.

    progress: called with runs done, and all there are.
    """
    right = 0
    for run in range(runs):
        right += int(score(True) > threshold) + int(score(False) <= threshold)
        progress(2 * run + 2, 2 * runs)
    lower, sure = (_mu(right, 2 * runs, confidence) for confidence in (CONFIDENCE, SURE))
    return Audited(lower, sure, charged_mu, "mu", 2 * runs)


def two_answers(draw: Callable[[Mask], Mask], moved: int, charged: float, runs: int) -> Audited:
    """draw: labels of people, as they are released. moved: of one record. charged: epsilon. runs: in each world."""
    wrong, right = (
        int(draw(np.full(runs * moved, there)).reshape(runs, moved).all(axis=1).sum()) for there in (False, True)
    )
    lower, sure = (_epsilon(wrong, right, runs, confidence) for confidence in (CONFIDENCE, SURE))
    return Audited(lower, sure, charged, "epsilon", 2 * runs)


def _epsilon(wrong: int, right: int, runs: int, confidence: float) -> float:
    """Of so many yes in either world; both bounds hold together at this confidence."""
    each = (1 - confidence) / 2
    seldom = float(beta.ppf(1 - each, wrong + 1, runs - wrong)) if wrong < runs else 1.0
    likely = float(beta.ppf(each, right, runs - right + 1)) if right else 0.0
    return max(0.0, math.log(likely / seldom)) if likely > 0 else 0.0


def _mu(right: int, guesses: int, confidence: float) -> float:
    share = float(beta.ppf(1 - confidence, right, guesses - right + 1)) if right else 0.0
    return 2 * float(norm.ppf(share)) if share > 0.5 else 0.0


def runs_for(mu: float) -> int:
    """Runs in each world after which the bound is expected to lie `AIMED` below a true mu, and seldom twice that."""
    right = float(norm.cdf(mu / 2))
    slope = float(norm.pdf(mu / 2)) / 2
    deviation = math.sqrt(right * (1 - right) / 2) / slope
    return max(200, math.ceil((float(norm.ppf(CONFIDENCE)) * deviation / (AIMED * mu)) ** 2))


def moved(draw: Draw, outside: Statistic, inside: Statistic) -> Callable[[bool], float]:
    """The best attack on one additive release: how far along the canary's own move the noisy sums lie, 0 to 1."""
    move = (inside.values - outside.values).astype(np.float64)
    length = float(move @ move)

    def score(within: bool) -> float:
        noisy = draw(inside if within else outside)
        return float((noisy.values - outside.values).astype(np.float64) @ move) / length

    return score


def rows_of(people: Rows) -> Iterator[Float]:
    """What is summed of each person, in units of a row's length, some at a time: people x cells."""
    if isinstance(people, Design):
        yield from people.blocks(2_048)
        return
    for rows in people.rows():
        whole = np.zeros((len(rows), people.design.cells))
        whole[:, people.used] = np.ldexp(rows.astype(np.float64), -BITS)
        yield whole


def person_attack(
    design: Design, matched: Mask, canaries: Mask, draw: Draw, steps: int = STEPS
) -> Callable[[bool], float]:
    """Are the canaries there, as positives? For the `person` fit, by one who sees every noisy sum.

    All steps together are one test: each noisy sum is held against what both worlds would have given at its weights.
    """
    label = matched | canaries
    inside, outside = (Packed.of(design), label), (Packed.of(design.take(~canaries)), label[~canaries])

    def score(within: bool) -> float:
        (real, said), other = (inside, outside) if within else (outside, inside)
        seen = _Seen(other, within)
        spy = _Spy(real.rows, real.columns, real.groups, real.digest, seen)
        DPGAM(steps=steps).fit_drawn(spy, said, seen.watching(draw))
        return seen.score()

    return score


@dataclass(frozen=True, slots=True, eq=False)
class _Spy(Packed):
    """People whose sums are written down as they are made, beside what the other world would give."""

    seen: _Seen

    def margins(self, matched: Mask) -> Int:
        exact = Packed.margins(self, matched)
        people, label = self.seen.other
        self.seen.keep(exact, Packed.margins(people, label))
        return exact

    def by(self, columns: Sequence[Block]) -> Packed:
        people, label = self.seen.other
        self.seen.other = people.by(columns), label
        return Packed.by(self, columns)

    def pull(self, matched: Mask, intercept: float, effects: Sequence[Float]) -> Int:
        exact = Packed.pull(self, matched, intercept, effects)
        people, label = self.seen.other
        self.seen.keep(exact, Packed.pull(people, label, intercept, effects))
        return exact


class _Seen:
    """The canary's moves and where the noisy sums lie along them, summed over one fit.

    other: people and labels of the world that is not real. within: whether the real one holds the canary.
    """

    def __init__(self, other: tuple[Packed, Mask], within: bool) -> None:
        self.other, self.within = other, within
        self._noise: Int = np.zeros(0, dtype=np.int64)
        self._at, self._along, self._length = 0, 0.0, 0.0

    def watching(self, draw: Draw) -> Draw:
        def watched(statistic: Statistic) -> Noisy:
            noisy = draw(statistic)
            self._noise = noisy.values
            return noisy

        return watched

    def keep(self, exact: Int, other: Int) -> None:
        noise = self._noise[self._at : self._at + len(exact)].astype(np.float64)
        self._at += len(exact)
        inside, outside = (exact, other) if self.within else (other, exact)
        move = (inside - outside).astype(np.float64)
        self._along += float((exact - outside).astype(np.float64) @ move + noise @ move)
        self._length += float(move @ move)

    def score(self) -> float:
        return self._along / self._length


def one_run(scores: Float, included: Mask, guesses: int, charged_epsilon: float, delta: float) -> Audited:
    """The lower bound from a single run with many canaries, each included by a fair coin.

    scores: one a canary, higher where it seems to be in. guesses: how many of the surest, half of them each way, are
    guessed; fixed beforehand.
    """
    order = np.argsort(scores)
    half = guesses // 2
    right = int(np.count_nonzero(included[order[-half:]])) + int(np.count_nonzero(~included[order[:half]]))
    lower = _epsilon_lower(right, 2 * half, len(scores), delta)
    return Audited(lower, lower, charged_epsilon, "epsilon", 1)


def _epsilon_lower(right: int, guesses: int, canaries: int, delta: float) -> float:
    """The largest epsilon at which so many right guesses would still be surprising."""
    low, high = 0.0, 20.0
    if _surprise(right, guesses, canaries, 0.0, delta) > 1 - CONFIDENCE:
        return 0.0
    for _ in range(50):
        middle = (low + high) / 2
        if _surprise(right, guesses, canaries, middle, delta) <= 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return low


def _surprise(right: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """Most probability of `right` or more right guesses under (epsilon, delta): Steinke et al. 2023, theorem 5.2."""
    q = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(right - 1, guesses, q))
    steps = np.arange(1, right + 1)
    gathered = np.cumsum(binom.pmf(right - steps, guesses, q)) / steps
    return min(1.0, tail + 2 * canaries * delta * float(gathered.max(initial=0.0)))

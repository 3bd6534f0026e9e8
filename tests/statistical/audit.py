"""Audit the mechanism at full length: how far apart are two worlds that differ in one person, proven by draws?

    python tests/statistical/audit.py [--draws 1000000]        about two minutes of CPU at full length

For each way that numbers leave, one person's worst case is played through the whole path (rows, bounds, layout, draw),
and the noisy numbers are laid along the difference that the person makes: the best test there is for a Gaussian. From
its error rates follows a 99 % lower bound on μ (Dong, Roth, Su 2022; Clopper-Pearson on both). It must lie within
[.95 μ, μ] of what was paid: more would be a broken promise, less a test without teeth. A bound is too high
once in a hundred times. A count is drawn 10^6 times in either world at ε 1 (the bound is .973 μ on average, with
a deviation of .008), every way a quarter as often at ε 4, where less is enough (.984 μ, .004).

With eight bounds one is too high in one run of thirteen, so a bound that does not hold is drawn anew, and the audit
fails where the second does not hold either: a sound mechanism fails it once in a thousand runs.

The selection of keys is audited by its rate: a 99 % lower bound on δ must lie within [.9 δ, δ]. Labels by randomised
response have no μ: a 99 % lower bound on their ε, from how much likelier a record's labels all say yes where they
should, must lie within [.95 ε, ε].
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import beta, norm

from passbox.dp.accounting import rho_within
from passbox.dp.budget import EPSILON_UNIT, RHO_UNIT, Budget, Delta, Epsilon, Rho, delta_units
from passbox.dp.flip import Flip, least_flip, price_of
from passbox.dp.grouped import aggregate, candidates
from passbox.dp.keys import Bins, Category, Open
from passbox.dp.layout import GroupBy, Layout
from passbox.dp.measures import Count, People, Sum
from passbox.dp.mechanisms import gaussian, randomised
from passbox.dp.scale import SCALE_UNIT, Scale, price, smallest_scale
from passbox.dp.selection import Selection

Int = NDArray[np.int64]
Mask = NDArray[np.bool_]
Draw = Callable[[Int, int, Scale], Int]

RHO, SMALL_RHO = (rho_within(Budget(Epsilon(epsilon), Delta(1e-6))) for epsilon in (4.0, 1.0))
WRONG = 0.01
"""How often a bound may be too high."""

REGION = Category("region", ("north", "south"))
PERSON = {"region": ["north", "south"] * 30, "price": [500.0] * 60, "age": [5.0] * 60, "clicked": [True] * 60}

WAYS: dict[str, tuple[GroupBy, ...]] = {
    "a count": (GroupBy("t", (), 1, (People(),)),),
    "a sum of money": (GroupBy("t", (), 1, (Sum("spend", "price", 0, 500, 100, 800),)),),
    "two keys a person": (GroupBy("t", (REGION,), 2, (Count("views", 20),)),),
    "three measures in one draw": (
        GroupBy("t", (), 1, (People(), Count("views", 20), Sum("spend", "price", 0, 500, 100, 800))),
    ),
    "running sums": (GroupBy("t", (Bins("age", (0.0, 10.0, 20.0, 30.0)),), 1, (People(),), running=True),),
}


def ours(values: Int, l2_squared: int, scale: Scale) -> Int:
    return gaussian(values, l2_squared, scale, price(l2_squared, scale))


def half_the_noise(values: Int, l2_squared: int, scale: Scale) -> Int:
    return ours(values, l2_squared, Scale(scale // 2))


@dataclass(frozen=True)
class Found:
    """What draws prove, and what was paid for."""

    proven: float
    paid: float
    least: float

    @property
    def holds(self) -> bool:
        return self.least * self.paid <= self.proven <= self.paid


def worlds(layout: Layout) -> tuple[Int, Int]:
    """Exact integers without and with the person."""
    rows = pl.DataFrame(PERSON).with_columns(pl.lit(7, dtype=pl.UInt64).alias("person"))
    tables = [[table] * len(layout.groups) for table in (rows.clear(), rows)]
    without, with_one = (aggregate(layout, table, bytes(16)).values for table in tables)
    return without, with_one


def proven_mu(
    layout: Layout, draws: int, draw: Draw = ours, wrong: float = WRONG, least: float = 0.95, rho: Rho = RHO
) -> Found:
    """The largest μ that so many draws of either world prove, too large at the rate `wrong`."""
    scale = smallest_scale(layout.l2_squared, rho)
    without, with_one = worlds(layout)
    move = (with_one - without).astype(np.float64)
    middle = float(move @ (without + with_one)) / 2
    errors = []
    for world, guilty in ((without, False), (with_one, True)):
        above = _above(draw, world, layout.l2_squared, scale, move, middle, draws)
        errors.append(draws - above if guilty else above)
    alpha, missed = (float(beta.ppf(1 - wrong / 2, count + 1, draws - count)) for count in errors)
    return Found(float(norm.ppf(1 - alpha) - norm.ppf(missed)), math.sqrt(2 * rho / RHO_UNIT), least)


def _above(
    draw: Draw, world: Int, l2_squared: int, scale: Scale, move: NDArray[np.float64], middle: float, draws: int
) -> int:
    """How many releases of a world look as if the person were there."""
    above, left = 0, draws
    while left:
        now = min(left, 100_000)
        noisy = draw(np.tile(world, now), l2_squared, scale).reshape(now, -1)
        above, left = above + int((noisy @ move > middle).sum()), left - now
    return above


def proven_delta(keys: int, draws: int, delta: float = 2e-3, wrong: float = WRONG) -> Found:
    """How often a person with keys of its own makes one of them appear, at least."""
    layout = Layout.of([GroupBy("t", (Open("page"),), keys, (People(),))])
    steps = layout.blocks[0].steps
    selection, scale = Selection(keys, delta_units(delta), steps), Scale(3 * steps * SCALE_UNIT)
    rows = pl.DataFrame({"person": np.zeros(keys, dtype=np.uint64), "page": [f"own-{n}" for n in range(keys)]})
    exact = candidates(layout, 0, [rows], bytes(16)).statistic.values
    noisy = ours(np.tile(exact, draws), layout.l2_squared, scale).reshape(draws, -1)
    appeared = int((noisy >= selection.threshold(scale)).any(axis=1).sum())
    return Found(float(beta.ppf(wrong, appeared, draws - appeared + 1)), delta, 0.9)


def flipped(labels: Mask, moved: int, flip: Flip) -> Mask:
    return randomised(labels, moved, flip, price_of(flip, moved))


def proven_epsilon(
    epsilon: float,
    moved: int,
    draws: int,
    draw: Callable[[Mask, int, Flip], Mask] = flipped,
    wrong: float = WRONG,
    least: float = 0.95,
) -> Found:
    """The largest ε that so many draws of either world prove of a record which moves so many labels."""
    flip = least_flip(round(epsilon * EPSILON_UNIT), moved)
    seen = [
        int(draw(np.full(draws * moved, there), moved, flip).reshape(draws, moved).all(axis=1).sum())
        for there in (False, True)
    ]
    likely = float(beta.ppf(wrong / 2, seen[1], draws - seen[1] + 1))
    seldom = float(beta.ppf(1 - wrong / 2, seen[0] + 1, draws - seen[0]))
    return Found(math.log(likely / seldom), epsilon, least)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1_000_000, help="of each world, at ε 1")
    draws, failed = parser.parse_args().draws, 0
    for name, audited in audits(draws):
        failed += not (told(name, audited()) or told(f"{name}, drawn anew", audited()))
    planted = proven_mu(Layout.of(WAYS["a count"]), draws // 10, half_the_noise)
    print(f"{'half the noise, planted':36} proven {planted.proven:.6f}: {'MISSED' if planted.holds else 'caught'}")
    return 1 if failed or planted.holds else 0


def told(name: str, bound: Found) -> bool:
    verdict = "holds" if bound.holds else "DOES NOT HOLD"
    said = f"proven {bound.proven:.6f} of {bound.paid:.6f} ({bound.proven / bound.paid:.3f}): {verdict}"
    print(f"{name:36} {said}", flush=True)
    return bound.holds


def audits(draws: int) -> list[tuple[str, Callable[[], Found]]]:
    """What is audited, in order."""
    small = partial(proven_mu, Layout.of(WAYS["a count"]), draws, rho=SMALL_RHO)
    ways = [(f"{name} at ε 4", partial(proven_mu, Layout.of(groups), draws // 4)) for name, groups in WAYS.items()]
    keys = [(f"keys nobody listed, {n} a person", partial(proven_delta, n, draws)) for n in (1, 3)]
    labels = [(f"labels, {n} of a record", partial(proven_epsilon, 2.0, n, draws)) for n in (1, 2)]
    return [("a count at ε 1", small), *ways, *keys, *labels]


if __name__ == "__main__":
    sys.exit(main())

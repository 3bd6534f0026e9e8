"""Several numbers share one draw: exactly bounded, and split so that no other split is better."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from passbox.cleanroom.verifier import verify_ledger as page
from passbox.dp.accounting import rho_within
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon, Rho
from passbox.dp.keys import Bins, Category, InvalidQuery
from passbox.dp.layout import FINEST, GroupBy, Layout
from passbox.dp.measures import LARGEST_BOUND, Count, Cut, Measure, People, Sum, mean
from passbox.dp.noisy import Noisy, Receipt
from passbox.dp.running import longest_column
from passbox.dp.scale import SCALE_UNIT, smallest_scale
from passbox.dp.target import epsilon_for, half_width, rho_for

REGION = Category("region", ("north", "south", "east"))
AGE = Bins("age", (0.0, 20.0, 40.0, 100.0))
MONEY = Sum("spend", "price", 0, 500, parts=100, at_most=800)
RHO = rho_within(Budget(Epsilon(1.0), Delta(1e-6)))


def one(measure: Measure, keys_per_person: int = 1, **changes: object) -> GroupBy:
    return GroupBy("t", (REGION, AGE), keys_per_person, (measure,), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("group", "l2_squared"),
    [
        (one(People()), 1),
        (one(People(), 4), 4),
        (one(People(), 100), 9),  # there are no more keys
        (one(Count("v", 20), 3), 3 * 400),
        (one(Count("v", 20, in_total=50), 3), 2 * 400 + 100),
        (one(Count("v", 20, in_total=5), 3), 25),
        (one(Count("v"), 2, rows_per_key=7), 2 * 49),
        (one(MONEY, 2), 2 * 80_000**2),
        (one(Sum("s", "x", -3, 9, at_most=5), 2), 50),
        (one(mean("x", "x", 0, 100, 10)[0], 2, rows_per_key=3), 2 * (3 * 500) ** 2),
        (one(People(), 2, running=True), 4 * longest_column(3)),
    ],
)
def test_one_person_moves_a_table_by_what_the_bounds_say(group: GroupBy, l2_squared: int) -> None:
    assert group.l2_squared(group.measures[0]) == l2_squared


counts = st.builds(Count, st.text("abc", min_size=1), st.integers(1, 10**5))
sums = st.builds(Sum, st.text("def", min_size=1), st.just("x"), st.just(0.0), st.floats(1, 1e3), st.integers(1, 100))
weights = st.floats(1e-4, 1e4)


@settings(max_examples=60, deadline=None)
@given(st.lists(counts | sums | st.just(People()), min_size=1, max_size=5, unique_by=lambda each: each.name), st.data())
def test_one_person_moves_any_table_by_two_thirds_of_the_finest_lattice(measures: list[Measure], data: Any) -> None:
    """What verifiers that lay out no table know of all of them (docs/ledger.md), but for rounding: m >= 1 is at least
    two thirds of what was rounded to it."""
    running = all(isinstance(each, People | Count) for each in measures) and data.draw(st.booleans())
    group = one(measures[0], data.draw(st.integers(1, 9)), rows_per_key=data.draw(st.integers(1, 40)), running=running)
    importance = {("t", each.name): data.draw(weights) for each in measures}
    try:
        layout = Layout.of([replace(group, measures=tuple(measures))], importance)
    except InvalidQuery:  # sums of so many parts do not fit
        reject()
    known = {name: least for name, least in page.L2.items() if name[0] in ("table@1", "keys@1")}
    assert len(known) == 2
    assert all(layout.l2_squared >= -least > 0 for least in known.values())


def test_the_longest_reachable_vector_is_the_one_that_is_charged() -> None:
    """Every way to add at most c to each of k keys and t in all, against the formula."""
    for k, c, t in itertools.product(range(1, 4), range(1, 4), range(1, 10)):
        ways = (way for way in itertools.product(range(c + 1), repeat=k) if sum(way) <= t)
        longest = max(sum(x * x for x in way) for way in ways)
        assert one(Count("v", c, in_total=t), k).l2_squared(Count("v", c, in_total=t)) == longest


def test_cells_lie_one_after_another_and_each_belongs_to_one_number() -> None:
    layout = Layout.of([one(People()), GroupBy("all", (), 1, (People(), MONEY, Cut()))])
    assert [(block.start, block.stop) for block in layout.blocks] == [(0, 9), (9, 10), (10, 11), (11, 12)]
    assert layout.cells == 12


PLANS = {
    "alike": [one(People()), GroupBy("b", (REGION,), 1, (Count("v", 20),))],
    "unlike": [GroupBy("t", (REGION,), 4, (People(), Count("v", 20), MONEY)), GroupBy("all", (), 1, (People(),))],
    "quantiles": [one(People(), running=True), GroupBy("all", (), 1, (MONEY,))],
    "totals": [GroupBy("t", (REGION, AGE), 3, (Count("v", 2), MONEY), totals=((), ("region",)))],
}


def variance(layout: Layout, multipliers: list[float], weights: list[float]) -> float:
    """Total variance at ρ 1/2, each number measured by what one person may add."""
    length = sum(m**2 * b.l2_squared for m, b in zip(multipliers, layout.blocks, strict=True))
    units = [block.steps / block.multiplier / block.measure.parts for block in layout.blocks]
    bounds = [block.group.bound(block.measure) for block in layout.blocks]
    return sum(w * length / (m * u * c) ** 2 for w, m, u, c in zip(weights, multipliers, units, bounds, strict=True))


@pytest.mark.parametrize("name", PLANS)
def test_no_other_split_of_the_noise_is_better(name: str) -> None:
    """The least total variance is (Σ √(v S))², and whole multipliers come within a thousandth of it."""
    layout = Layout.of(PLANS[name])
    ours = [float(block.multiplier) for block in layout.blocks]
    equal = [1.0] * len(ours)
    units = [block.steps / block.multiplier / block.measure.parts for block in layout.blocks]
    bounds = [block.group.bound(block.measure) for block in layout.blocks]
    best = sum(math.sqrt(b.l2_squared) / u / c for b, u, c in zip(layout.blocks, units, bounds, strict=True)) ** 2
    assert best <= variance(layout, ours, equal) * (1 + 1e-12) <= 1.001 * best
    for at, factor in itertools.product(range(len(ours)), (0.5, 0.8, 1.25, 2.0)):
        other = [m * (factor if i == at else 1) for i, m in enumerate(ours)]
        assert variance(layout, other, equal) >= variance(layout, ours, equal) * 0.999


def test_more_importance_is_less_noise_there_and_more_elsewhere() -> None:
    groups = PLANS["unlike"]
    plain, pressed = Layout.of(groups), Layout.of(groups, {("t", "spend"): 16.0})
    assert half_width(pressed, "t", "spend", RHO) < half_width(plain, "t", "spend", RHO)
    assert half_width(pressed, "t", "people", RHO) > half_width(plain, "t", "people", RHO)


def test_asking_twice_as_much_costs_less_than_two_requests() -> None:
    """Three measures at one ε: each is √3 times as wide as alone, as if each had a third of ρ."""
    three = Layout.of([GroupBy("t", (REGION,), 1, (People(), Count("v", 20), MONEY))])
    alone = Layout.of([GroupBy("t", (REGION,), 1, (MONEY,))])
    ratio = half_width(three, "t", "spend", RHO) / half_width(alone, "t", "spend", RHO)
    assert ratio == pytest.approx(math.sqrt(3), rel=1e-3)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0])
def test_noise_is_that_of_the_best_gaussian(epsilon: float) -> None:
    """One count, against σ = Δ/√2ρ of a continuous Gaussian: the lattice costs nothing."""
    rho = rho_within(Budget(Epsilon(epsilon), Delta(1e-6)))
    best = math.sqrt(RHO_UNIT / (2 * rho))
    assert half_width(Layout.of([one(People())]), "t", "people", rho) / 1.959964 == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("epsilon", [0.03, 1.0, 64.0])
def test_every_request_has_noise_that_fits(name: str, epsilon: float) -> None:
    layout = Layout.of(PLANS[name])
    scale = smallest_scale(layout.l2_squared, rho_within(Budget(Epsilon(epsilon), Delta(1e-6))))
    assert scale > 100 * SCALE_UNIT


def test_the_lattice_is_fine_and_sums_fit() -> None:
    for groups in PLANS.values():
        for block in Layout.of(groups).blocks:
            assert FINEST / 8 <= block.steps * block.group.bound(block.measure) / block.measure.parts < LARGEST_BOUND


# -- targets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("within", [1.0, 30.0, 2_000.0])
def test_an_accuracy_costs_the_least_epsilon_that_reaches_it(within: float) -> None:
    layout, delta = Layout.of(PLANS["unlike"]), Delta(1e-6)
    rho = rho_for(layout, "t", "v", within)
    assert half_width(layout, "t", "v", rho) <= within < half_width(layout, "t", "v", Rho(int(rho * 0.9999)))
    if rho < 40 * RHO_UNIT:
        epsilon = epsilon_for(layout, "t", "v", within, delta)
        bought = rho_within(Budget(epsilon, delta))
        assert half_width(layout, "t", "v", bought) <= within * (1 + 1e-6)


def test_a_plan_says_the_noise_that_the_run_will_have() -> None:
    layout = Layout.of(PLANS["totals"])
    read = layout.read(Noisy(np.zeros(layout.cells, dtype=np.int64), 1.0, 0, Receipt("", 0, b"", "")))["t"]
    for measure in ("v", "spend"):
        assert layout.noise("t", measure) == read.sigma[measure]
        for kept in ((), ("region",)):
            assert layout.noise("t", measure, kept) == read.totals[kept].sigma[measure]


@pytest.mark.parametrize("within", [0.0, -1.0, math.nan, -math.inf, 1e-9])
def test_an_accuracy_that_cannot_be_is_refused(within: float) -> None:
    with pytest.raises(ValueError, match="accuracy"):
        rho_for(Layout.of(PLANS["alike"]), "t", "people", within)


# -- what is refused, before a row is read ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        lambda: Layout.of([]),
        lambda: Layout.of([one(People()), one(People())]),
        lambda: GroupBy("t", (REGION,), 1, ()),
        lambda: GroupBy("t", (REGION,), 1, (People(), People())),
        lambda: GroupBy("t", (REGION, REGION), 1, (People(),)),
        lambda: GroupBy("t", (REGION,), 0, (People(),)),
        lambda: GroupBy("t", (REGION,), 1, (Count("v"),)),
        lambda: GroupBy("t", (REGION,), 1, (Count("v", 0),)),
        lambda: GroupBy("t", (REGION,), 1, (Count("v", 1, in_total=0),)),
        lambda: GroupBy("t", (REGION,), 1, (Sum("s", "x", 0, 9),)),
        lambda: GroupBy("t", (REGION,), 1, (Sum("s", "x", 0, 9, at_most=0),)),
        lambda: GroupBy("t", (REGION,), 1, (Sum("s", "x", 0, 9, at_most=2**30),)),
        lambda: GroupBy("t", (REGION,), 1, (Sum("s", "x", 0, 2**26),), rows_per_key=20),
        lambda: GroupBy("t", (REGION,), 1, (People(),), rows_per_key=0),
        lambda: GroupBy("t", (REGION,), 1, (Cut(),)),
        lambda: GroupBy("t", (), 1, (People(),), running=True),
        lambda: GroupBy("t", (Bins("b", tuple(map(float, range(4099)))),), 1, (People(),), running=True),
        lambda: GroupBy("t", (REGION,), 1, (People(),), totals=(("region",),)),
        lambda: GroupBy("t", (REGION,), 1, (People(),), totals=(("nothing",),)),
        lambda: GroupBy("t", (REGION, AGE), 1, (People(),), totals=((), ())),
        lambda: GroupBy("t", (REGION, AGE), 2, (People(),), totals=((),)),
        lambda: GroupBy("t", tuple(Bins(f"b{i}", tuple(map(float, range(101)))) for i in range(4)), 1, (People(),)),
        lambda: Layout.of([one(People())], {("t", "nothing"): 1.0}),
        lambda: Layout.of([one(People())], {("t", "people"): 0.0}),
        lambda: Layout.of([one(People())], {("t", "people"): math.nan}),
        lambda: Sum("s", "x", 5, 5),
        lambda: Sum("s", "x", 0, math.inf),
        lambda: Sum("s", "x", math.nan, 1),
        lambda: Sum("s", "x", 0, 1e12, parts=100),
        lambda: Sum("s", "x", 0, 1, parts=0),
        lambda: Category("c", ()),
        lambda: Category("c", ("a", "a")),
        lambda: Bins("b", (1.0,)),
        lambda: Bins("b", (1.0, 1.0)),
        lambda: Bins("b", (2.0, 1.0)),
        lambda: Bins("b", (0.0, math.inf)),
        lambda: Bins("b", (0.0, math.nan)),
    ],
)
def test_what_cannot_be_answered_is_refused_with_rule_and_remedy(asked: object) -> None:
    with pytest.raises(InvalidQuery) as caught:
        Layout.of([asked]) if isinstance(asked := asked(), GroupBy) else asked  # type: ignore[operator]
    assert caught.value.where
    assert caught.value.rule
    assert caught.value.remedy


def test_numbers_laid_out_in_another_way_are_not_read() -> None:
    layout = Layout.of([one(People())])
    for cells, bits in ((8, 0), (9, 10)):
        with pytest.raises(ValueError, match="another way"):
            layout.read(Noisy(np.zeros(cells, dtype=np.int64), 1.0, bits, Receipt("", 0, b"", "")))


def test_what_was_asked_can_stand_in_an_entry() -> None:
    from passbox.dp.canonical import canonical

    text = canonical({"asked": Layout.of(PLANS["totals"]).as_json()}).decode()
    assert '"steps":[' in text
    assert "spend" in text

"""One person moves what is aggregated by no more than is charged, whatever rows it has and whatever is asked.

Exact replay on neighbours (see `plans`): no statistics, no false alarms. Each planted fault fails the very replay that
the product passes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import PERSONS, REGION, SECRET, crowd, layouts, moved, tables

from passbox.dp import bounding, grouped
from passbox.dp.aggregate import Statistic
from passbox.dp.grouped import aggregate
from passbox.dp.keys import Bins, Category
from passbox.dp.layout import GroupBy, Layout
from passbox.dp.measures import Count, Cut, People, Sum, mean

AGE = Bins("age", (0.0, 20.0, 40.0, 60.0, 100.0))

ONE_OF_EACH: dict[str, tuple[GroupBy, ...]] = {
    "distinct people": (GroupBy("t", (REGION,), 2, (People(),)),),
    "rows": (GroupBy("t", (REGION,), 2, (Count("views", at_most=20),)),),
    "rows cut by a keyed hash": (GroupBy("t", (REGION, AGE), 3, (Count("clicks", of="clicked"),), 4),),
    "a sum": (GroupBy("t", (REGION,), 3, (Sum("spend", "price", 0, 500, 100, at_most=800),)),),
    "a sum of both signs": (GroupBy("t", (REGION,), 1, (Sum("balance", "age", -50, 50, 10, at_most=70),)),),
    "a sum bounded over all keys": (GroupBy("t", (REGION,), 3, (Sum("s", "price", 0, 9, 1, 9, in_total=12),)),),
    "a mean": (GroupBy("t", (REGION,), 2, mean("hour", "hour", 0, 24, 10), 5),),
    "a histogram": (GroupBy("t", (AGE,), 1, (People(),)),),
    "quantiles": (GroupBy("t", (REGION, AGE), 2, (People(),), running=True),),
    "a group-by of several keys": (
        GroupBy("t", (REGION, AGE, Bins("hour", (0.0, 12.0, 24.0))), 4, (Count("views", 5),)),
    ),
    "totals beside parts": (
        GroupBy("t", (REGION, AGE), 2, (Count("views", 5), Count("clicks", 3, "clicked")), totals=((), ("region",))),
    ),
    "ratios": (
        GroupBy(
            "t", (REGION,), 3, (Count("views", 20), Count("clicks", 3, "clicked"), Sum("s", "price", 0, 9, 100, 50))
        ),
    ),
    "a grand total": (GroupBy("t", (), 1, (People(), Count("views", 20))),),
    "people who were cut": (GroupBy("t", (REGION,), 1, (Count("views", 2), Sum("s", "price", 0, 9, 1, 9), Cut())),),
    "several tables": (
        GroupBy("a", (REGION,), 3, (People(),)),
        GroupBy("b", (AGE,), 1, (Count("views", 7),)),
        GroupBy("c", (), 1, (Sum("s", "price", 0, 900, 100, 1000),)),
    ),
}


@settings(max_examples=150, deadline=None)
@given(layouts(), tables, st.sampled_from(PERSONS))
def test_no_request_moves_further_than_it_is_charged_for(plan: Layout, rows: pl.DataFrame, person: int) -> None:
    """A15: requests and rows are made up, odd values and undeclared keys among them."""
    assert moved(plan, rows, person) <= plan.l2_squared


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_person_with_ten_thousand_rows_moves_no_more_than_any_other(name: str) -> None:
    plan = Layout.of(ONE_OF_EACH[name])
    assert 0 < moved(plan, crowd(10_000), 7) <= plan.l2_squared


@pytest.mark.parametrize("name", ["distinct people", "rows", "a sum", "a group-by of several keys", "several tables"])
def test_the_charge_is_no_more_than_a_person_can_move(name: str) -> None:
    """What is declared is reached: noise is not larger than it must be."""
    plan = Layout.of(ONE_OF_EACH[name])
    assert moved(plan, crowd(10_000), 7) >= 0.999 * plan.l2_squared


@settings(max_examples=60, deadline=None)
@given(layouts(), tables, st.randoms(use_true_random=False), st.integers(0, 40))
def test_shuffled_and_rechunked_rows_give_the_same_bits(
    plan: Layout, rows: pl.DataFrame, order: object, at: int
) -> None:
    """A4: also which rows and keys are cut does not depend on the order they come in."""
    positions = list(range(rows.height))
    order.shuffle(positions)  # type: ignore[attr-defined]
    shuffled = rows[positions]
    chunked = pl.concat([shuffled[:at], shuffled[at:]], rechunk=False)
    many = len(plan.groups)
    assert bits(plan, [rows] * many) == bits(plan, [chunked] * many)


def bits(plan: Layout, rows: Sequence[pl.DataFrame], path: object = aggregate) -> bytes:
    return path(plan, rows, SECRET).values.tobytes()  # type: ignore[operator]


@settings(max_examples=60, deadline=None)
@given(layouts(), tables, st.sampled_from(PERSONS))
def test_what_one_person_has_changes_nothing_of_what_others_add(plan: Layout, rows: pl.DataFrame, person: int) -> None:
    """Cuts are made for each person alone: together is the sum of each by itself."""
    many = len(plan.groups)
    alone = [aggregate(plan, [rows.filter(pl.col("person") == p)] * many, SECRET).values for p in PERSONS]
    assert (aggregate(plan, [rows] * many, SECRET).values == np.sum(alone, axis=0)).all()


def test_rows_that_are_cut_are_chosen_evenly_among_unlike_ones() -> None:
    """Nine rows of one kind and one of another, nine kept: the one goes in a tenth of 5,000 people, not in half.

    Binomial, ±5 standard deviations: a false alarm once in a million. The hash has a fixed key here: it never flakes.
    """
    people = 5_000
    rows = pl.DataFrame(
        {
            "person": np.repeat(np.arange(people, dtype=np.uint64), 10),
            "clicked": np.tile(np.arange(10) == 0, people),
        }
    )
    plan = Layout.of([GroupBy("t", (), 1, (Count("clicks", of="clicked"),), rows_per_key=9)])
    kept = aggregate(plan, [rows], SECRET).values[0] / plan.blocks[0].steps
    assert abs(kept - 0.9 * people) < 5 * np.sqrt(people * 0.09)


# -- planted faults -------------------------------------------------------------------------------------------------


def no_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounding, "_each", lambda sums, limits, person, cut: tuple(sums))


def no_truncation_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    real = bounding._position_in_run
    monkeypatch.setattr(bounding, "_position_in_run", lambda *by: real(*by) * (len(by) != 1))


def no_limit_over_all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounding, "_cut_in_total", lambda amounts, person, total: amounts)


def truncation_before_the_final_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """#2949: rows are cut to the declared number, and then fall into keys that were made afterwards."""
    real = bounding.bounded

    def early(rows: bounding.Rows, limits: object, keys_per_person: int, rows_per_key: object, secret: bytes) -> object:
        return real(rows, limits, 10**6, rows_per_key, secret)  # type: ignore[arg-type]

    monkeypatch.setattr(grouped, "bounded", early)


def sensitivity_of_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise is that of one key a person, though more are kept."""
    monkeypatch.setattr(GroupBy, "l2_squared", lambda self, measure: self.bound(measure) ** 2)


def sensitivity_without_multipliers(monkeypatch: pytest.MonkeyPatch) -> None:
    """#2945: what bounds rows is taken for what a person changes: here, parts for lattice steps."""
    monkeypatch.setattr(Layout, "l2_squared", property(lambda self: sum(block.l2_squared for block in self.blocks)))


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (no_clip, "rows"),
        (no_clip, "a sum"),
        (no_truncation_of_keys, "a group-by of several keys"),
        (no_limit_over_all_keys, "a sum bounded over all keys"),
        (truncation_before_the_final_keys, "a group-by of several keys"),
        (sensitivity_of_one_key, "distinct people"),
        (sensitivity_without_multipliers, "rows"),
    ],
)
def test_a_planted_fault_fails_the_replay(fault: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)  # type: ignore[operator]
    plan = Layout.of(ONE_OF_EACH[name])
    assert moved(plan, crowd(10_000), 7) > plan.l2_squared


def test_a_float_sum_fails_the_shuffle() -> None:
    def float_sum(plan: Layout, rows: Sequence[pl.DataFrame], secret: bytes) -> Statistic:
        total = np.float32(0)
        for x in np.clip(rows[0]["price"].to_numpy(), 0, 500).astype(np.float32):
            total += x
        return Statistic(np.array([total * 1000]).astype(np.int64), 0, 1)

    rows = crowd(2_000)
    plan = Layout.of([GroupBy("t", (), 1, (Sum("spend", "price", 0, 500, 100, at_most=800),))])
    assert bits(plan, [rows]) == bits(plan, [rows[::-1]])
    assert bits(plan, [rows], float_sum) != bits(plan, [rows[::-1]], float_sum)


def test_keys_taken_from_the_data_fail_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """#2944: one person who alone has a value shifts everybody else's key."""

    def found(self: Category, rows: pl.DataFrame) -> np.ndarray:
        column = rows[self.name]
        return column.cast(pl.Enum(column.drop_nulls().unique().sort())).to_physical().cast(pl.Int64).to_numpy()

    monkeypatch.setattr(Category, "codes", found)
    plan = Layout.of([GroupBy("t", (Category("region", ("a", "b", "c")),), 1, (People(),))])
    rows = pl.DataFrame(
        {"person": np.arange(9, dtype=np.uint64), "region": ["a"] + 4 * ["b"] + 4 * ["c"]},
        schema={"person": pl.UInt64, "region": pl.String},
    )
    assert moved(plan, rows, 0) > plan.l2_squared
    monkeypatch.undo()
    assert moved(plan, rows, 0) <= plan.l2_squared

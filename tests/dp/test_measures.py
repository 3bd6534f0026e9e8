"""What a row adds: clipped first, rounded then, cut to the bound in integers; odd numbers are no exception."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.dp.grouped import aggregate
from passbox.dp.keys import Category, InvalidQuery
from passbox.dp.layout import GroupBy, Layout
from passbox.dp.measures import Count, Cut, Measure, People, Sum, mean, rows_of

SECRET = bytes(16)


def sums(measure: Measure, rows: dict[str, object], **changes: object) -> float:
    """What a table of one key says of these rows, without noise."""
    group = GroupBy("t", (), 1, (measure,), **changes)  # type: ignore[arg-type]
    layout = Layout.of([group])
    frame = pl.DataFrame(rows, strict=False)
    people = rows.get("person", range(frame.height))
    frame = frame.with_columns(pl.Series("person", list(people), dtype=pl.UInt64))  # type: ignore[call-overload]
    return float(aggregate(layout, [frame], SECRET).values[0]) / layout.blocks[0].steps


SPEND = Sum("spend", "price", 0, 500, parts=100, at_most=800)


@pytest.mark.parametrize(
    ("price", "adds"),
    [
        (0.125, 0.13),  # floor(x + 1/2), in cents
        (0.124, 0.12),
        (-0.0, 0.0),
        (-5.0, 0.0),
        (500.004, 500.0),
        (1e309, 500.0),
        (float("inf"), 500.0),
        (float("-inf"), 0.0),
        (float("nan"), 0.0),
        (None, 0.0),
        (2.0**53 + 2, 500.0),
        (1e38, 500.0),
        (5e-324, 0.0),
    ],
)
def test_a_number_is_clipped_then_rounded_and_a_missing_one_adds_nothing(price: float | None, adds: float) -> None:
    assert sums(SPEND, {"price": pl.Series([price], dtype=pl.Float64)}) == adds


@pytest.mark.parametrize("kind", [pl.Int64, pl.UInt64, pl.Int8, pl.Float32, pl.Float64, pl.Decimal(20, 3)])
def test_every_type_of_number_adds_the_same(kind: pl.DataType) -> None:
    assert sums(SPEND, {"price": pl.Series([3, 7, 100]).cast(kind)}) == 110


def test_the_largest_whole_numbers_are_clipped_not_wrapped() -> None:
    """A2, A3: beyond 2^53 float64 merges neighbours, and clipping comes before it could matter."""
    big = pl.Series([2**63 - 1, -(2**63), 2**53 + 1], dtype=pl.Int64)
    assert sums(SPEND, {"price": big}) == 1000
    assert sums(SPEND, {"price": pl.Series([2**64 - 1], dtype=pl.UInt64)}) == 500


def test_a_persons_sum_in_a_key_is_cut_once_all_rows_are_added() -> None:
    assert sums(SPEND, {"price": [500.0] * 3, "person": [1, 1, 1]}) == 800
    assert sums(Sum("s", "price", -9, 9, at_most=10), {"price": [-9.0] * 3, "person": [1, 1, 1]}) == -10
    assert sums(Sum("s", "price", 1, 9), {"price": [0.0, 5.0], "person": [1, 1]}, rows_per_key=2) == 6


def test_rows_are_counted_where_a_column_says_so() -> None:
    clicked = pl.Series([True, False, None, True])
    assert sums(Count("clicks", 5, of="clicked"), {"clicked": clicked}) == 2
    assert sums(Count("priced", 5, of="price"), {"price": pl.Series([1.0, None, float("nan"), 0.0])}) == 2
    assert sums(Count("days", 5, of="day"), {"day": pl.Series([None, 3]).cast(pl.Date)}) == 1
    assert sums(Count("rows", 5), {"clicked": clicked}) == 4


def test_clicks_without_impressions_are_counted_and_bounded_by_their_own_bound() -> None:
    """A row with a click and no view is a click: each measure has its own bound, none is derived from another."""
    rows = pl.DataFrame({"person": [1] * 9, "viewed": [False] * 9, "clicked": [True] * 9})
    group = GroupBy("t", (), 1, (Count("views", 20, "viewed"), Count("clicks", 3, "clicked")))
    layout = Layout.of([group])
    frame = rows.with_columns(pl.col("person").cast(pl.UInt64))
    values = aggregate(layout, [frame], SECRET).values
    assert [v / b.steps for v, b in zip(values, layout.blocks, strict=True)] == [0, 3]


def test_a_mean_is_over_rows_that_have_the_number() -> None:
    total, rows = mean("price", "price", 0, 100, 100)
    assert rows.name == rows_of("price")
    price = {"price": pl.Series([10.0, None, 30.0, float("nan")])}
    assert sums(total, price, rows_per_key=1) / sums(rows, price, rows_per_key=1) + 50 == 20


def test_people_are_counted_once_a_key() -> None:
    assert sums(People(), {"price": [1.0] * 5, "person": [1, 1, 2, 2, 2]}) == 2


@pytest.mark.parametrize(
    ("rows", "cut"),
    [
        ({"person": [1, 2], "price": [5.0, 5.0]}, 0),
        ({"person": [1, 2], "price": [5.0, 501.0]}, 1),  # a number beyond its bounds
        ({"person": [1, 1, 2], "price": [450.0, 450.0, 1.0]}, 1),  # a sum beyond its bound
        ({"person": [2, 2, 2], "price": [500.0, 500.0, -1.0]}, 1),  # once, for all that was cut
    ],
)
def test_people_who_were_cut_are_counted_once_each(rows: dict[str, object], cut: int) -> None:
    group = GroupBy("t", (), 1, (SPEND, Cut()))
    layout = Layout.of([group])
    frame = pl.DataFrame(rows).with_columns(pl.col("person").cast(pl.UInt64))
    block = layout.block("t", "cut")
    assert aggregate(layout, [frame], SECRET).values[block.start] / block.steps == cut


def test_people_whose_rows_or_keys_were_cut_are_counted_too() -> None:
    region = Category("region", ("a", "b"))
    rows = pl.DataFrame({"person": pl.Series([1, 1, 2, 2, 3], dtype=pl.UInt64), "region": ["a", "b", "a", "a", "a"]})
    for rows_per_key, cut in ((None, 1), (1, 2)):
        layout = Layout.of([GroupBy("t", (region,), 1, (People(), Cut()), rows_per_key)])
        block = layout.block("t", "cut")
        assert aggregate(layout, [rows], SECRET).values[block.start] / block.steps == cut


def test_a_column_of_words_is_no_number() -> None:
    for price in (["1"], [b"1"], [[1.0]]):
        with pytest.raises(InvalidQuery) as caught:
            sums(SPEND, {"price": price})
        assert "1" not in caught.value.rule


def test_a_row_of_nobody_adds_to_nothing() -> None:
    assert sums(People(), {"price": [1.0, 2.0, 3.0], "person": [1, None, None]}) == 1


def test_people_are_whole_numbers_of_64_bits() -> None:
    layout = Layout.of([GroupBy("t", (), 1, (People(),))])
    for person in (pl.Series([1, 2]), pl.Series([1.0, 2.0]), pl.Series(["x"])):
        with pytest.raises(InvalidQuery, match="person"):
            aggregate(layout, [pl.DataFrame({"person": person})], SECRET)


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_sum_is_within_half_a_part_a_row_of_the_clipped_numbers(prices: list[float]) -> None:
    exact = math.fsum(min(max(x, 0), 500) for x in prices)
    assert abs(sums(SPEND, {"price": prices}) - exact) <= len(prices) * 0.005 + 1e-9


def test_sums_near_the_end_of_64_bits_are_exact() -> None:
    """A3: as many rows as fit here, of the largest bound that is allowed, and the bound that is not."""
    largest = 2**30 - 1
    count = 100_000
    total = sums(Sum("s", "x", 0, largest, at_most=largest), {"x": np.full(count, float(largest))})
    assert total == count * largest
    with pytest.raises(InvalidQuery, match="fit"):
        Sum("s", "x", 0, largest + 1)

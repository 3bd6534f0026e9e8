"""Columns become typed values within declared domains; what is outside rejects its row, counted by reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.cleanroom.columns import ColumnMissing, ColumnUnreadable, outside, read_columns
from passbox.cleanroom.measure.crowds import kinds_of
from passbox.modelling.features import Ordinal
from passbox.policies.contract import CategoryColumn, Column, NumberColumn, OrdinalColumn, SetColumn, TextColumn

AGE: Column = NumberColumn(kind="number", bounds=[18, 99])
REGION: Column = CategoryColumn(kind="category", values=["north", "south"])
SIZES: Column = CategoryColumn(kind="category", values=["S", "M", "L"])
PAGE: Column = TextColumn(kind="text")
TOPICS: Column = SetColumn(kind="set", values=["cars", "travel", "pets"], at_most=2)


def one(column: Column, values: Any) -> tuple[list[Any], dict[str, int], list[bool], int]:
    read = read_columns(pa.table({"c": values}), {"c": column})
    return read.table.column("c").to_pylist(), dict(read.rejects), read.accepted.tolist(), read.cut


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("17.999", "out of bounds"),
        ("99.0001", "out of bounds"),
        ("-1e308", "out of bounds"),
        ("1e309", "not finite"),
        ("inf", "not finite"),
        ("-Infinity", "not finite"),
        ("nan", "not finite"),
        ("NaN", "not finite"),
        ("forty", "not a number"),
        ("4O", "not a number"),
        ("40,5", "not a number"),
        ("40 41", "not a number"),
        ("0x28", "not a number"),
        ("=40+1", "not a number"),
        ("٤٠", "not a number"),
    ],
)
def test_a_number_that_breaks_a_rule_is_counted_by_it(text: str, reason: str) -> None:
    _, rejects, accepted, _ = one(AGE, ["40", text])
    assert rejects == {f"c: {reason}": 1}
    assert accepted == [True, False]


def test_numbers_at_their_bounds_and_missing_ones_are_fine() -> None:
    values, rejects, accepted, _ = one(AGE, ["18", " 99 ", None, "  ", "4e1"])
    assert (values, rejects, all(accepted)) == ([18.0, 99.0, None, None, 40.0], {}, True)


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(5, 1)])
def test_numbers_of_parquet_keep_their_value(kind: pa.DataType) -> None:
    assert one(AGE, pa.array([40, None], kind))[0] == [40.0, None]


def test_floats_of_parquet_that_are_no_numbers_are_counted() -> None:
    assert one(AGE, pa.array([float("nan"), float("inf"), 1e308, 40.0]))[1] == {
        "c: not finite": 2,
        "c: out of bounds": 1,
    }


def test_a_category_is_one_of_those_declared_or_missing() -> None:
    values, rejects, accepted, _ = one(REGION, [" north", "NORTH", "", None, "north\u200b"])
    assert values[0] == "north"
    assert values[2:4] == [None, None]
    assert rejects == {"c: value not declared": 2}
    assert accepted == [True, False, True, True, False]


def test_an_ordinal_is_read_like_a_category_and_a_model_knows_its_order() -> None:
    size = OrdinalColumn(kind="ordinal", values=["S", "M", "L"])
    assert one(size, [" M", "XL", None, "S", "L"])[:2] == (one(SIZES, [" M", "XL", None, "S", "L"])[:2])
    assert outside(pa.table({"c": pa.array(["M", "XL"])}), {"c": size}) == ("c: value not declared",)
    assert kinds_of({"size": size}) == [Ordinal("size", ("S", "M", "L"))]


def test_a_set_is_cut_in_declared_order_and_repeats_count_once() -> None:
    values, rejects, _, cut = one(TOPICS, ["pets|travel|cars", "cars|cars", "", " cars | ", None, "|"])
    assert values == [["cars", "travel"], ["cars"], None, ["cars"], None, []]
    assert (rejects, cut) == ({}, 1)


@pytest.mark.parametrize("column", [AGE, REGION, TOPICS])
def test_a_column_that_is_missing_everywhere_is_fine(column: Column) -> None:
    assert one(column, pa.nulls(2)) == ([None, None], {}, [True, True], 0)


def test_sets_that_are_empty_everywhere_are_fine() -> None:
    assert one(TOPICS, pa.array([[], []]))[0] == [[], []]


def test_a_set_of_parquet_is_a_list_of_text() -> None:
    values, rejects, _, _ = one(TOPICS, pa.array([["pets"], [], None, ["boats"]]))
    assert values[:3] == [["pets"], [], None]
    assert rejects == {"c: value not declared": 1}


def test_a_row_counts_under_the_first_reason_only() -> None:
    table = pa.table({"age": ["200", "x"], "region": ["mars", "mars"]})
    read = read_columns(table, {"age": AGE, "region": REGION})
    assert dict(read.rejects) == {"age: not a number": 1, "age: out of bounds": 1}
    assert not read.accepted.any()


def test_rows_that_were_out_already_count_under_no_reason() -> None:
    read = read_columns(pa.table({"age": ["200", "40"]}), {"age": AGE}, np.array([False, True]))
    assert (dict(read.rejects), read.accepted.tolist()) == ({}, [False, True])


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (AGE, pa.array([[1]])),
        (AGE, pa.array([True])),
        (AGE, pa.array([b"40"])),
        (REGION, pa.array([{"a": "secret"}])),
        (REGION, pa.array([b"\xff"])),
        (TOPICS, pa.array([[1]])),
        (TOPICS, pa.array([[["cars"]]])),
        *((column, pa.array([1], pa.duration("ns"))) for column in (AGE, REGION, PAGE, TOPICS)),
        *((column, pa.array([1]).cast(pa.decimal256(60, 2))) for column in (AGE, REGION, PAGE, TOPICS)),
    ],
)
def test_a_type_that_cannot_be_read_is_refused_by_name(column: Column, values: pa.Array) -> None:
    with pytest.raises(ColumnUnreadable) as caught:
        one(column, values)
    assert caught.value.column == "c"
    assert "secret" not in repr(caught.value)


def test_a_missing_column_is_named_and_no_other_name_but_another_spelling_of_it() -> None:
    table = pa.table({"jane.doe": ["x"], "A-G-E": ["40"], "12345": ["x"]})
    with pytest.raises(ColumnMissing) as caught:
        read_columns(table, {"age": AGE, "region": REGION})
    assert (caught.value.columns, caught.value.found, caught.value.alike) == (("age", "region"), 3, ("A-G-E",))
    assert "jane" not in repr(caught.value)


def test_what_was_read_at_home_is_within_what_the_room_checks() -> None:
    declared = {"age": AGE, "region": REGION, "topics": TOPICS}
    table = pa.table(
        {"age": ["40", "x", None], "region": ["north", "south", ""], "topics": ["cars|pets|travel", "", "a"]}
    )
    read = read_columns(table, declared)
    assert outside(read.table.filter(pa.array(read.accepted)), declared) == ()


def test_the_room_takes_nobodys_word_for_a_column() -> None:
    assert outside(pa.table({"age": [200.0]}), {"age": AGE}) == ("age: out of bounds",)
    assert outside(pa.table({"age": [float("nan")]}), {"age": AGE}) == ("age: not finite",)
    assert outside(pa.table({"age": ["40"]}), {"age": AGE}) == ("age is not number",)
    assert outside(pa.table({"x": [1]}), {"age": AGE}) == ("age is missing",)
    assert outside(pa.table({"t": [["cars", "pets", "travel"]]}), {"t": TOPICS}) == (
        "a set holds more values than declared",
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a ", "\u3000a", "a\n", "\x0b\x0ca", "\x85a", "\u2028a", "a\u2029", "a\u202eb", "a\u200b", "a\x1bb"),
        *("x" * 201, "x" + " " * 1_000_000),
    ],
)
def test_text_that_looks_like_another_or_weighs_more_than_it_shows_is_refused_as_it_stands(text: str) -> None:
    """At home it is trimmed; a room looks at what it would keep."""
    assert outside(pa.table({"page": ["a", text]}), {"page": PAGE})
    assert outside(pa.table({"page": pa.array(["a", "b c", "ü" * 200, None])}), {"page": PAGE}) == ()
    read = read_columns(pa.table({"page": ["a", text]}), {"page": PAGE})
    assert outside(read.table.filter(pa.array(read.accepted)), {"page": PAGE}) == ()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=10) | st.none(), min_size=1, max_size=10))
def test_no_text_is_a_crash_and_every_row_is_accepted_or_counted(values: list[str | None]) -> None:
    texts = pa.array([None if value is None else value.encode("utf-8", "ignore").decode() for value in values])
    for column in (AGE, REGION, TOPICS):
        _, rejects, accepted, _ = one(column, texts)
        assert sum(rejects.values()) == accepted.count(False)

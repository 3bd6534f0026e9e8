"""Which key a row belongs to: by what was declared, whatever is in the row."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from passbox.dp.keys import OUTSIDE, Bins, Category, InvalidQuery, codes

REGION = Category("region", ("south", "north", "Nörd"))


def test_values_have_their_declared_place_and_all_others_none() -> None:
    rows = pl.DataFrame({"region": ["north", "south", None, "west", "Nörd", "No\u0308rd", "NORTH", " north", ""]})
    for column in (rows, rows.cast(pl.Categorical), rows[:2].cast(pl.Enum(["north", "south"]))):
        assert REGION.codes(column).tolist() == [1, 0, -1, -1, 2, -1, -1, -1, -1][: column.height]


@pytest.mark.parametrize(
    "column",
    [pl.Series([1]), pl.Series([1.5]), pl.Series([date(2026, 1, 1)]), pl.Series([b"\xff"]), pl.Series([["a"]])],
)
def test_a_column_of_another_type_is_refused_whatever_it_holds(column: pl.Series) -> None:
    with pytest.raises(InvalidQuery):
        REGION.codes(pl.DataFrame({"region": column}))
    with pytest.raises(InvalidQuery):
        REGION.codes(pl.DataFrame({"region": column.clear()}))


def test_bins_begin_at_their_edge_and_end_before_the_next_and_the_last_holds_its_end() -> None:
    x = [0.0, -0.0, 19.999, 20.0, 100.0, 100.1, -0.1, float("nan"), float("inf"), float("-inf"), None]
    rows = pl.DataFrame({"age": x})
    assert Bins("age", (0.0, 20.0, 100.0)).codes(rows).tolist() == [0, 0, 0, 1, 1, -1, -1, -1, -1, -1, -1]
    assert Bins("age", (0.0, 20.0, 100.0), True).codes(rows).tolist() == [0, 0, 0, 1, 1, 1, 0, -1, 1, 0, -1]


def test_windows_of_days_do_not_overlap_and_days_out_of_range_are_in_none() -> None:
    windows = Bins.of_days("day", [date(2026, 3, 1), date(2026, 4, 1), date(2026, 5, 1)])
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 31), date(2026, 4, 1), date(2026, 4, 30)]
    rows = pl.DataFrame({"day": [*days, date(2026, 5, 1), None, date(9999, 12, 31), date(1, 1, 1)]})
    assert windows.codes(rows).tolist() == [-1, 0, 0, 1, 1, -1, -1, -1, -1]
    with pytest.raises(InvalidQuery, match="overlap"):
        Bins.of_days("day", [date(2026, 4, 1), date(2026, 3, 1), date(2026, 5, 1)])


def test_windows_are_called_after_their_first_and_last_day() -> None:
    windows = Bins.of_days("day", [date(2028, 2, 1), date(2028, 3, 1), date(2028, 3, 2), date(2028, 4, 1)])
    assert windows.labels == ("2028-02-01 to 2028-02-29", "2028-03-01", "2028-03-02 to 2028-03-31")


def test_no_two_bins_are_called_the_same() -> None:
    assert Bins("x", (1_234_567.0, 1_234_568.0, 1_234_569.5)).labels == (
        "1234567 to 1234568",
        "1234568 to 1234569.5",
    )
    assert Bins("x", (0.0, 0.1, 0.30000000000000004)).labels == ("0 to 0.1", "0.1 to 0.30000000000000004")


def test_a_time_is_no_day() -> None:
    with pytest.raises(InvalidQuery):
        Bins("day", (0.0, 1.0)).codes(pl.DataFrame({"day": [datetime(2026, 1, 1)]}))


def test_keys_are_all_combinations_the_first_changing_slowest() -> None:
    rows = pl.DataFrame({"region": ["north", "south", "west", "Nörd"], "age": [5.0, 50.0, 5.0, None]})
    assert codes((REGION, Bins("age", (0.0, 20.0, 100.0))), rows).tolist() == [2, 1, -1, -1]
    assert codes((), rows).tolist() == [0, 0, 0, 0]


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidQuery, match="region"):
        REGION.codes(pl.DataFrame({"age": [1]}))


def test_no_rows_belong_to_no_keys() -> None:
    assert codes((REGION,), pl.DataFrame({"region": []}, schema={"region": pl.String})).shape == (0,)


def test_an_odd_number_type_is_a_number() -> None:
    for kind in (pl.Int8, pl.UInt64, pl.Float32, pl.Int64, pl.Decimal(10, 2)):
        rows = pl.DataFrame({"age": pl.Series([5, 25]).cast(kind)})
        assert Bins("age", (0.0, 20.0, 100.0)).codes(rows).tolist() == [0, 1]


def test_no_categories_or_edges_are_ever_taken_from_data() -> None:
    """#2944, #2941: no cut, no quantile, no unique values in the path from rows to keys."""
    import passbox.dp.grouped
    import passbox.dp.keys

    for module in (passbox.dp.keys, passbox.dp.grouped, passbox.dp.bounding):
        text = Path(str(module.__file__)).read_text()
        for word in (".cut(", ".qcut(", "get_categories", ".rank(", "np.histogram", "np.quantile", "Float32"):
            assert word not in text


def test_a_flag_is_a_key_of_yes_and_no() -> None:
    rows = pl.DataFrame({"clicked": [True, False, None, True]})
    assert Category("clicked", ("no", "yes")).codes(rows).tolist() == [1, 0, OUTSIDE, 1]

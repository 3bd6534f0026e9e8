"""A match rate and its interval lie where rates can lie, and the interval loses nothing by it."""

from __future__ import annotations

import numpy as np
import pytest

from passbox.cleanroom.measure.overlap import overlap
from passbox.cleanroom.tabulated import flat
from passbox.dp.noisy import Noisy, Receipt

SEEDS = 100


def released(count: float, sigma: float = 5.0) -> dict[str, dict[str, float]]:
    values = np.array([round(count * 1024)], dtype=np.int64)
    figures = overlap(Noisy(values, sigma * 1024, 10, Receipt("00", 0, b"", "00")), SEEDS)
    return {name: figures[name] for name in ("matched", "match_rate")}  # type: ignore[misc]


@pytest.mark.parametrize("count", [-200, -3, 0, 4, 50, 96, 100, 103, 400])
def test_a_rate_is_between_0_and_1_and_in_its_interval(count: float) -> None:
    rate = released(count)["match_rate"]
    assert 0 <= rate["low"] <= rate["estimate"] <= rate["high"] <= 1


def test_the_count_is_shown_as_it_came() -> None:
    counted = released(-3)["matched"]
    assert counted["estimate"] == -3
    assert counted["low"] < -3 < 0 < counted["high"]


@pytest.mark.parametrize("true", range(0, SEEDS + 1, 5))
@pytest.mark.parametrize("count", range(-20, 121, 7))
def test_cutting_the_interval_leaves_no_true_rate_out(count: float, true: int) -> None:
    """Whatever the count's interval covers, the rate's covers."""
    figures = released(count)
    if figures["matched"]["low"] <= true <= figures["matched"]["high"]:
        assert figures["match_rate"]["low"] <= true / SEEDS <= figures["match_rate"]["high"]


@pytest.mark.parametrize(("keys", "rows"), [((), 2), (("email", "phone"), 6)])
def test_it_is_a_flat_table_too_a_row_a_number(keys: tuple[str, ...], rows: int) -> None:
    values = np.full(max(1, len(keys)), 40 * 1024, dtype=np.int64)
    document = overlap(Noisy(values, 5 * 1024.0, 10, Receipt("00", 0, b"", "00")), SEEDS, keys=keys)
    table = flat({"kind": "overlap", **document})
    assert table is not None
    assert table.num_rows == rows
    assert set(table["number"].to_pylist()) == {"matched", "match rate"}
    assert table["estimate"].to_pylist()[:2] == [40 * max(1, len(keys)), pytest.approx(0.4 * max(1, len(keys)))]
    if keys:
        assert table["key"].to_pylist() == [None, None, "email", "email", "phone", "phone"]

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbox.dp.aggregate import LARGEST_SUM, OverflowPossible, Statistic, count, histogram, vector

people = st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60)


def counted(rows: list[tuple[int, bool]]) -> Statistic:
    return histogram(
        np.array([cell for cell, _ in rows], dtype=np.int64), np.array([yes for _, yes in rows], dtype=bool), 5
    )


@given(people, st.randoms(use_true_random=False))
def test_shuffled_rows_give_the_same_bits(rows: list[tuple[int, bool]], order: object) -> None:
    shuffled = list(rows)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert counted(rows).values.tobytes() == counted(shuffled).values.tobytes()


@given(people, st.integers(0, 60))
def test_chunks_add_up_to_the_same_bits(rows: list[tuple[int, bool]], at: int) -> None:
    parts = counted(rows[:at]).values + counted(rows[at:]).values
    assert counted(rows).values.tobytes() == parts.tobytes()


@given(people, st.data())
def test_one_record_moves_no_more_than_it_says(rows: list[tuple[int, bool]], data: st.DataObject) -> None:
    """Exact replay on neighbours: one seed becomes a dummy, so one row is no longer matched."""
    if not rows:
        return
    gone = data.draw(st.integers(0, len(rows) - 1))
    neighbour = [(cell, yes and index != gone) for index, (cell, yes) in enumerate(rows)]
    for statistic in (counted, lambda rows: count(np.array([yes for _, yes in rows], dtype=bool))):
        before, after = statistic(rows), statistic(neighbour)
        assert int(((before.values - after.values) ** 2).sum()) <= before.l2_squared == after.l2_squared


def test_every_declared_cell_comes_back_though_nobody_matched() -> None:
    assert counted([(0, False), (4, False)]).values.tolist() == [0, 0, 0, 0, 0]
    assert counted([]).values.tolist() == [0, 0, 0, 0, 0]
    assert count(np.zeros(0, dtype=bool)).values.tolist() == [0]


@pytest.mark.parametrize("yes", [False, True])
@pytest.mark.parametrize("cell", [-1, 5, 2**62])
def test_an_undeclared_cell_is_refused_whoever_matched(cell: int, yes: bool) -> None:
    with pytest.raises(ValueError, match="not declared") as caught:
        counted([(0, True), (cell, yes)])
    assert str(cell) not in str(caught.value)


def test_yes_and_no_as_numbers_are_refused_not_read_as_positions() -> None:
    with pytest.raises(TypeError):
        histogram(np.zeros(3, dtype=np.int64), np.array([1, 0, 1]), 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        count(np.array([2, 3]))  # type: ignore[arg-type]


def test_rows_without_an_answer_are_refused() -> None:
    with pytest.raises(ValueError, match="yes or no"):
        histogram(np.zeros(3, dtype=np.int64), np.zeros(2, dtype=bool), 1)


@pytest.mark.parametrize("values", [np.array([1.9]), np.array([np.nan]), np.array([[1]]), np.array([1], np.uint64)])
def test_a_sum_that_is_not_a_row_of_int64_is_refused(values: np.ndarray) -> None:
    with pytest.raises(TypeError):
        vector(values, bits=0, l2_squared=1, rows=1, bound=1)


@pytest.mark.parametrize(("rows", "bound"), [(2**31, 2**31), (2**62, 1), (1, 2**63), (2**40, 2**40)])
def test_sums_that_could_leave_int64_are_refused_whatever_they_are(rows: int, bound: int) -> None:
    with pytest.raises(OverflowPossible) as caught:
        vector(np.zeros(1, dtype=np.int64), bits=20, l2_squared=1, rows=rows, bound=bound)
    assert (caught.value.rows, caught.value.bound) == (rows, bound)


def test_sizes_from_numpy_do_not_wrap_around() -> None:
    with pytest.raises(OverflowPossible):
        vector(
            np.zeros(1, dtype=np.int64),
            bits=0,
            l2_squared=1,
            rows=np.int64(2**40),  # type: ignore[arg-type]
            bound=np.int64(2**40),  # type: ignore[arg-type]
        )


def test_the_largest_sum_that_fits_is_kept_to_the_last_bit() -> None:
    largest = np.array([LARGEST_SUM - 1, 1 - LARGEST_SUM])
    kept = vector(largest, bits=0, l2_squared=1, rows=LARGEST_SUM - 1, bound=1)
    largest[0] = 0
    assert kept.values.tolist() == [LARGEST_SUM - 1, 1 - LARGEST_SUM]


def test_a_secret_sum_does_not_show_when_printed() -> None:
    assert "4711" not in repr(vector(np.array([4711]), bits=0, l2_squared=1, rows=5000, bound=1))

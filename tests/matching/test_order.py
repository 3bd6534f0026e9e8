"""The fast order is the order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from passbox.matching.order import ascending, distinct

numbers = st.integers(0, 2**64 - 1) | st.integers(0, 9) | st.integers(2**64 - 9, 2**64 - 1)


@given(st.lists(numbers, max_size=60))
def test_the_order_is_that_of_a_stable_sort(values: list[int]) -> None:
    k = np.array(values, dtype=np.uint64)
    assert ascending(k).tolist() == np.argsort(k, kind="stable").tolist()


def test_long_lists_with_many_alike_are_in_order() -> None:
    rng = np.random.default_rng(1)
    for k in (rng.integers(0, 2**64, 50_000, dtype=np.uint64), rng.integers(0, 999, 50_000, dtype=np.uint64)):
        assert np.array_equal(ascending(k), np.argsort(k, kind="stable"))


@given(st.lists(numbers, max_size=60))
def test_of_equal_numbers_the_first_stays(values: list[int]) -> None:
    k = np.array(values, dtype=np.uint64)
    assert distinct(k).tolist() == np.unique(k, return_index=True)[1].tolist()


def test_longer_than_what_is_looked_at_together_it_is_the_same() -> None:
    """Places that agree lie on both sides of where two pieces meet, too."""
    rng = np.random.default_rng(2)
    for most in (2**64, 2**47, 100_000, 3):
        k = rng.integers(0, most, 2**17 + 9, dtype=np.uint64)
        assert np.array_equal(ascending(k), np.argsort(k, kind="stable"))
        assert np.array_equal(distinct(k), np.unique(k, return_index=True)[1])

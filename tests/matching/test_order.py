"""The fast order is the order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from passbox.matching.order import ascending

numbers = st.integers(0, 2**64 - 1) | st.integers(0, 9) | st.integers(2**64 - 9, 2**64 - 1)


@given(st.lists(numbers, max_size=60))
def test_the_order_is_that_of_a_stable_sort(values: list[int]) -> None:
    k = np.array(values, dtype=np.uint64)
    assert ascending(k).tolist() == np.argsort(k, kind="stable").tolist()


def test_long_lists_with_many_alike_are_in_order() -> None:
    rng = np.random.default_rng(1)
    for k in (rng.integers(0, 2**64, 50_000, dtype=np.uint64), rng.integers(0, 999, 50_000, dtype=np.uint64)):
        assert np.array_equal(ascending(k), np.argsort(k, kind="stable"))

"""A column that grows holds what was put into it, however its length was guessed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from passbox.cleanroom.growing import Growing


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=9), max_size=9), st.integers(0, 40))
def test_what_was_put_in_is_there_in_order(pieces: list[list[int]], likely: int) -> None:
    column = Growing(np.uint64, likely)
    for piece in pieces:
        column.put(np.array(piece, np.uint64))
    assert column.numbers.tolist() == [number for piece in pieces for number in piece]

"""Every row that counts is found again where it stood, however the file was cut."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from passbox.cleanroom.rowmap import RowMap


@given(st.lists(st.lists(st.booleans(), max_size=20), max_size=8))
def test_a_row_that_counts_is_found_where_it_stood(pieces: list[list[bool]]) -> None:
    where = RowMap()
    for piece in pieces:
        where.put(np.array(piece, dtype=np.bool_))
    whole = [row for row, counts in enumerate(itertools.chain(*pieces)) if counts]
    assert where.of(range(len(whole))) == tuple(whole)

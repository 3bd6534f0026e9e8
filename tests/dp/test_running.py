"""Running sums: exact integers in, a sensitivity that bounds every column, and little noise out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from passbox.dp.running import COLUMN_BITS, column, decoder, encode, longest_column


@pytest.mark.parametrize("bins", [1, 2, 7, 100])
def test_one_person_moves_the_cells_by_at_most_the_longest_column(bins: int) -> None:
    moved = encode(np.eye(bins, dtype=np.int64))
    lengths = (moved.astype(object) ** 2).sum(axis=1)
    assert max(lengths) == longest_column(bins) == lengths[0]


@pytest.mark.parametrize("bins", [1, 2, 7, 100])
def test_decoding_gives_running_sums_and_the_matrix_is_the_one_that_was_used(bins: int) -> None:
    counts = np.random.default_rng(0).integers(0, 1000, (3, bins))
    sums = encode(counts) / 2**COLUMN_BITS @ decoder(bins).T
    assert sums == pytest.approx(np.cumsum(counts, axis=1), abs=1e-6)


@pytest.mark.parametrize("bins", [10, 100, 1000])
def test_the_noise_of_a_running_sum_grows_with_the_logarithm(bins: int) -> None:
    """One person's noise, multiplied by the longest column and by how a running sum adds cells up."""
    sensitivity = math.sqrt(longest_column(bins)) / 2**COLUMN_BITS
    worst = np.sqrt((decoder(bins) ** 2).sum(axis=1)).max() * sensitivity
    assert worst < 1 + (math.log(bins) + 0.6) / math.pi
    assert worst < math.sqrt(bins) / 1.3


def test_the_first_column_is_the_square_root_of_summing_up() -> None:
    r = np.array(column(50)) / 2**COLUMN_BITS
    assert np.convolve(r, r)[:50] == pytest.approx(np.ones(50), abs=0.02)

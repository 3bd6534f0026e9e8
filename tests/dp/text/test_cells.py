"""Many words in cells: what is found is nearest nearly always, and says nothing but where a point lies."""

from __future__ import annotations

import numpy as np
import pytest

from passbox.dp.text.cells import Cells, in_cells, sorted_into_cells
from passbox.dp.text.euclidean import MOST_IN_TURN, euclidean, noise
from passbox.dp.text.search import Search, nearest_point


@pytest.fixture(scope="module")
def words() -> np.ndarray:
    rng = np.random.default_rng(3)
    bundles = rng.normal(size=(400, 12)) * 2
    return (bundles[rng.integers(400, size=40_000)] + rng.normal(size=(40_000, 12))).astype(np.float32)


@pytest.fixture(scope="module")
def cells(words: np.ndarray) -> Cells:
    return in_cells(words, sorted_into_cells(words))


@pytest.mark.parametrize("epsilon", [1.0, 4.0, 10.0, 30.0])
def test_what_is_found_is_the_nearest_but_for_one_in_twenty(epsilon: float, words: np.ndarray, cells: Cells) -> None:
    points = words[:4_000] + noise(4_000, 12, epsilon)
    found, nearest = cells.nearest(points), nearest_point(words).nearest(points)
    assert (found == nearest).mean() > 0.95
    far, least = (np.linalg.norm(points - words[each], axis=1) for each in (found, nearest))
    assert (far < least * 1.5).all()


def test_every_word_is_nearest_to_itself(words: np.ndarray, cells: Cells) -> None:
    assert np.array_equal(cells.nearest(words.astype(np.float64)), np.arange(len(words)))


def test_a_point_is_answered_alike_in_whatever_company(words: np.ndarray, cells: Cells) -> None:
    points = words[:3_000] + noise(3_000, 12, 6.0)
    order = np.random.default_rng(1).permutation(3_000)
    together, shuffled = cells.nearest(points), cells.nearest(points[order])
    assert (together[order] == shuffled).mean() > 0.999  # a tie within float32's rounding may fall either way
    assert len(cells.nearest(points[:0])) == 0


def test_the_same_vectors_lie_in_the_same_cells(words: np.ndarray) -> None:
    assert np.array_equal(sorted_into_cells(words), sorted_into_cells(words.copy()))


def test_cells_begin_where_looking_at_every_word_ends(words: np.ndarray) -> None:
    assert isinstance(euclidean(words[:MOST_IN_TURN], 5.0).search, Search)
    assert isinstance(euclidean(words[: MOST_IN_TURN + 1], 5.0).search, Cells)


def test_few_words_may_lie_in_cells_too(words: np.ndarray) -> None:
    few = words[:300]
    found = in_cells(few, sorted_into_cells(few)).nearest(few.astype(np.float64))
    assert np.array_equal(found, np.arange(300))

"""Many words in cells: what is found is nearest nearly always, and says nothing but where a point lies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from passbox.dp.text.cells import Cells, in_cells, sorted_into_cells
from passbox.dp.text.euclidean import MOST_IN_TURN, Euclidean, euclidean, noise
from passbox.dp.text.search import Search, nearest_point

ALARM = 1e-6


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


LINE = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
HALVES = np.repeat([0, 1], 20).astype(np.int32)


def _ratio(one: np.ndarray, other: np.ndarray) -> float:
    """A lower bound, at 10^-6, on the largest log-ratio of two words' outputs (Clopper and Pearson)."""
    low = ALARM / (2 * len(LINE))
    counts = [np.bincount(each, minlength=len(LINE)) for each in (one, other)]
    least = stats.beta.ppf(low, np.maximum(counts[0], 1e-9), len(one) - counts[0] + 1)
    most = stats.beta.isf(low, counts[1] + 1, np.maximum(len(other) - counts[1], 1e-9))
    return float(np.log(np.maximum(least, 1e-300) / most).max())


def test_neighbours_in_two_cells_are_as_alike_as_promised() -> None:
    """False alarms: 10^-6."""
    drawing = Euclidean(LINE, 2.0, in_cells(LINE, HALVES))
    one, other = (drawing.draw(np.full(100_000, word)) for word in (19, 20))
    assert _ratio(one, other) <= 2.0 * float(LINE[20, 0] - LINE[19, 0])


def test_a_search_that_begins_at_the_word_is_caught() -> None:
    """The planted fault: only the cell of the word that is privatised is looked into."""
    drawn = []
    for word in (19, 20):
        half = np.flatnonzero(HALVES[word] == HALVES)
        within = Euclidean(LINE, 2.0, in_cells(LINE[half], HALVES[half]))
        points = LINE[np.full(100_000, word)] + noise(100_000, 1, 2.0)
        drawn.append(half[within.search.nearest(points)])
    assert _ratio(*drawn) > 2.0 * float(LINE[20, 0] - LINE[19, 0])

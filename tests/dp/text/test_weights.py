"""What is drawn is what the whole weights say. False alarms: 10^-6 a test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from passbox.dp.text.table import Table
from passbox.dp.text.weights import Rows, Score, draw, probabilities, rows_of, stays

ALARM = 1e-6
SCORES = [Score(2.0, 3.0), Score(2.0, 3.0, crowd=8), Score(0.4, 9.0), Score(9.0, 9.0, crowd=4)]


def agrees(rows: Rows, weights: list[int], row: int, count: int = 40_000) -> float:
    """The p-value of draws against whole weights, rare outputs put together.

    Of each 40 are expected, or more: with fewer a chi-square falls below 10^-6 too often, with .6 once in 20,000."""
    chances = np.array(weights, dtype=np.float64) / sum(weights)
    drawn = np.bincount(draw(rows, np.full(count, row)), minlength=len(chances))
    order = np.argsort(chances)
    each, together = chances[order] * count, np.cumsum(chances[order]) * count
    rare = max(np.searchsorted(each, 40), np.searchsorted(together, 40) + 1)
    observed = np.append(drawn[order[rare:]], drawn[order[:rare]].sum())
    expected = np.append(chances[order[rare:]], chances[order[:rare]].sum()) * count
    kept = expected > 0
    return float(stats.chisquare(observed[kept], expected[kept] * observed[kept].sum() / expected[kept].sum()).pvalue)


@pytest.mark.parametrize("score", SCORES)
def test_draws_follow_the_whole_weights(table: Table, score: Score) -> None:
    rows = rows_of(table.near, table.far, score, len(table))
    for row in (0, 150):
        assert agrees(rows, probabilities(rows, row), row) > ALARM


@pytest.mark.parametrize("score", SCORES)
def test_how_often_a_word_stays_is_what_its_whole_weights_say(table: Table, score: Score) -> None:
    rows = rows_of(table.near, table.far, score, len(table))
    for row in range(0, len(table), 29):
        weights = probabilities(rows, row)
        assert stays(rows)[row] == pytest.approx(weights[row] / sum(weights), rel=1e-12)


def test_a_mechanism_with_half_the_noise_is_caught(table: Table) -> None:
    """The planted fault: weights of twice the rate, held against those of the rate that was promised."""
    honest, doubled = (rows_of(table.near, table.far, Score(rate, 3.0), len(table)) for rate in (2.0, 4.0))
    assert agrees(doubled, probabilities(honest, 0), 0) < ALARM


@pytest.mark.parametrize("score", SCORES)
def test_no_output_is_impossible_and_sums_fit(table: Table, score: Score) -> None:
    rows = rows_of(table.near, table.far, score, len(table))
    for row in range(0, len(table), 37):
        weights = probabilities(rows, row)
        assert min(weights) >= 1 << 20
        assert sum(weights) == int(rows.total[row]) <= 1 << 62


def test_a_crowd_is_as_likely_as_the_word_itself(table: Table) -> None:
    rows = rows_of(table.near, table.far, Score(5.0, 9.0, crowd=8), len(table))
    for row in range(0, len(table), 37):
        weights = np.array(probabilities(rows, row), dtype=np.float64)
        assert (weights > 0.999999 * weights.max()).sum() >= 8
        assert weights[row] > 0.999999 * weights.max()


def test_weights_fall_with_distance_as_they_should(table: Table) -> None:
    score = Score(1.3, 2.5)
    rows = rows_of(table.near, table.far, score, len(table))
    for row in (0, 99):
        weights = np.log(np.array(probabilities(rows, row), dtype=np.float64))[table.near[row]]
        counted = np.minimum(table.far[row], min(2.5, table.far[row, -1]))
        assert np.allclose(weights - weights[0], -1.3 * (counted - counted[0]), atol=score.rounding)

"""Certificates: what is measured over all pairs is what holds, output by output. Nothing here is random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pytest

from passbox.dp.text import mechanism
from passbox.dp.text.mechanism import CertificateBroken, Wanted, by_force, certify, check
from passbox.dp.text.neighbours import quiet
from passbox.dp.text.ratio import Asked, NoRate, distance_blocks, measure, solve, worst_of_channel
from passbox.dp.text.table import Table
from passbox.dp.text.vocabulary import Vocabulary
from passbox.dp.text.weights import Score, probabilities, rows_of

Broken: TypeAlias = Callable[[np.ndarray, Score, int], np.ndarray]
"""A word's distances from all, how it is scored, and which it is, to its weights."""


def channel(table: Table, score: Score) -> np.ndarray:
    rows = rows_of(table.near, table.far, score, len(table))
    weights = np.array([probabilities(rows, row) for row in range(len(table))], dtype=np.float64)
    return np.asarray(np.log(weights) - np.log(weights.sum(axis=1, keepdims=True)))


def apart(vectors: np.ndarray) -> np.ndarray:
    return np.concatenate([block for _, _, block in distance_blocks(vectors)])


@pytest.mark.parametrize("score", [Score(2.0, 3.0), Score(2.0, 3.0, 8), Score(0.7, 9.0, 3), Score(6.0, 2.0)])
def test_the_formula_bounds_every_output_of_every_pair(vocabulary: Vocabulary, table: Table, score: Score) -> None:
    vectors = vocabulary.vectors[table.words]
    worst = measure(vectors, table.far, score, quiet)
    logs = channel(table, score)
    force, _, _ = worst_of_channel(logs, apart(vectors))
    assert force <= worst.epsilon
    assert (logs.max(axis=0) - logs.min(axis=0)).max() <= worst.any_two
    if score.crowd == 1:
        assert force == pytest.approx(worst.epsilon, rel=1e-3)


@pytest.mark.parametrize(("epsilon", "crowd"), [(1.0, 1), (3.0, 1), (6.0, 8)])
def test_the_rate_found_keeps_to_epsilon_and_beats_half_of_it(
    vocabulary: Vocabulary, table: Table, epsilon: float, crowd: int
) -> None:
    vectors = vocabulary.vectors[table.words]
    score, worst = solve(vectors, table.near, table.far, Asked(epsilon, 6.0, crowd), quiet)
    assert worst.epsilon <= epsilon
    assert score.rate > 1.1 * epsilon / 2
    assert measure(vectors, table.far, replace(score, rate=score.rate * 1.02), quiet).epsilon > epsilon


def test_half_of_epsilon_always_holds(vocabulary: Vocabulary, table: Table) -> None:
    for rate in (0.3, 1.0, 4.0):
        for crowd in (1, 5):
            score = Score(rate, 4.0, crowd)
            assert measure(vocabulary.vectors[table.words], table.far, score, quiet).epsilon <= 2 * rate + 1e-3


def test_words_that_lie_too_close_are_refused(table: Table, vocabulary: Vocabulary) -> None:
    vectors = vocabulary.vectors[table.words].copy()
    vectors[1] = vectors[0] + np.float32(1e-6)
    squeezed = Vocabulary(vocabulary.words.gather(table.words), vectors)
    from passbox.dp.text import table as tables

    close = tables.build(squeezed, 300, quiet)
    with pytest.raises(NoRate):
        certify(squeezed, close, Wanted("exponential", 1.0), quiet)


@pytest.mark.parametrize("name", ["exponential", "halved"])
@pytest.mark.parametrize("crowd", [1, 4])
def test_an_honest_certificate_is_accepted(vocabulary: Vocabulary, table: Table, name: str, crowd: int) -> None:
    made = certify(vocabulary, table, Wanted(name, 3.0, 4.0, crowd), quiet)  # type: ignore[arg-type]
    checked = check(made, vocabulary, table, quiet)
    assert checked.worst is not None
    assert checked.worst.pairs == 300 * 299
    assert checked.by_force <= float(made.epsilon)


def test_a_rate_that_was_not_halved_is_refused(vocabulary: Vocabulary, table: Table) -> None:
    """The planted fault: e^(-ε d), normalised, sold as ε."""
    made = certify(vocabulary, table, Wanted("exponential", 3.0, 4.0), quiet)
    for rate in ("3", f"{float(str(made.rate)) * 1.01:.6f}"):
        with pytest.raises(CertificateBroken, match="above ε"):
            check(made.model_copy(update={"rate": rate}), vocabulary, table, quiet)
    with pytest.raises(CertificateBroken, match="smaller than"):
        check(made.model_copy(update={"any_two": "0.1"}), vocabulary, table, quiet)


def missing_neighbours(table: Table) -> Table:
    """Some words' fifth neighbour is forgotten, as an approximate search would."""
    near, far = table.near.copy(), table.far.copy()
    near[::3, 4:-1], far[::3, 4:-1] = near[::3, 5:], far[::3, 5:]
    return replace(table, near=near, far=far)


def test_weights_from_an_approximate_search_are_caught(vocabulary: Vocabulary, table: Table) -> None:
    """The planted fault. What a certificate says is measured from exact neighbours; weights as drawn do not keep it."""
    score = Score(3.0, 9.0)
    vectors = vocabulary.vectors[table.words]
    honest, broken = (channel(each, score) for each in (table, missing_neighbours(table)))
    promised = measure(vectors, table.far, score, quiet).epsilon
    assert worst_of_channel(honest, apart(vectors))[0] <= promised
    assert worst_of_channel(broken, apart(vectors))[0] > 1.5 * promised


def test_a_tail_that_is_cut_off_has_no_epsilon(vocabulary: Vocabulary, table: Table) -> None:
    """The planted fault: words beyond the near ones are impossible."""
    logs = channel(table, Score(3.0, 2.0))
    logs[logs == logs.min(axis=1, keepdims=True)] = -np.inf
    assert np.isinf(worst_of_channel(logs, apart(vocabulary.vectors[table.words]))[0])


def test_a_threshold_that_follows_the_data_is_caught(vocabulary: Vocabulary, table: Table) -> None:
    """The planted fault: one score for all words beyond γ, set by how many lie within it, as packages have it."""
    vectors = vocabulary.vectors[table.words]
    far, epsilon, reach = apart(vectors), 3.0, 2.0
    within = far <= reach
    inside, outside = within.sum(axis=1, keepdims=True), (~within).sum(axis=1, keepdims=True)
    rest = np.exp(epsilon / 2 * -reach + np.log(len(far) / inside)) / outside
    weights = np.where(within, np.exp(-epsilon / 2 * far), rest)
    logs = np.log(weights) - np.log(weights.sum(axis=1, keepdims=True))
    assert worst_of_channel(logs, far)[0] > epsilon
    score = Score(epsilon / 2, reach)
    assert worst_of_channel(channel(table, score), far)[0] <= epsilon + 1e-3


def test_the_weights_as_drawn_are_compared_too(vocabulary: Vocabulary, table: Table) -> None:
    vectors, score = vocabulary.vectors[table.words], Score(3.0, 4.0)
    worst = measure(vectors, table.far, score, quiet)
    honest, pairs = by_force(vectors, rows_of(table.near, table.far, score, len(table)), worst)
    louder, _ = by_force(vectors, rows_of(table.near, table.far, replace(score, rate=6.0), len(table)), worst)
    assert honest <= worst.epsilon < louder
    assert pairs > 1000


# -- known-broken variants, each in place of the weights that words are drawn from -------------------------------------


def _unhalved(far: np.ndarray, score: Score, _: int) -> np.ndarray:
    """e^(-ε d), normalised, sold as ε."""
    return np.exp(-2.2 * score.rate * far)


def _cut_off(far: np.ndarray, score: Score, _: int) -> np.ndarray:
    """Words beyond the reach are impossible."""
    return np.where(far > score.reach, 0.0, np.exp(-score.rate * far))


def _in_16_bits(far: np.ndarray, score: Score, _: int) -> np.ndarray:
    """Whole weights of few bits, rounded down: what is rare becomes impossible."""
    return np.floor(2.0**16 * np.exp(-score.rate * far))


def _crowded(far: np.ndarray, score: Score, _: int) -> np.ndarray:
    """One weight for all words beyond γ, set by how many lie within it, as packages have it."""
    within = far <= score.reach
    rest = np.exp(-score.rate * score.reach + np.log(len(far) / within.sum())) / (~within).sum()
    return np.where(within, np.exp(-score.rate * far), rest)


def _falling_back(far: np.ndarray, score: Score, row: int) -> np.ndarray:
    """Where no other word is found, once in ten, the word itself is given back."""
    weights = np.exp(-score.rate * far)
    weights /= weights.sum()
    weights[row] += 0.1
    return weights


def _passing_through(far: np.ndarray, score: Score, row: int) -> np.ndarray:
    """A word that the mechanism does not know, each third here, is given back as it is."""
    return np.exp(-score.rate * far) * (np.arange(len(far)) == row if row % 3 == 0 else 1.0)


BROKEN = (_unhalved, _cut_off, _in_16_bits, _crowded, _falling_back, _passing_through)


@pytest.mark.parametrize("variant", BROKEN)
def test_a_known_broken_variant_under_an_honest_certificate_is_refused(
    variant: Broken, vocabulary: Vocabulary, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = apart(vocabulary.vectors[table.words])
    made = certify(vocabulary, table, Wanted("exponential", 3.0, 4.0, 1), quiet)
    score = made.score
    assert score is not None
    check(made, vocabulary, table, quiet)
    monkeypatch.setattr(mechanism, "probabilities", lambda _, row: variant(far[row], score, row))
    with pytest.raises(CertificateBroken, match="weights as drawn"):
        check(made, vocabulary, table, quiet)


def test_weights_from_an_approximate_search_are_refused(
    vocabulary: Vocabulary, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certify(vocabulary, table, Wanted("exponential", 3.0, 9.0, 1), quiet)
    broken = missing_neighbours(table)
    monkeypatch.setattr(mechanism, "rows_of", lambda _near, _far, *rest: rows_of(broken.near, broken.far, *rest))
    with pytest.raises(CertificateBroken, match="weights as drawn"):
        check(made, vocabulary, table, quiet)

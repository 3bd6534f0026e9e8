"""Who is chosen: by score, ties by key, and never by label or join order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbox.dp.noisy import Noisy
from passbox.modelling.audience import best_first, choose
from passbox.modelling.lookalike import fit
from passbox.modelling.strategy import Strategy


def keys(n: int, number: int = 0) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 2**64, n, dtype=np.uint64)


def test_the_best_are_chosen_and_come_back_in_row_order() -> None:
    scores = np.array([0.1, 5.0, -1.0, 4.0, 4.5])
    assert choose(scores, keys(5), 3).tolist() == [1, 3, 4]


def test_ties_at_the_cut_go_by_the_keyed_hash_and_not_by_row() -> None:
    tiebreak = np.array([9, 2**63 + 1, 3, 2**64 - 1], dtype=np.uint64)
    assert choose(np.zeros(4), tiebreak, 2).tolist() == [0, 2]
    assert best_first(np.array([0.0, -0.0, 0.0, -0.0]), tiebreak).tolist() == [2, 0, 1, 3]


@given(st.lists(st.sampled_from([-1.5, 0.0, 2.0]), min_size=1, max_size=40), st.data())
def test_the_same_people_are_chosen_in_whatever_order_they_stand(scores: list[float], data: st.DataObject) -> None:
    values, tiebreak = np.array(scores), keys(len(scores))
    size = data.draw(st.integers(0, len(scores)))
    order = np.array(data.draw(st.permutations(range(len(scores)))))
    chosen = choose(values, tiebreak, size)
    assert set(order[choose(values[order], tiebreak[order], size)].tolist()) == set(chosen.tolist())
    assert len(chosen) == size


@pytest.mark.parametrize(
    ("scores", "tiebreak", "size"),
    [
        ([0.0, np.nan], keys(2), 1),
        ([0.0, np.inf], keys(2), 1),
        ([0.0], keys(2), 1),
        ([0.0], keys(1), 2),
        ([0.0], keys(1), -1),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores: list[float], tiebreak: np.ndarray, size: int) -> None:
    with pytest.raises(ValueError):
        choose(np.array(scores), tiebreak, size)


def test_with_the_noisy_bytes_fixed_no_label_changes_a_byte_of_the_audience(crowd, draw) -> None:
    """The seam: the labels of two worlds, the noise that hides their difference, one audience."""
    design = crowd.encoder(np.ones(3000, dtype=bool)).encode(crowd.table)
    other = crowd.label.copy()
    other[np.flatnonzero(other)[:40]] = False
    here, there = Strategy.of(design).moments(crowd.label), Strategy.of(design).moments(other)
    noisy = draw(here, 0.25, 1)
    noise_there = noisy.values - there.values
    assert (here.values != there.values).any()
    replayed = Noisy(there.values + noise_there, noisy.scale, noisy.bits, noisy.receipt)
    audiences = [choose(fit(design, n).score(design), keys(3000), 500).tobytes() for n in (noisy, replayed)]
    assert audiences[0] == audiences[1]

"""What is hidden is gone from the integers, and hiding decides by noisy counts alone."""

from __future__ import annotations

import numpy as np

from passbox.dp.threshold import least_shown
from passbox.dp.veil import HIDDEN, Judged, Veil, is_hidden

ROW = np.array([10, 60, 55, 1, 2, 3, 4, 5, 6], dtype=np.int64)
"""Three counts of people, then two numbers a key."""


def test_a_key_with_few_people_is_gone_with_all_its_numbers() -> None:
    veil = Veil((Judged(0, 3, 0, 3, least=50), Judged(3, 9, 0, 3, least=50)))
    covered = veil.over(ROW)
    assert covered.tolist() == [HIDDEN, 60, 55, HIDDEN, HIDDEN, 3, 4, 5, 6]
    assert ROW[0] == 10
    assert is_hidden(covered / 1000, 1000).tolist() == [True, False, False, True, True, *[False] * 4]


def test_a_key_of_one_fewer_than_k_is_shown_at_most_at_rate_delta() -> None:
    """At scales of 1, 3 and 10 people; 10^6 draws, so that 10^-3 is known to 3 %: a false alarm in 10^5."""
    g = np.random.default_rng(1)
    for sigma in (1.0, 3.0, 10.0):
        steps, delta = 1024, 1e-3
        least = int(np.ceil(least_shown(50, sigma, delta, steps) * steps))
        drawn = np.rint((49 + g.normal(0, sigma, 10**6)) * steps).astype(np.int64)
        shown = sum(
            int((Veil((Judged(0, 1, 0, 1, least),)).over(drawn[at : at + 1]) != HIDDEN).sum()) for at in range(1000)
        )
        assert np.mean(drawn >= least) <= delta * (1 + 5 * 0.032)
        assert shown == int((drawn[:1000] >= least).sum())

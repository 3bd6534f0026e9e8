"""Thresholds: from which noisy count on a key is shown.

A contract may ask for k people behind every number *as well as* for noise. A key is shown only where its noisy count is
at least k + t, with t such that a key of fewer than k people gets there at most at rate δ. Declared keys and a count
that was paid for make this post-processing: it costs nothing more, and this δ is a promise about k, not a part of (ε,
δ).

t is read from the Gaussian's tail. The draw is discrete: P[X >= m] is at most the Gaussian's P[X >= m - 1] in lattice
steps (Canonne, Kamath, Steinke 2020, proposition 25), so one step more is asked.
"""

from __future__ import annotations

from statistics import NormalDist

from .keys import InvalidQuery


def least_shown(at_least: int, sigma: float, delta: float, steps: int) -> float:
    """k + t: the smallest noisy count that is shown. at_least: k. sigma: the noise, in people. steps: of the lattice,
    a person.

    Errors: InvalidQuery. The largest count that must stay hidden is k - 1.
    """
    if at_least < 1 or not 0 < delta < 0.5:
        raise InvalidQuery("k", "k must be 1 or more, and δ above 0 and below 1/2", "ask for some people")
    return at_least - 1 + sigma * -NormalDist().inv_cdf(delta) + 1 / steps

"""Where random numbers for words come from. False alarms: 10^-6 a test, by the quantile of each statistic."""

from __future__ import annotations

import inspect
import multiprocessing
import os

import numpy as np
import pytest
from scipy import stats

from passbox.dp.text import randomness
from passbox.dp.text.randomness import below, exponentials, normals, uniforms

ALARM = 1e-6


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000, (1 << 40) + 1])
def test_whole_numbers_are_uniform_below_their_limit(limit: int) -> None:
    drawn = below(np.full(60_000, limit, dtype=np.uint64))
    assert int(drawn.max()) < limit
    cells = min(limit, 50)
    counts = np.bincount((drawn.astype(object) * cells // limit).astype(int), minlength=cells)
    if cells > 1:
        expected = np.diff([-(-each * limit // cells) for each in range(cells + 1)]) / limit * len(drawn)
        assert stats.chisquare(counts, expected).pvalue > ALARM


def test_the_largest_limit_is_reached_and_a_larger_one_refused() -> None:
    drawn = below(np.full(2_000, 1 << 62, dtype=np.uint64))
    assert int(drawn.max()) > 1 << 61
    for wrong in (0, (1 << 62) + 1):
        with pytest.raises(ValueError, match="out of range"):
            below(np.array([wrong], dtype=np.uint64))


def test_exponentials_and_normals_have_their_distributions() -> None:
    assert stats.kstest(exponentials(20_000, 1)[:, 0], "expon").pvalue > ALARM
    assert stats.kstest(normals(10_001, 2).ravel(), "norm").pvalue > ALARM
    assert stats.kstest(uniforms(20_000), "uniform").pvalue > ALARM


@pytest.mark.parametrize(("byte", "end"), [(b"\x00", 0.0), (b"\xff", 1.0)])
def test_numbers_lie_within_their_ends(byte: bytes, end: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an exponential could be infinite, and a direction none."""
    monkeypatch.setattr(os, "urandom", lambda count: byte * count)
    assert 0.0 < uniforms(1)[0] < 1.0
    assert abs(uniforms(1)[0] - end) == 2.0**-53
    assert np.isfinite(exponentials(1, 1)).all()


def _first(_: int) -> bytes:
    return uniforms(4).tobytes()


def test_children_and_later_calls_draw_other_numbers() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        drawn = [*pool.map(_first, range(8)), _first(0), _first(0)]
    assert len(set(drawn)) == len(drawn)


def test_there_is_no_seed() -> None:
    functions = [each for _, each in inspect.getmembers(randomness, inspect.isfunction)]
    assert not any("seed" in inspect.signature(each).parameters for each in functions)


def test_reused_noise_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a generator that begins anew at every call."""
    monkeypatch.setattr(os, "urandom", lambda count: np.random.default_rng(42).bytes(count))
    assert _first(0) == _first(1)

"""How large effects are taken to be: pooled over columns, from what sums leave plausible."""

from __future__ import annotations

import numpy as np
import pytest

from passbox.modelling import evidence
from passbox.modelling.evidence import USUAL, Spectrum, sizes

LEVELS = 6


def spectra_of(true: np.ndarray, precision: float, seed: int = 1) -> list[Spectrum]:
    """What sums of that precision say of columns whose effects have these sizes."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(size=(len(true), LEVELS)) * true[:, None]
    pulls = precision * effects + np.sqrt(precision) * rng.normal(size=effects.shape)
    return [(np.full(LEVELS, precision), pull) for pull in pulls]


def found(true: np.ndarray, precision: float, power: float = 1.0) -> np.ndarray:
    return sizes(spectra_of(true, precision), [USUAL] * len(true), power)


def test_where_sums_say_nothing_a_size_is_about_the_usual_one() -> None:
    nothing = (np.zeros(0), np.zeros(0))
    assert sizes([nothing] * 3, [USUAL, USUAL, 2 * USUAL], 1.0) == pytest.approx([0.44, 0.44, 0.88], rel=0.05)


@pytest.mark.parametrize("size", [0.05, 0.3, 1.5])
def test_where_sums_say_much_sizes_are_found(size: float) -> None:
    """Of 200 columns the mean log: each is off by about 1 / sqrt(2 x 6) of it, and by the same bias."""
    ratio = found(np.full(200, size), 5_000.0) / size
    assert abs(np.log(ratio).mean()) < 0.1


def test_of_many_columns_of_which_few_tell_most_are_taken_to_tell_little() -> None:
    """One in ten tells. Alone each would be taken to tell about as much as is usual, for its own sums say little."""
    true = np.where(np.arange(200) % 10 == 0, 0.5, 1e-6)
    together = found(true, 20.0)
    alone = np.concatenate([sizes([each], [USUAL], 1.0) for each in spectra_of(true, 20.0)])
    null = true < 0.1
    assert together[null].mean() < 0.7 * alone[null].mean()
    assert together[~null].mean() > 2 * together[null].mean()


def test_planted_fault_sizes_that_are_not_pooled_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MIDDLES", 0)
    with pytest.raises(AssertionError):
        test_of_many_columns_of_which_few_tell_most_are_taken_to_tell_little()


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_size_lies_on_the_grid_whatever_the_sums_say(power: float) -> None:
    wild = [(np.full(3, 1e12), np.full(3, 1e14)), (np.full(3, 1e-30), np.zeros(3)), (np.full(3, 1e12), np.zeros(3))]
    least, most = evidence.GRID[[0, -1]] * USUAL
    got = sizes(wild, [USUAL] * 3, power)
    assert np.isfinite(got).all()
    assert (got >= least * 0.999).all()
    assert (got <= most * 1.001).all()

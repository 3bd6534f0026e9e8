"""Rows are turned so that noise hides least, from the people's table and public sizes."""

from __future__ import annotations

import numpy as np
import pytest

from passbox.modelling.outlook import Outlook
from passbox.modelling.turn import EVENLY, SIZES, shares, turn_for


def left(share: np.ndarray, believed: np.ndarray, told: float, sigma: float) -> float:
    """What is left of the scores' variance, as a share, added up over sizes: written out once more."""
    says = told**2 * share / (told * share + sigma**2)
    return sum(float(np.sum(1 / (1 / (size**2 * believed) + says)) / np.sum(size**2 * believed)) for size in SIZES)


def test_no_other_shares_leave_less() -> None:
    """Against 2,000 random ones near and far, at little, some and much noise."""
    rng = np.random.default_rng(1)
    believed = rng.gamma(0.5, 1.0, 30) + 1e-3
    for told, sigma in ((5_000.0, 4.5), (300.0, 4.5), (50.0, 10.0)):
        best = shares(believed, told, sigma)
        assert best.sum() == pytest.approx(1)
        least = left(best, believed, told, sigma)
        for _ in range(2_000):
            other = (1 - (step := rng.random())) * best + step * rng.dirichlet(np.full(30, rng.choice([0.1, 1, 10])))
            assert left(other, believed, told, sigma) > least - 1e-6


def test_planted_shares_by_another_rule_leave_more() -> None:
    believed = np.random.default_rng(1).gamma(0.5, 1.0, 30) + 1e-3
    least = left(shares(believed, 300.0, 4.5), believed, 300.0, 4.5)
    for planted in (np.full(30, 1 / 30), believed / believed.sum(), np.sqrt(believed) / np.sqrt(believed).sum()):
        assert left(planted, believed, 300.0, 4.5) > 1.02 * least


def test_the_more_noise_there_is_the_fewer_directions_are_measured() -> None:
    believed = np.geomspace(1, 1e-3, 20)
    counted = [float(1 / np.sum(shares(believed, 1_000.0, sigma) ** 2)) for sigma in (0.1, 1.0, 10.0, 100.0, 1_000.0)]
    assert counted == sorted(counted, reverse=True)
    assert counted[0] > 15 > 5 > counted[-1]


def spread_of(rng: np.random.Generator, cells: int, empty: int) -> np.ndarray:
    """A covariance in which `empty` directions hold nobody."""
    basis = np.linalg.qr(rng.normal(size=(cells, cells)))[0]
    return (basis * np.r_[np.zeros(empty), np.geomspace(1e-4, 0.3, cells - empty)]) @ basis.T


@pytest.mark.parametrize("sigma", [0.01, 4.5, 1e3, 1e6])
@pytest.mark.parametrize("seeds", [0.0, 40.0, 1e9])
def test_rows_stay_as_long_as_noise_is_made_for_and_no_direction_that_people_have_is_lost(
    seeds: float, sigma: float
) -> None:
    rng = np.random.default_rng(2)
    spread = spread_of(rng, 12, 3)
    turn = turn_for(spread, np.diag(rng.gamma(2, 0.1, 12)), Outlook(seeds, sigma), 3_000)
    assert np.trace(turn @ spread @ turn) == pytest.approx(1, rel=1e-6)
    assert np.allclose(turn, turn.T)
    lengths = np.linalg.eigvalsh(turn)
    assert np.abs(lengths[:3]).max() < 1e-6
    assert lengths[3:].min() > 0.99 * np.sqrt(EVENLY)


def test_where_several_eigenvectors_would_do_any_of_them_gives_the_same() -> None:
    """Three directions alike, and three others: a last bit of C decides which eigenvectors come out."""
    rng = np.random.default_rng(3)
    basis = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    spread = (basis * np.repeat([0.2, 0.01], 3)) @ basis.T
    spread = (spread + spread.T) / 2
    turn, picked = turn_for(spread, 0.3 * np.eye(6), Outlook(200.0), 2_000), np.linalg.eigh(spread)[1]
    for _ in range(5):
        bits = rng.normal(0, 1e-16, (6, 6))
        other = spread + bits + bits.T
        assert np.abs(np.linalg.eigh(other)[1] - picked).max() > 0.01
        assert np.abs(turn_for(other, 0.3 * np.eye(6), Outlook(200.0), 2_000) - turn).max() < 2.0**-20


def test_where_all_are_alike_nothing_is_turned() -> None:
    assert not turn_for(np.zeros((4, 4)), np.eye(4), Outlook(10.0), 50).any()


@pytest.mark.parametrize(("seeds", "people", "told"), [(0, 100, 0.99), (20, 100, 16), (90, 100, 25), (1, 1, 0.5)])
def test_seeds_worth_of_a_list_longer_than_the_crowd_is_that_of_half_the_crowd(
    seeds: float, people: int, told: float
) -> None:
    assert Outlook(seeds).told(people) == pytest.approx(told)


@pytest.mark.parametrize(
    "wrong",
    [(-1.0, 4.5), (10.0, 0.0), (float("nan"), 4.5), (10.0, float("nan")), (float("inf"), 1.0), (1.0, float("inf"))],
)
def test_an_outlook_counts_seeds_from_0_and_has_noise(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="counted from 0"):
        Outlook(*wrong)

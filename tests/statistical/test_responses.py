"""Are labels flipped as often as is said? Each test states its false-alarm rate, and catches planted faults."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from passbox.dp.budget import EPSILON_UNIT
from passbox.dp.flip import FLIP_UNIT, Flip, least_flip, price_of
from passbox.dp.mechanisms import randomised

sys.path.insert(0, str(Path(__file__).parent))

import audit

Mask = NDArray[np.bool_]
Draw = Callable[[Mask, int, Flip], Mask]

LABELS = 400_000
ALARM = 1e-6
"""False-alarm rate of each claim below, unless it says otherwise."""


def is_flipped_as_often(draw: Draw, epsilon: float, moved: int, labels: int = LABELS) -> bool:
    """Of either label as many are wrong as their flip says, both sides together wrongly denied at the rate `ALARM`."""
    flip = least_flip(round(epsilon * EPSILON_UNIT), moved)
    held = True
    for label in (False, True):
        wrong = int((draw(np.full(labels, label), moved, flip) != label).sum())
        low, high = binom.ppf([ALARM / 4, 1 - ALARM / 4], labels, flip / FLIP_UNIT)
        held &= bool(low <= wrong <= high)
    return held


@pytest.mark.parametrize(("epsilon", "moved"), [(0.5, 1), (1.0, 1), (4.0, 1), (4.0, 2), (8.0, 8)])
def test_labels_are_wrong_as_often_as_is_paid_for(epsilon: float, moved: int) -> None:
    assert is_flipped_as_often(audit.flipped, epsilon, moved)


def half_as_often(labels: Mask, moved: int, flip: Flip) -> Mask:
    return audit.flipped(labels, moved, Flip(flip // 2))


def as_if_one_label_moved(labels: Mask, moved: int, flip: Flip) -> Mask:
    """A label has the whole ε of a record that moves several."""
    return audit.flipped(labels, 1, least_flip(price_of(flip, moved) + 1, 1))


def only_yes(labels: Mask, moved: int, flip: Flip) -> Mask:
    """A no is never wrong."""
    return np.asarray(labels & audit.flipped(labels, moved, flip), dtype=np.bool_)


def all_but_the_last(labels: Mask, moved: int, flip: Flip) -> Mask:
    """The last label of eight is left as it is."""
    drawn = audit.flipped(labels, moved, flip)
    drawn[7::8] = labels[7::8]
    return drawn


FAULTS = (half_as_often, as_if_one_label_moved, only_yes, all_but_the_last)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_by_how_often_labels_are_wrong(fault: Draw) -> None:
    assert not is_flipped_as_often(fault, 2.0, 2)


@pytest.mark.parametrize(("epsilon", "moved"), [(1.0, 1), (2.0, 1), (2.0, 2)])
def test_two_worlds_differ_by_what_is_paid_for_and_no_more(epsilon: float, moved: int) -> None:
    """Too far: `ALARM`. Below .9 ε: the bound lies at .96 ε or more on average, with a deviation below .01."""
    assert audit.proven_epsilon(epsilon, moved, LABELS, wrong=ALARM, least=0.9).holds


@pytest.mark.parametrize("fault", [half_as_often, as_if_one_label_moved, only_yes])
def test_a_planted_fault_is_caught_in_two_worlds(fault: Draw) -> None:
    found = audit.proven_epsilon(2.0, 2, LABELS, fault, ALARM, 0.9)
    assert found.proven > found.paid


CALLS, LONG, PLACES = 2_000, 640, 64


@pytest.fixture(scope="module")
def wrong() -> Mask:
    """Which of so many labels in a row are wrong, (calls, labels): one call of the mechanism a row."""
    flip = least_flip(EPSILON_UNIT, 1)
    return np.stack([randomised(np.zeros(LONG, dtype=np.bool_), 1, flip, EPSILON_UNIT) for _ in range(CALLS)])


def are_flipped_apart(wrong: Mask) -> bool:
    """Of every place in a vector, how often it is wrong; of 64 places in a row, looked at ten times as often, how often
    each is, and how often together with the next. All of these together are wrongly denied at the rate `ALARM`."""
    p, alone = least_flip(EPSILON_UNIT, 1) / FLIP_UNIT, ALARM / (2 * (LONG + 2 * PLACES))
    rows = wrong.reshape(-1, PLACES)
    held = True
    for seen, rate in ((wrong, p), (rows, p), (rows[:, 1:] & rows[:, :-1], p**2)):
        low, high = binom.ppf([alone, 1 - alone], len(seen), rate)
        held &= bool(((low <= seen.sum(axis=0)) & (seen.sum(axis=0) <= high)).all())
    return held


def test_every_place_is_flipped_apart_from_its_neighbours(wrong: Mask) -> None:
    assert are_flipped_apart(wrong)


def the_last_is_left(wrong: Mask) -> None:
    """As OpenDP once did (#2707)."""
    wrong[:, -1] = False


def one_of_64_is_wrong_less_often(wrong: Mask) -> None:
    """By a tenth: 8.6 standard deviations."""
    wrong[:, 7::PLACES] &= np.random.default_rng(0).random(wrong[:, 7::PLACES].shape) < 0.9


def one_in_ten_goes_with_the_one_before(wrong: Mask) -> None:
    """Of one place in 64: 10.7 standard deviations."""
    beside = np.random.default_rng(0).random(wrong[:, 8::PLACES].shape) < 0.1
    wrong[:, 8::PLACES] = np.where(beside, wrong[:, 7::PLACES], wrong[:, 8::PLACES])


@pytest.mark.parametrize(
    "fault", [the_last_is_left, one_of_64_is_wrong_less_often, one_in_ten_goes_with_the_one_before]
)
def test_a_planted_fault_of_one_place_is_caught(fault: Callable[[Mask], None], wrong: Mask) -> None:
    """Missed at a rate below .01."""
    broken = wrong.copy()
    fault(broken)
    assert not are_flipped_apart(broken)

from __future__ import annotations

import os
import secrets
from pathlib import Path

import grimp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opendp.mod import OpenDPException

from passbox.dp import mechanisms, scale
from passbox.dp.budget import EPSILON_UNIT, RHO_UNIT, Rho
from passbox.dp.flip import least_flip, price_of
from passbox.dp.mechanisms import PriceTooLow, gaussian, randomised
from passbox.dp.scale import LARGEST_SCALE, SCALE_UNIT, SMOOTHING, Scale, price, smallest_scale

sizes = st.integers(1, 2**44)
rhos = st.integers(10**7, 64 * RHO_UNIT).map(Rho)
WIDER = SMOOTHING * SCALE_UNIT + 1
"""The least scale that has a price."""
scales = st.integers(WIDER, LARGEST_SCALE - 1).map(Scale)


@given(sizes, rhos)
def test_a_scale_costs_at_most_its_price_and_one_step_less_costs_more(l2_squared: int, rho: Rho) -> None:
    found = smallest_scale(l2_squared, rho)
    assert price(l2_squared, found) <= rho
    assert found == WIDER or price(l2_squared, Scale(found - 1)) > rho


@given(sizes, scales)
def test_a_price_is_rounded_up_by_less_than_one_unit(l2_squared: int, at: Scale) -> None:
    twice_the_variance = 2 * (at**2 - (SMOOTHING * SCALE_UNIT) ** 2)
    exact = l2_squared * SCALE_UNIT**2 * RHO_UNIT
    assert 0 <= price(l2_squared, at) * twice_the_variance - exact < twice_the_variance


@pytest.mark.parametrize(("l2_squared", "at"), [(0, 1), (-1, 1), (1, 0), (1, -1)])
def test_nothing_is_free(l2_squared: int, at: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        price(l2_squared, Scale(at))


@pytest.mark.parametrize(("l2_squared", "rho"), [(1, 0), (1, -5), (2**44, 1)])
def test_noise_that_cannot_be_drawn_is_refused(l2_squared: int, rho: int) -> None:
    with pytest.raises(ValueError):
        smallest_scale(l2_squared, Rho(rho))


def test_opendp_agrees_with_every_price() -> None:
    """No PriceTooLow where exactly the price is charged; one unit of 10^-12 is all the slack its floats need."""
    for power in range(0, 41, 4):
        for rho in (10**6, RHO_UNIT // 7, RHO_UNIT, 27 * RHO_UNIT):
            at = smallest_scale(2**power + 1, Rho(rho))
            gaussian(np.zeros(1, dtype=np.int64), 2**power + 1, at, price(2**power + 1, at))


@pytest.mark.parametrize("short", [1, 2, RHO_UNIT])
def test_a_charge_below_the_price_draws_nothing(short: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanisms, "_mechanism", None)
    at = Scale(5 * SCALE_UNIT // 2)
    with pytest.raises(PriceTooLow):
        gaussian(np.zeros(1, dtype=np.int64), 1, at, Rho(price(1, at) - short))


def test_opendp_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in our own price formula is caught by OpenDP's map."""
    monkeypatch.setattr(mechanisms, "price", lambda l2_squared, at: Rho(price(l2_squared, at) // 4))
    at = Scale(5 * SCALE_UNIT)
    with pytest.raises(PriceTooLow):
        gaussian(np.zeros(1, dtype=np.int64), 1, at, mechanisms.price(1, at))


def test_opendp_is_asked_once_and_heeded_at_every_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    at, asked, real = Scale(7 * SCALE_UNIT), list[Scale](), mechanisms._mechanism
    monkeypatch.setattr(mechanisms, "_mechanism", lambda scale: asked.append(scale) or real(scale))
    mechanisms._judged.cache_clear()
    for _ in range(3):
        gaussian(np.zeros(1, dtype=np.int64), 1, at, price(1, at))
    assert asked == [at] * 4  # one price, three draws
    monkeypatch.setattr(mechanisms, "price", lambda *_: Rho(0))
    with pytest.raises(PriceTooLow):
        gaussian(np.zeros(1, dtype=np.int64), 1, at, Rho(price(1, at) // 2))
    assert asked == [at] * 4


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=4), scales)
def test_whatever_the_input_the_output_is_integers_near_it(values: list[int], at: Scale) -> None:
    """A1, A3: a lattice that no data moves, up to the ends. Nearer than 40 standard deviations + 1, but for e^-800."""
    noisy = gaussian(np.array(values, dtype=np.int64), 1, at, price(1, at))
    assert noisy.dtype == np.int64
    assert all(abs(int(a) - b) <= 40 * at / SCALE_UNIT + 1 for a, b in zip(noisy, values, strict=True))


@pytest.mark.parametrize(
    "values", [np.zeros(2), np.array([np.nan]), np.array([np.inf]), np.zeros(1, dtype=np.int32), np.zeros((1, 1), int)]
)
def test_floats_never_reach_the_noise(values: np.ndarray) -> None:
    with pytest.raises(TypeError):
        gaussian(values, 1, Scale(5 * SCALE_UNIT), RHO)


RHO = Rho(RHO_UNIT)


def test_arrays_that_are_read_only_or_strided_are_drawn_on() -> None:
    values = np.zeros(10, dtype=np.int64)[::2]
    values.flags.writeable = False
    assert gaussian(values, 1, Scale(5 * SCALE_UNIT), RHO).shape == (5,)


def test_no_cells_is_no_noise() -> None:
    assert gaussian(np.zeros(0, dtype=np.int64), 1, Scale(5 * SCALE_UNIT), RHO).shape == (0,)


def test_an_error_of_opendp_is_told_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def quoting(*_: object, **__: object) -> None:
        raise OpenDPException("FailedCast", "cannot cast 4711")

    monkeypatch.setattr(mechanisms, "_mechanism", quoting)
    with pytest.raises(RuntimeError) as caught:
        gaussian(np.array([4711]), 1, Scale(5 * SCALE_UNIT), RHO)
    assert "4711" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_forked_children_draw_other_noise() -> None:
    """A16. 20 cells at σ 1000 agree by chance once in 10^60."""
    gaussian(
        np.zeros(1, dtype=np.int64), 1, Scale(5 * SCALE_UNIT), RHO
    )  # any state a library keeps is there to inherit
    drawn = [_in_a_fork() for _ in range(3)]
    assert len(set(drawn)) == 3


def _in_a_fork() -> bytes:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        at = Scale(1000 * SCALE_UNIT)
        os.write(writing, gaussian(np.zeros(20, dtype=np.int64), 1, at, price(1, at)).tobytes())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    assert len(data) == 160
    return data


def test_seeding_the_generators_of_python_and_numpy_changes_nothing() -> None:
    at = Scale(1000 * SCALE_UNIT)
    drawn = []
    for _ in range(2):
        np.random.seed(1)
        drawn.append(gaussian(np.zeros(20, dtype=np.int64), 1, at, price(1, at)).tobytes())
    assert drawn[0] != drawn[1]
    assert secrets.token_bytes(32) != secrets.token_bytes(32)


def test_only_the_ledger_and_audits_on_invented_people_import_raw_noise() -> None:
    graph = grimp.build_graph("passbox", cache_dir=None)
    drawing = graph.find_modules_that_directly_import("passbox.dp.mechanisms")
    assert drawing == {"passbox.dp.ledger", "passbox.dp.rehearsal"}
    audits = {"passbox.cleanroom.canary", *graph.find_descendants("passbox.cleanroom.canary")}
    assert graph.find_modules_that_directly_import("passbox.dp.rehearsal") < audits
    outside = {by for each in audits for by in graph.find_modules_that_directly_import(each)} - audits
    assert outside == {"passbox.cli.audit"}


def test_prices_are_recomputed_without_opendp() -> None:
    assert "opendp" not in Path(scale.__file__).read_text()


# -- labels ----------------------------------------------------------------------------------------------------------

ONE = least_flip(EPSILON_UNIT, 1)


@given(st.integers(1_000, 64 * EPSILON_UNIT), st.integers(1, 8))
def test_opendp_agrees_with_every_price_of_labels(units: int, moved: int) -> None:
    """No PriceTooLow where exactly the price is charged."""
    flip = least_flip(units, moved)
    randomised(np.zeros(3, dtype=np.bool_), moved, flip, price_of(flip, moved))


def test_labels_are_not_flipped_for_less_than_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanisms, "_label_mechanism", None)
    with pytest.raises(PriceTooLow):
        randomised(np.zeros(1, dtype=np.bool_), 1, ONE, price_of(ONE, 1) - 1)
    with pytest.raises(PriceTooLow):
        randomised(np.zeros(1, dtype=np.bool_), 2, ONE, EPSILON_UNIT)  # a record that moves two of them


def test_opendp_has_the_last_word_on_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanisms, "price_of", lambda flip, moved: price_of(flip, moved) // 2)
    with pytest.raises(PriceTooLow):
        randomised(np.zeros(1, dtype=np.bool_), 1, ONE, price_of(ONE, 1) // 2)


@pytest.mark.parametrize("labels", [np.zeros(2), np.zeros(2, dtype=np.int64), np.zeros((2, 2), dtype=np.bool_)])
def test_only_one_row_of_labels_is_flipped(labels: np.ndarray) -> None:
    with pytest.raises(TypeError):
        randomised(labels, 1, ONE, EPSILON_UNIT)


@pytest.mark.parametrize("many", [0, 1, 7, 8, 9, 1_000])
def test_as_many_labels_come_out_as_went_in(many: int) -> None:
    assert randomised(np.zeros(many, dtype=np.bool_), 1, ONE, EPSILON_UNIT).shape == (many,)


def test_labels_that_are_never_wrong_come_out_as_they_are() -> None:
    """At ε 64 one of 1,000 is wrong once in two million runs."""
    labels, flip = np.arange(1_000) % 3 == 0, least_flip(64 * EPSILON_UNIT, 1)
    assert (randomised(labels, 1, flip, 64 * EPSILON_UNIT) == labels).all()


def test_an_error_of_opendp_about_labels_is_told_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def quoting(*_: object, **__: object) -> None:
        raise OpenDPException("FailedCast", "cannot cast 4711")

    monkeypatch.setattr(mechanisms, "_label_mechanism", quoting)
    with pytest.raises(RuntimeError) as caught:
        randomised(np.ones(3, dtype=np.bool_), 1, ONE, EPSILON_UNIT)
    assert "4711" not in str(caught.value)
    assert caught.value.__suppress_context__

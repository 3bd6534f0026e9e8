"""Loops over people, compiled and not: the same numbers, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from passbox.dp.aggregate import Statistic
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling import loops
from passbox.modelling.design import Codes
from passbox.modelling.features import Encoder
from passbox.modelling.loops import Compiled, Loops, Plain, loops_for
from passbox.modelling.packed import Group
from passbox.modelling.person import DPGAM

ROWS = 2 * loops.CHUNK + 1_000


@pytest.fixture(scope="module")
def compiled() -> Loops:
    pytest.importorskip("numba", reason="numba, the extra `fast`, is not installed")
    found = loops_for(loops.WORTH_IT)
    assert isinstance(found, Compiled)
    return found


@pytest.mark.parametrize("stored", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", [np.int32, np.int64, np.float64])
def test_both_add_the_same(compiled: Loops, stored: type, kind: type) -> None:
    rng = np.random.default_rng(1)
    code, joint = rng.integers(0, 200, ROWS).astype(stored), (rng.normal(0, 1e4, 200)).astype(kind)
    totals = [np.full(ROWS, 7, dtype=kind) for _ in range(2)]
    for each, total in zip((Plain(), compiled), totals, strict=True):
        each.add(total, joint, code)
        each.add(total, joint[::-1].copy(), code)
    assert totals[0].tobytes() == totals[1].tobytes()


@pytest.mark.parametrize("stored", [np.uint8, np.uint16])
def test_both_sum_the_same(compiled: Loops, stored: type) -> None:
    """Residuals, and as large as they can be: sums of whole numbers are exact in any order."""
    rng = np.random.default_rng(2)
    code, weights = rng.integers(0, 200, ROWS).astype(stored), rng.integers(-(2**30), 2**30, ROWS).astype(np.float64)
    sums = [each.summed(code, weights, 256) for each in (Plain(), compiled)]
    assert sums[0].tobytes() == sums[1].tobytes()
    assert sums[0].sum() == weights.sum()


def test_planted_fault_a_sum_that_misses_a_person_is_not_the_same(compiled: Loops) -> None:
    rng = np.random.default_rng(3)
    code, weights = rng.integers(0, 200, ROWS).astype(np.uint8), rng.integers(1, 2**30, ROWS).astype(np.float64)
    assert (Plain().summed(code[1:], weights[1:], 256) != compiled.summed(code, weights, 256)).sum() == 1


def test_a_model_is_the_same_by_both(compiled: Loops, crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    people, used = Encoder.from_declared(crowd.declared).encode(crowd.table), list[str]()

    def draw(statistic: Statistic) -> Noisy:
        noise = np.rint(np.random.default_rng(4).normal(0, 2.0**24, len(statistic.values))).astype(np.int64)
        return Noisy(statistic.values + noise, 2.0**24, statistic.bits, Receipt("00", 0, b"", "00"))

    def fitted(least: int) -> str:
        monkeypatch.setattr(loops, "WORTH_IT", least)
        used.append(type(loops_for(people.rows)).__name__)
        return DPGAM().fit_drawn(people, crowd.label, draw).to_json()

    assert fitted(10**12) == fitted(0)
    assert used == ["Plain", "Compiled"]


def test_without_numba_numpy_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_compiled", lambda: None)
    assert isinstance(loops_for(10**12), Plain)


@pytest.mark.parametrize("level", [np.array([0, 3], dtype=np.uint8), np.array([0, -1], dtype=np.int8)])
def test_a_code_of_no_level_is_refused_before_anything_looks_it_up(level: np.ndarray) -> None:
    with pytest.raises(ValueError, match="of no level"):
        Group((0,), (3,), Codes(level))


def test_people_of_another_number_are_refused(compiled: Loops) -> None:
    code = np.zeros(10, dtype=np.uint8)
    with pytest.raises(ValueError, match="one code in each group"):
        compiled.add(np.zeros(9), np.zeros(1), code)
    with pytest.raises(ValueError, match="one code in each group"):
        compiled.summed(code, np.zeros(11), 1)

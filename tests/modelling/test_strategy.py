"""People are measured by rows no longer than promised, and whoever fits knows exactly what was measured."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling import strategy
from passbox.modelling.design import (
    MOMENTS_L2_SQUARED,
    ONE,
    Codes,
    Design,
    SensitivityExceeded,
    column_of_cells,
    used_cells,
)
from passbox.modelling.features import Category, Encoder, Kind, Number, Ordinal, Topics
from passbox.modelling.logistic import sigmoid
from passbox.modelling.lookalike import SeedGLM
from passbox.modelling.outlook import Outlook
from passbox.modelling.prior import Prior
from passbox.modelling.problem import Measured, Problem
from passbox.modelling.strategy import Strategy
from passbox.modelling.turn import turn_for

KINDS: list[Kind] = [
    Number("n", 0, 100),
    Category("c", ("x", "y", "z")),
    Ordinal("o", ("s", "m", "l", "xl")),
    Topics("t", ("p", "q", "r", "s"), 2),
    Category("never", ("a", "b")),
]


def table(rows: int, seed: int) -> pa.Table:
    """With values that are rare, missing and all the same."""
    rng = np.random.default_rng(seed)
    topics = [
        [str(t) for t in rng.choice(["p", "q", "r", "s"], rng.integers(0, 4), replace=False)] for _ in range(rows)
    ]
    return pa.table(
        {
            "n": pa.array(np.where(rng.random(rows) < 0.1, np.nan, rng.exponential(8, rows)), from_pandas=True),
            "c": pa.array(rng.choice(["x", "y", "z", None], rows, p=[0.9, 0.07, 0.01, 0.02])),
            "o": pa.array(rng.choice(["s", "m", "l", "xl"], rows)),
            "t": pa.array(topics, type=pa.list_(pa.string())),
            "never": pa.array(["a"] * rows),
        }
    )


def design_of(people: pa.Table) -> Design:
    return Encoder.from_owner(people, KINDS).encode(people)


@pytest.fixture(scope="module")
def people() -> Design:
    return design_of(table(3_000, 1))


@pytest.fixture(scope="module")
def measured(people: Design) -> Strategy:
    return Strategy.of(people)


def mask(design: Design, *rows: int) -> np.ndarray:
    return np.isin(np.arange(design.rows), rows)


@pytest.mark.parametrize("rows", [1, 2, 5, 200])
def test_nobody_moves_the_moments_by_more_than_is_charged(rows: int) -> None:
    """Everybody, one by one, in small crowds too, where whoever is rare has a long way to the middle."""
    found = Strategy.of(design_of(table(rows, rows)))
    everyone = np.ones(rows, dtype=bool)
    whole = found.moments(everyone).values
    for row in range(rows):
        move = whole - found.moments(everyone & ~mask(found.design, row)).values
        assert int((move.astype(object) ** 2).sum()) <= MOMENTS_L2_SQUARED


def test_rows_are_turned_by_what_is_public_of_the_draw_and_what_is_believed_of_effects(people: Design) -> None:
    """Written out once more, from dense rows."""
    used = used_cells(people)
    rows = np.vstack(list(people.blocks()))[:, used]
    believed = Prior.of(people, used, column_of_cells(people)[used])
    prior = believed.covariance(believed.usual)
    assert np.allclose(prior @ believed.precision(believed.usual), np.eye(len(used)), atol=1e-6)
    assert np.abs(prior - np.diag(np.diag(prior))).max() > 0.01
    turns = []
    for outlook in (Outlook(40.0, 9.0), Outlook(900.0, 9.0), Outlook(900.0, 1.0)):
        turns.append(Strategy.of(people, outlook=outlook).turn)
        assert np.allclose(turns[-1], turn_for(np.cov(rows.T, bias=True), prior, outlook, 3_000), atol=1e-3)
    for first, second in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(turns[first] - turns[second]).max() > 0.05
    planted = turn_for(np.cov(rows.T, bias=True), np.eye(len(used)), Outlook(40.0, 9.0), 3_000)
    assert np.abs(turns[0] - planted).max() > 0.05


def test_most_rows_are_as_long_as_noise_is_made_for(measured: Strategy) -> None:
    lengths = np.concatenate([np.sqrt((rows**2.0).sum(axis=1)) for rows in measured.rows()]) / ONE
    assert lengths.max() <= 1
    assert np.mean(lengths > 0.999) > 0.5


def test_a_row_that_is_too_long_is_refused_whoever_matched(measured: Strategy) -> None:
    longer = Strategy(measured.design, measured.used, measured.centre, measured.mix, 1.01 * measured.short)
    for matched in (np.zeros(3_000, dtype=bool), np.ones(3_000, dtype=bool)):
        with pytest.raises(SensitivityExceeded):
            longer.moments(matched)


def test_a_persons_row_does_not_depend_on_who_else_matched(measured: Strategy) -> None:
    rng = np.random.default_rng(3)
    moves = []
    for _ in range(3):
        others = (rng.random(3_000) < 0.3) & ~mask(measured.design, 17)
        moves.append(measured.moments(others | mask(measured.design, 17)).values - measured.moments(others).values)
    assert np.array_equal(moves[0], moves[1])
    assert np.array_equal(moves[0], moves[2])


def test_the_order_of_people_and_how_many_at_once_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, matched = table(3_000, 1), np.random.default_rng(4).random(3_000) < 0.3
    encoder = Encoder.from_owner(plain, KINDS)
    exact = Strategy.of(encoder.encode(plain)).moments(matched)
    order = np.random.default_rng(5).permutation(3_000)
    monkeypatch.setattr(strategy, "CHUNK", 77)
    again = Strategy.of(encoder.encode(plain.take(pa.array(order)))).moments(matched[order])
    assert np.array_equal(exact.values, again.values)
    assert exact.l2_squared == again.l2_squared == MOMENTS_L2_SQUARED


def test_what_is_expected_of_the_sums_is_what_rows_add_up_to(measured: Strategy) -> None:
    """Against rows written out one by one: totals, scatter, and how sums move with weights of the design's rows."""
    rng = np.random.default_rng(6)
    rows = np.vstack(list(measured.rows())) / ONE
    plain = np.vstack(list(measured.design.blocks()))[:, measured.used]
    weights = rng.random(len(rows))
    total = float(weights.sum())

    def about(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        means = np.outer(weights @ first, weights @ second) / total
        return (first * weights[:, None]).T @ second - means

    assert np.allclose(measured.total(weights), weights @ rows, atol=1e-3)
    assert np.allclose(measured.scatter(weights), about(rows, rows), atol=1e-3)
    assert np.allclose(measured.slope(weights), about(rows, plain), atol=1e-3)


def test_sums_of_rows_as_they_are_follow_from_what_was_measured(measured: Strategy) -> None:
    """Each person's x short: up to what nobody has."""
    seeds = np.random.default_rng(7).random(3_000) < 0.3
    back, middle = measured.plain()
    sums = np.ldexp(measured.moments(seeds).values.astype(float), -20)[measured.used]
    counted = measured.short * seeds
    assert np.allclose(back @ sums + middle * counted.sum(), measured.design.project(counted), atol=0.05)


@pytest.mark.parametrize("ceilings", [(), (6.0,)])
def test_without_noise_the_fit_is_that_of_rows_as_they_are(people: Design, ceilings: tuple[float, ...]) -> None:
    """Cutting and turning bias nothing: with next to no noise both learn the same, ceilings or not."""
    rng = np.random.default_rng(8)
    effects = [rng.normal(0, 1, len(block.levels)) for block in people.columns]
    seeds = rng.random(3_000) < sigmoid(-1 + people.scores(effects))
    measured = Strategy.of(people)
    sums = [np.ldexp(of(seeds).values.astype(float), -20) for of in (people.moments, measured.moments)]
    both = [
        SeedGLM(ceilings=ceilings).fit_best(problems).score(people)
        for problems in (
            Problem.each(people, sums[0], 0.01, ceilings),
            Measured.by(measured, sums[1], 0.01, ceilings),
        )
    ]
    assert np.corrcoef(*both)[0, 1] > 0.99


def test_people_who_are_all_alike_have_nothing_to_measure() -> None:
    same = pa.table({"a": ["x"] * 300})
    design = Encoder.from_owner(same, [Category("a", ("x", "y"))]).encode(same)
    found = Strategy.of(design).moments(np.ones(300, dtype=bool))
    assert not found.values[:-1].any()
    noisy = Noisy(found.values, 2.0**20, found.bits, Receipt("", 0, b"", ""))
    assert np.ptp(SeedGLM().fit_noisy(design, noisy).score(design)) == 0


@pytest.mark.parametrize("people", [8_388_000, 8_400_000, pytest.param(17_000_000, marks=pytest.mark.long)])
def test_one_among_millions_who_is_unlike_all_others_moves_no_more_than_is_charged(
    people: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turned, such a row is as long as the root of how many there are: its square would not fit into int64."""
    monkeypatch.setattr(strategy, "CHUNK", 1 << 21)
    kind = Category("a", ("x", "y"))
    small = Encoder.from_owner(pa.table({"a": ["x", "y"]}), [kind]).encode(pa.table({"a": ["x", "y"]}))
    levels = np.zeros(people, dtype=np.uint8)
    levels[7] = 1
    found = Strategy.of(Design(people, small.columns, (Codes(levels),), small.digest))
    matched = np.zeros(people, dtype=bool)
    without = found.moments(matched).values
    matched[7] = True
    move = (found.moments(matched).values - without).astype(object)
    assert 0.999 * MOMENTS_L2_SQUARED < int((move**2).sum()) <= MOMENTS_L2_SQUARED


@pytest.mark.parametrize("entry", [2.0**20 + 1, -(2.0**20) - 1, 2.0**32, 2.0**64, np.inf, np.nan])
def test_a_row_that_no_integer_could_hold_is_refused(entry: float) -> None:
    """Squared in int64 some of these would be 0."""
    with pytest.raises(SensitivityExceeded):
        strategy.refuse_longer(np.array([[0.0, entry]]), ONE)

"""A secret person's figures are its own: bit for bit the same whoever else is there and wherever its row stands.

Counts are exact, but a float decides the cell that a person is counted in. Ends of ranks are figures of people who are
often alike, so ties with an end are the rule: a last bit that depends on the row's place moves other people's cells
when one record goes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits

from passbox.dp.aggregate import Statistic
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling import design as designs
from passbox.modelling import doubt
from passbox.modelling.answers import Places, Ranks, counted, l2_squared, stratum_of
from passbox.modelling.attributes import Known, Target, moments
from passbox.modelling.completion import Learnt, known_columns, learn
from passbox.modelling.design import Codes, Design, Float
from passbox.modelling.features import Category, Encoder, Number, Topics
from passbox.modelling.grid import binned, score_ends
from passbox.modelling.packed import Packed
from passbox.modelling.person import DPGAM

MANY = tuple(f"v{at:02d}" for at in range(39))
FEW = tuple(f"u{at:02d}" for at in range(12))
KINDS = [Topics("many", MANY, 8), Category("one", ("a", "b")), Topics("few", FEW, 3), Number("age", 18, 90)]
LIKES, AGE, HAS = Target("likes", ("no", "yes")), Target("group", ("x", "y", "z")), Target("has", ("p", "q"), at_most=2)
ROWS = 1_003


def noisy(statistic: Statistic, rng: np.random.Generator, mu: float) -> Noisy:
    scale = math.sqrt(statistic.l2_squared) / mu
    noise = np.rint(rng.normal(0, scale, len(statistic.values)))
    return Noisy(statistic.values + noise.astype(np.int64), scale, statistic.bits, Receipt("", 0, b"", ""))


def people() -> pa.Table:
    """With holes in each column, empty sets, and sets of any size."""
    rng = np.random.default_rng(1)

    def sets(values: tuple[str, ...], most: int) -> pa.Array:
        sizes = np.where(rng.random(ROWS) < 0.7, most, rng.integers(0, most, ROWS))
        rows = [list(rng.choice(values, size, replace=False)) for size in sizes.tolist()]
        return pa.array([None if rng.random() < 0.1 else row for row in rows], pa.list_(pa.string()))

    return pa.table(
        {
            "many": sets(MANY, 8),
            "one": pa.array(rng.choice(["a", "b", None], ROWS), pa.string()),
            "few": sets(FEW, 3),
            "age": pa.array(rng.choice([20.0, 33.0, 50.0, 71.0, math.nan], ROWS), from_pandas=True),
        }
    )


def batches() -> Iterator[np.ndarray]:
    """Rows dropped from either end, so that every remainder of 16 comes up; rows alone; rows in other orders."""
    every = np.arange(ROWS)
    for gone in range(17):
        yield every[gone:]
        yield every[: ROWS - gone]
    yield from (every[at : at + 1] for at in range(0, ROWS, 97))
    yield every[::-1]
    for seed in range(16):
        yield np.random.default_rng(seed).permutation(ROWS)[: ROWS - seed % 4]


def misplaced(table: pa.Table, encoder: Encoder, figures: Callable[[Design], Float]) -> bool:
    """Whether somebody has other bits in some batch than among all."""
    whole = figures(encoder.encode(table))
    others = ((rows, figures(encoder.encode(table.take(pa.array(rows))))) for rows in batches())
    return any(whole[rows].tobytes() != found.tobytes() for rows, found in others)


# -- answers, and the counts they decide -----------------------------------------------------------------------------


def answers_of(learnt: list[Learnt]) -> Callable[[Design], Float]:
    """All that an answer says of a person, a row each."""

    def figures(design: Design) -> Float:
        parts = []
        for each in learnt:
            done = each.answer(design)
            parts += [done.probability, np.stack([done.low, done.high, done.confidence], axis=1)]
            parts += [one.doubt.deviation(design, "noise")[:, None] for one in each.each]
        return np.hstack(parts)

    return figures


@pytest.fixture(scope="module")
def asked() -> tuple[pa.Table, Encoder, list[Learnt]]:
    table = people()
    encoder = Encoder.from_owner(table, KINDS)
    design, rng = encoder.encode(table), np.random.default_rng(2)
    yes = np.array([bool(row) and "v03" in row for row in table["many"].to_pylist()])
    row = np.flatnonzero(rng.random(ROWS) < 0.5)
    known = [
        Known.one(LIKES, np.where(rng.random(ROWS) < 0.2, rng.integers(0, 2, ROWS), yes)),
        Known.one(AGE, rng.integers(0, 3, ROWS)),
        Known.several(HAS, rng.integers(0, 2, len(row)), row, np.ones(ROWS, dtype=np.bool_)),
    ]
    return table, encoder, learn(design, noisy(moments(design, known), rng, 3.0), [LIKES, AGE, HAS])


def product(design: Design, i: int, j: int, table: Float) -> Float:
    """Planted: pairs of levels from a matrix product over all people."""
    first, second = design.codes[i], design.codes[j]
    if first.row is None and second.row is None:
        return table[first.level, second.level]
    left, total, every = np.zeros((design.rows, len(table))), np.zeros(design.rows), np.arange(design.rows)
    np.add.at(left, (every if first.row is None else first.row, first.level), 1.0)
    of = every if second.row is None else second.row
    with threadpool_limits(limits=1, user_api="blas"):
        right = left @ table
    np.add.at(total, of, right[of, second.level])
    return total


def tail(design: Design, i: int, j: int, table: Float) -> Float:
    """Planted: in the rows beyond a multiple of 4 the last bits are others, as another order of terms makes them."""
    total = HONEST(design, i, j, table)
    total[design.rows // 4 * 4 :] *= 1 - 2.0**-49
    return total


HONEST = doubt.over_pairs


def uneven_blas() -> bool:
    """Whether a product of equal rows has unequal rows here, as it has under OpenBLAS on x86-64."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        left = np.tile(rng.integers(0, 2, 40).astype(np.float64), (ROWS, 1))
        with threadpool_limits(limits=1, user_api="blas"):
            made = left @ rng.normal(size=(40, 3))
        if (made != made[0]).any():
            return True
    return False


def test_an_answer_is_the_persons_own_to_the_last_bit(asked) -> None:
    table, encoder, learnt = asked
    assert not misplaced(table, encoder, answers_of(learnt))


@pytest.mark.parametrize(
    "fault",
    [
        tail,
        pytest.param(
            product,
            marks=[
                pytest.mark.long,
                pytest.mark.skipif(not uneven_blas(), reason="this BLAS treats all rows alike"),
            ],
        ),
    ],
)
def test_planted_fault_a_spread_that_depends_on_the_place_of_a_row(asked, fault, monkeypatch) -> None:
    table, encoder, learnt = asked
    monkeypatch.setattr(doubt, "over_pairs", fault)
    assert misplaced(table, encoder, answers_of(learnt))


class Alike:
    """The reader's people, and people of another party: many of each of 40 patterns of a set and a category."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.patterns = [
            (sorted(MANY[each] for each in rng.choice(39, 8, replace=False)), "ab"[rng.integers(2)]) for _ in range(40)
        ]
        own, theirs = rng.integers(0, 40, 2_000), rng.integers(0, 40, 4_000)
        self.encoder = Encoder.from_owner(self.table(own), KINDS[:2])
        self.own = self.encoder.encode(self.table(own))
        known = [Known.one(LIKES, (rng.random(4_000) < theirs / 40).astype(np.int64))]
        sums = noisy(moments(self.encoder.encode(self.table(theirs)), known), rng, 3.0)
        (self.learnt,) = learn(self.own, sums, [LIKES], 4_000)

    def table(self, at: np.ndarray) -> pa.Table:
        rows = [self.patterns[each] for each in at.tolist()]
        return pa.table({"many": pa.array([row[0] for row in rows]), "one": pa.array([row[1] for row in rows])})

    def furthest(self) -> int:
        """How far one record moves the counts, squared, where all who are held out are of one pattern."""
        ranks, moves = Ranks.of(self.learnt.answer(self.own)), []
        for at in range(40):
            crowd = self.encoder.encode(self.table(np.full(ROWS + 3, at)))
            counts = [
                self.counts(crowd.take(np.arange(crowd.rows) < rows), ranks) for rows in range(ROWS - 3, ROWS + 3)
            ]
            moves += [int((np.diff([a, b], axis=0) ** 2).sum()) for a, b in pairwise(counts)]
        return max(moves)

    def counts(self, design: Design, ranks: Ranks) -> np.ndarray:
        stratum = stratum_of(known_columns(design), len(design.columns))
        place = Places.of(self.learnt.answer(design), ranks, stratum)
        truth = Known.one(LIKES, np.ones(design.rows, dtype=np.int64))
        return counted([place], [truth], np.zeros(design.rows, dtype=np.uint64)).values


@pytest.fixture(scope="module")
def alike() -> Alike:
    return Alike()


def test_one_record_among_people_alike_moves_the_counts_by_what_is_paid_for(alike: Alike) -> None:
    assert alike.furthest() == l2_squared(1)


def test_planted_fault_a_place_that_moves_last_bits_moves_more_than_is_paid_for(alike: Alike, monkeypatch) -> None:
    monkeypatch.setattr(doubt, "over_pairs", tail)
    assert alike.furthest() > l2_squared(1)


# -- a model's scores, and the bins they decide ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    table = people()
    encoder = Encoder.from_declared(KINDS)
    packed = Packed.of(encoder.encode(table))
    rng = np.random.default_rng(4)
    matched = np.array([bool(row) and "v03" in row for row in table["many"].to_pylist()]) | (rng.random(ROWS) < 0.2)
    learner, kept = DPGAM(), []

    def draw(statistic: Statistic) -> Noisy:
        kept.append(noisy(statistic, rng, 30.0))
        return kept[-1]

    model = learner.fit_drawn(packed, matched, draw)
    _, values = learner.fit_opened(packed, matched, kept[-1])
    ends = score_ends(packed.columns, values, kept[-1].scale, model)

    def figures(design: Design) -> Float:
        scores = model.score(design)
        effects = [column.values for column in model.columns]
        residuals = Packed.of(design).residuals(np.zeros(design.rows, dtype=np.bool_), model.intercept, effects)
        return np.stack([scores, binned(scores, ends).astype(np.float64), residuals], axis=1)

    return table, encoder, figures


def test_a_score_its_bin_and_its_residual_are_the_persons_own_to_the_last_bit(fitted) -> None:
    assert not misplaced(*fitted)


def turned(code: Codes) -> Codes:
    """The same levels, each person's from the last to the first."""
    if code.row is None:
        return code
    order = np.argsort(code.row[::-1], kind="stable")
    return Codes(code.level[::-1][order], code.row[::-1][order])


def test_planted_fault_a_score_that_depends_on_the_place_of_a_row(fitted, monkeypatch) -> None:
    scores = Design.scores

    def turned_tail(self: Design, levels: list[Float]) -> Float:
        other = Design(self.rows, self.columns, tuple(turned(code) for code in self.codes), self.digest)
        end = np.arange(self.rows) >= self.rows // 4 * 4
        return np.where(end, scores(other, levels), scores(self, levels))

    monkeypatch.setattr(designs.Design, "scores", turned_tail)
    assert misplaced(*fitted)

"""What is measured of people who are secret: no row too long whatever noise says, nothing but counts read, no bias."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling import descent, person
from passbox.modelling import packed as packed_module
from passbox.modelling.blank import blank
from passbox.modelling.column_strategy import SHORTEST, ColumnStrategy
from passbox.modelling.design import BITS, ONE, Block, squared_norms
from passbox.modelling.expected import Expected
from passbox.modelling.features import Category, Encoder, Number, Topics
from passbox.modelling.margins import Margins
from passbox.modelling.packed import SHORT_BITS, Packed, step_l2_squared
from passbox.modelling.person import DPGAM

UNSURE = 30.0


@pytest.fixture(scope="module")
def people(crowd):
    return Packed.of(Encoder.from_declared(crowd.declared, 1.0).encode(crowd.table))


def margins_of(people: Packed, noise: float = 0.0) -> Margins:
    counts = people.counts() + np.random.default_rng(2).normal(0, noise, people.levels)
    return Margins.of(people.columns, counts, float(people.rows), people.rows / 4, UNSURE)


def strategy_of(people: Packed, noise: float = UNSURE) -> ColumnStrategy:
    return ColumnStrategy.of(people.columns, margins_of(people, noise), UNSURE)


def hostile(people: Packed, seed: int) -> tuple[Block, ...]:
    """Tables that no noise would make: levels from nothing to 16 times as long as a person may be."""
    rng = np.random.default_rng(seed)
    made = []
    for block in people.columns:
        lengths = 2 ** rng.uniform(0, 24, len(block.table)) - 2
        shape = rng.normal(size=block.table.shape) * (1 if block.partition else np.eye(len(block.table)))
        rows = shape / np.sqrt((shape**2).sum(axis=1, keepdims=True)) * lengths[:, None]
        made.append(replace(block, table=np.trunc(rows).astype(np.int64)))
    return tuple(made)


def dense(people: Packed, design) -> list[list[int]]:
    """Everybody's whole row, in Python's integers."""
    rows = [[0] * people.cells for _ in range(people.rows)]
    start = 0
    for block, codes in zip(people.columns, design.codes, strict=True):
        owners = range(people.rows) if codes.row is None else codes.row.tolist()
        for owner, level in zip(owners, codes.level.tolist(), strict=True):
            for cell, value in enumerate(block.table[level].tolist()):
                rows[owner][start + cell] += value
        start += block.cells
    return rows


@pytest.mark.parametrize("tables", ["measured", "hostile"])
def test_nobodys_row_is_longer_than_one_in_whole_numbers(people, crowd, tables: str) -> None:
    """Everybody's, from the tables that are summed and what is kept, without a float."""
    some = crowd.table.slice(0, 400)
    design = Encoder.from_declared(crowd.declared, 1.0).encode(some)
    cut = Packed.of(design).by(strategy_of(people).columns if tables == "measured" else hostile(people, 1))
    longest = 0
    for row, kept in zip(dense(cut, design), cut.short.tolist(), strict=True):
        assert kept == int(kept)
        assert 0 <= kept <= 1 << SHORT_BITS
        longest = max(longest, int(kept) ** 2 * sum(value**2 for value in row))
    assert 0.99 * (ONE << SHORT_BITS) ** 2 < longest <= (ONE << SHORT_BITS) ** 2


def moves(cut: Packed, label: np.ndarray, row: int, seed: int) -> list[np.ndarray]:
    """What a pull at surprising weights moves by: the person goes, the label turns."""
    rng = np.random.default_rng(seed)
    effects = [rng.normal(0, 3, len(block.table)) for block in cut.columns]
    at = -20.0 if label[row] else 20.0
    kept = np.arange(cut.rows) != row
    fewer = without(cut, kept)
    assert np.array_equal(fewer.short, cut.short[kept])
    turned = label.copy()
    turned[row] = ~turned[row]
    here = cut.pull(label, at, effects)
    return [here - fewer.pull(label[kept], at, effects), here - cut.pull(turned, at, effects)]


def without(cut: Packed, kept: np.ndarray) -> Packed:
    """The others, cut anew."""
    groups = tuple(replace(group, codes=group.codes.take(kept)) for group in cut.groups)
    return Packed(int(kept.sum()), cut.columns, groups, cut.digest).by(cut.columns)


def furthest(cut: Packed, label: np.ndarray) -> int:
    found = [move for row in range(0, cut.rows, 250) for seed in range(3) for move in moves(cut, label, row, seed)]
    return max(sum(int(value) ** 2 for value in move) for move in found)


@pytest.mark.parametrize("tables", ["measured", "hostile"])
def test_one_person_moves_a_pull_no_further_than_promised(people, crowd, tables: str) -> None:
    cut = people.by(strategy_of(people).columns if tables == "measured" else hostile(people, 2))
    assert 0.5 * ONE**2 < furthest(cut, crowd.label) <= step_l2_squared(people.cells)


def test_planted_fault_rows_that_are_not_cut_fail_the_replay(people, crowd, monkeypatch) -> None:
    honest = Packed.by
    monkeypatch.setattr(
        Packed,
        "by",
        lambda self, columns: replace(honest(self, columns), short=np.full(self.rows, float(1 << SHORT_BITS))),
    )
    assert furthest(people.by(strategy_of(people).columns), crowd.label) > step_l2_squared(people.cells)


def rounded_within(people: Packed) -> bool:
    """Every probability there is, and a sample of what is kept: whether a residual that is cut is no longer than its
    part, and a label that turns moves it by no more than the part of 1."""
    chances, one = np.arange(0, (1 << 16) + 1, dtype=np.float64), 1 << SHORT_BITS
    for short in np.random.default_rng(3).integers(0, one + 1, 200).tolist():
        kept = replace(people, short=np.full(len(chances), float(short)))
        yes, no = (kept._cut(label * 65_536 - chances) for label in (1, 0))
        if ((yes - no) * one > 65_536 * short).any() or (-no * one > chances * short).any():
            return False
        if (yes != np.trunc(yes)).any() or (no != np.trunc(no)).any():
            return False
    return True


def test_rounding_adds_nothing_to_what_a_person_moves(people) -> None:
    assert rounded_within(people)


@pytest.mark.parametrize("rounding", [np.floor, np.rint, np.asarray, lambda cut: np.sign(cut) * np.ceil(np.abs(cut))])
def test_planted_fault_another_rounding_adds_to_it(people, rounding, monkeypatch) -> None:
    monkeypatch.setattr(Packed, "_cut", lambda self, residuals: rounding(np.ldexp(residuals * self.short, -SHORT_BITS)))
    assert not rounded_within(people)


def test_what_is_kept_of_a_row_is_the_persons_own(people) -> None:
    """With any half of the others away, the longest among them, everybody is cut by the same."""
    columns = hostile(people, 3)
    cut = people.by(columns)
    longest = int(np.argmin(cut.short))
    for seed in range(5):
        kept = np.random.default_rng(seed).random(people.rows) < 0.5
        kept[longest] = False
        assert np.array_equal(without(cut, kept).short, cut.short[kept])


def test_planted_fault_a_row_cut_by_what_others_are_fails_the_replay(people, crowd, monkeypatch) -> None:
    """Everybody is cut by a little more where the longest of all has an odd length."""
    honest = Packed.by

    def swayed(self: Packed, columns) -> Packed:
        made = honest(self, columns)
        return replace(made, short=np.maximum(made.short - made.short.min() % 8, 0))

    monkeypatch.setattr(Packed, "by", swayed)
    cut = people.by(hostile(people, 3))
    longest = int(np.argmin(cut.short))
    with pytest.raises(AssertionError):
        moves(cut, crowd.label, longest, 0)


def test_sets_of_any_declared_size_can_be_cut() -> None:
    """500 sets of up to 1,000 topics a person, the most a contract takes, with tables as long as they may be."""
    block = Block("s", ("a", "b", "(missing)"), (1 << 24) * np.eye(3, dtype=np.int64), 1_000, False, False)
    design = Encoder.from_declared([Topics("s", ("a", "b"), 2)]).encode(pa.table({"s": [["a", "b"], ["a"], []]}))
    packed = Packed.of(design)
    group = packed.groups[0]
    columns = (block,) * 500
    groups = tuple(replace(group, members=(i,)) for i in range(500))
    cut = Packed(3, columns, groups, packed.digest).by(columns)
    lengths = np.sqrt([1_000, 500, 0]) * 2**24
    assert (cut.short * lengths <= ONE << SHORT_BITS).all()
    assert (cut.short[:2] > 0).all()


def test_a_cut_pull_is_the_gradient_with_everybody_counted_as_far_as_kept(people, crowd) -> None:
    design = Encoder.from_declared(crowd.declared, 1.0).encode(crowd.table)
    strategy = strategy_of(people)
    cut = people.by(strategy.columns)
    effects = [np.random.default_rng(5).normal(0, 1, len(block.table)) for block in cut.columns]
    rows = np.ldexp(np.array(dense(cut, design), dtype=np.float64), -BITS)
    residual = crowd.label - 1 / (1 + np.exp(-(design.scores(effects) - 1)))
    expected = rows.T @ (residual * np.ldexp(cut.short, -SHORT_BITS))
    assert np.allclose(np.ldexp(cut.pull(crowd.label, -1.0, effects)[:-1].astype(float), -BITS), expected, atol=0.5)


def test_the_order_of_people_changes_no_bit(people, crowd) -> None:
    order = np.random.default_rng(4).permutation(3000)
    encoder = Encoder.from_declared(crowd.declared, 1.0)
    mixed = Packed.of(encoder.encode(crowd.table.take(pa.array(order))))
    columns = strategy_of(people).columns
    effects = [np.random.default_rng(5).normal(0, 1, len(block.table)) for block in columns]
    pulls = [
        each.by(columns).pull(label, 0.0, effects)
        for each, label in ((people, crowd.label), (mixed, crowd.label[order]))
    ]
    assert np.array_equal(*pulls)


def fitted_twice(people: Packed, label: np.ndarray) -> tuple[str, str]:
    """A model as it was fitted, and as it follows from its noisy sums, nobody being looked at."""
    empty = blank(people.columns)
    scale = math.sqrt(empty.l2_squared) / 0.3
    noise = np.rint(np.random.default_rng(8).normal(0, scale, len(empty.values))).astype(np.int64)
    receipt = Receipt("00", 0, b"", "00")
    model, sums = DPGAM().fit_opened(people, label, Noisy(noise, scale, BITS, receipt))
    again = DPGAM().refit(people.columns, people.digest, Noisy(sums, scale, BITS, receipt))
    return model.to_json(), again.to_json()


def test_tables_follow_from_noisy_sums_alone(people, crowd) -> None:
    assert len(set(fitted_twice(people, crowd.label))) == 1


def test_planted_leak_tables_of_exact_counts_are_had_from_no_noisy_sum(people, crowd, monkeypatch) -> None:
    noisy = person._Asked._noisy
    first = len(people.margins(crowd.label))

    def exact(asked, at: slice, sums: np.ndarray) -> np.ndarray:
        released = noisy(asked, at, sums)
        return sums if at.stop == first else released

    monkeypatch.setattr(person._Asked, "_noisy", exact)
    assert len(set(fitted_twice(people, crowd.label))) == 2


def test_rows_are_cut_from_the_share_of_their_root_mean_square_that_is_said(people) -> None:
    """With exact counts the mean square is exact: (1 / .8) squared."""
    strategy = strategy_of(people, 0.0)
    counts = np.split(people.counts(), np.cumsum([len(block.table) for block in people.columns])[:-1])
    pairs = zip(counts, strategy.columns, strict=True)
    square = sum(each @ np.array(squared_norms(block), dtype=float) for each, block in pairs) / people.rows / ONE**2
    assert square == pytest.approx(SHORTEST**-2, rel=1e-3)


def test_columns_stand_about_their_mean_and_sets_keep_a_cell_a_level(people) -> None:
    strategy = strategy_of(people, 0.0)
    for block, counts in zip(strategy.columns, margins_of(people).counts, strict=True):
        if not block.partition:
            assert np.count_nonzero(block.table - np.diag(np.diag(block.table))) == 0
        else:
            assert np.abs(counts @ block.real).max() < 1e-5 * people.rows


def test_what_is_kept_is_foreseen_where_columns_are_independent() -> None:
    """Three columns drawn apart: the mean part kept of people with a level, and what counts alone say of it."""
    rng = np.random.default_rng(6)
    kinds = [Category("a", tuple("abcdefgh")), Category("b", tuple("uvw")), Number("c", 0, 10)]
    table = pa.table(
        {
            "a": rng.choice(list("abcdefgh"), 20_000, p=[0.4, 0.3, 0.1, 0.08, 0.05, 0.04, 0.02, 0.01]),
            "b": rng.choice(list("uvw"), 20_000, p=[0.7, 0.2, 0.1]),
            "c": rng.gamma(2.0, 1.5, 20_000).clip(0, 10),
        }
    )
    design = Encoder.from_declared(kinds, 1.0).encode(table)
    people = Packed.of(design)
    strategy = strategy_of(people, 0.0)
    kept = np.ldexp(people.by(strategy.columns).short, -SHORT_BITS)
    for codes, foreseen in zip(design.codes, strategy.kept, strict=True):
        for level in np.unique(codes.level):
            held = codes.level == level
            if held.sum() > 300:
                assert foreseen[level] == pytest.approx(kept[held].mean(), abs=0.05)


def test_the_same_effects_are_expected_of_measured_rows(people) -> None:
    """The covariance of effects, constants aside, is that of declared rows."""
    strategy = strategy_of(people)
    for block, measured, turn in zip(people.columns, strategy.columns, strategy.turns, strict=True):
        before = Expected.of(block, 0.2)
        after = before.through(turn)
        root = np.eye(block.cells) if before.root is None else before.root
        away = np.eye(len(block.table)) - (1 / len(block.table) if block.partition else 0)
        old, new = away @ block.real @ root, away @ measured.real @ after.root
        assert np.allclose(old @ old.T, new @ new.T, atol=1e-3 * np.abs(old @ old.T).max())
        assert np.allclose(after.root @ after.root.T @ after.inverse, np.eye(block.cells), atol=1e-6)


@pytest.mark.parametrize(
    ("declared", "table"),
    [
        ([Number("x", 0, 1)], pa.table({"x": [0.5] * 90})),
        ([Category("x", ("a",))], pa.table({"x": ["a"] * 90})),
        ([Category("x", ("a", "b"))], pa.table({"x": pa.nulls(90, pa.string())})),
        ([Topics("x", ("a", "b"), 2)], pa.table({"x": pa.array([[]] * 90, type=pa.list_(pa.string()))})),
    ],
)
def test_columns_that_tell_nobody_apart_are_measured_within_bounds(declared, table) -> None:
    people = Packed.of(Encoder.from_declared(declared).encode(table))
    for noise, unsure in ((0.0, 0.0), (500.0, 500.0)):
        strategy = ColumnStrategy.of(people.columns, margins_of(people, noise), unsure)
        assert all(np.isfinite(turn).all() for turn in strategy.turns)
        people.by(strategy.columns)


def test_tables_that_cannot_be_cut_are_refused(people, monkeypatch) -> None:
    longer = [replace(block, table=block.table * 2**5) for block in hostile(people, 1)]
    with pytest.raises(ValueError, match="longer"):
        people.by(longer)
    monkeypatch.setattr(packed_module, "LARGEST_SUM", 2**42)
    with pytest.raises(ValueError, match="longer"):
        people.by(people.columns)


def test_a_set_whose_levels_share_a_cell_is_refused(people) -> None:
    """Squared lengths of levels that come together would not add up."""
    shared = [block if block.partition else replace(block, table=np.ones_like(block.table)) for block in people.columns]
    with pytest.raises(ValueError, match="share a cell"):
        people.by(shared)


def test_moments_are_not_made_of_cut_rows(people, crowd) -> None:
    with pytest.raises(ValueError, match="as they are"):
        people.by(people.columns).moments(crowd.label)


def test_a_fit_expects_of_measured_rows_what_it_expects_of_declared_ones(people, crowd) -> None:
    """In the learner itself: the covariance of weights, turned back."""
    learner = DPGAM()
    empty = blank(people.columns)
    learner.fit_drawn(people, crowd.label, lambda _: Noisy(empty.values, 1e6, BITS, Receipt("00", 0, b"", "00")))
    for block, expected, turn in zip(people.columns, learner._descent.expected, learner._strategy.turns, strict=True):
        declared = Expected.of(block, person.smoother_at(math.sqrt(empty.l2_squared) / 1e6)).root
        root = np.eye(block.cells) if declared is None else declared
        back = turn @ expected.root
        assert np.allclose(back @ back.T, root @ root.T, atol=1e-6)


def test_evidence_without_noise_is_the_same_however_rows_are_measured(people) -> None:
    """What is seen of a column's size hangs on its effects, not on the weights that stand for them."""
    rng = np.random.default_rng(9)
    for block, turn in zip(people.columns, strategy_of(people).turns, strict=True):
        half = rng.normal(size=(block.cells, block.cells))
        curvature, pull = half @ half.T, rng.normal(size=block.cells)
        expected = Expected.of(block, 0.2)
        if expected.root is None:
            expected = expected.through(np.eye(block.cells))
        declared = descent._spectrum(curvature, pull, 0.0, expected)
        measured = descent._spectrum(turn @ curvature @ turn, turn @ pull, 0.0, expected.through(turn))
        assert np.allclose(measured[0], declared[0], rtol=1e-5, atol=1e-6 * declared[0].max())
        pulls = np.abs(declared[1])
        assert np.allclose(np.abs(measured[1]), pulls, rtol=1e-3, atol=1e-4 * pulls.max())


def test_where_noise_hides_how_people_differ_all_directions_of_a_column_are_measured_alike(people) -> None:
    strategy = ColumnStrategy.of(people.columns, margins_of(people), 1e9)
    for turn in strategy.turns:
        assert np.allclose(turn, turn[0, 0] * np.eye(len(turn)), atol=1e-9 * turn[0, 0])


def test_squared_lengths_are_exact_however_long() -> None:
    block = Block("x", ("a", "b", "(missing)"), np.array([[2**40, 3], [-(2**62), 2**62], [1, -1]]))
    assert squared_norms(block) == [2**80 + 9, 2**125, 2]

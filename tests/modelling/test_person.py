"""The `person` learner: exact replay on neighbours, one draw for everything, and as good as was measured."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from passbox.dp.accounting import rho_within
from passbox.dp.aggregate import OverflowPossible, Statistic
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling import packed as packed_module
from passbox.modelling.blank import STEPS, blank
from passbox.modelling.design import BITS, ONE, DesignMismatch
from passbox.modelling.expected import Expected
from passbox.modelling.features import Category, Encoder, Number
from passbox.modelling.model import Model
from passbox.modelling.packed import Packed, step_l2_squared
from passbox.modelling.person import DPGAM, SMOOTHER, smoother_at


class Noise:
    """Draws as a ledger would, from a seed; remembers what it was asked."""

    def __init__(self, epsilon: float, seed: int = 1) -> None:
        self.mu = math.sqrt(2 * rho_within(Budget(Epsilon(epsilon), Delta(1e-6))) / RHO_UNIT)
        self.rng, self.asked = np.random.default_rng(seed), list[Statistic]()

    def __call__(self, statistic: Statistic) -> Noisy:
        self.asked.append(statistic)
        scale = math.sqrt(statistic.l2_squared) / self.mu
        noise = np.rint(self.rng.normal(0, scale, len(statistic.values))).astype(np.int64)
        return Noisy(statistic.values + noise, scale, statistic.bits, Receipt("00", 0, b"", "00"))


@pytest.fixture(scope="module")
def people(crowd):
    return Encoder.from_declared(crowd.declared).encode(crowd.table)


def some_effects(people: Packed, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 3, len(block.table)) for block in people.columns]


def squared(move: np.ndarray) -> int:
    return sum(int(v) ** 2 for v in move)


def without(people, label: np.ndarray, row: int) -> tuple[Packed, np.ndarray]:
    kept = np.arange(people.rows) != row
    return Packed.of(people.take(kept)), label[kept]


@pytest.mark.parametrize("row", range(0, 3000, 500))
def test_one_person_moves_each_draw_no_further_than_promised(people, crowd, row: int) -> None:
    """Replay: the person goes, or its label does, at weights that make it as surprising as can be."""
    whole = Packed.of(people)
    fewer, fewer_label = without(people, crowd.label, row)
    flipped = crowd.label.copy()
    flipped[row] = ~flipped[row]
    for seed in range(3):
        effects = some_effects(whole, seed)
        pull = whole.pull(crowd.label, -20.0 if crowd.label[row] else 20.0, effects)
        for other, label in ((fewer, fewer_label), (whole, flipped)):
            moved = pull - other.pull(label, -20.0 if crowd.label[row] else 20.0, effects)
            assert squared(moved) <= step_l2_squared(whole.cells)
    margins = whole.margins(crowd.label)
    assert squared(margins - fewer.margins(fewer_label)) <= ONE**2
    assert squared(margins - whole.margins(flipped)) <= ONE**2


def test_the_bound_is_nearly_reached(people, crowd) -> None:
    """By a positive with a long row whom the model thought a negative."""
    dense = np.vstack(list(people.blocks()))
    row = int(np.argmax(crowd.label * (dense**2).sum(axis=1)))
    whole = Packed.of(people)
    fewer, label = without(people, crowd.label, row)
    zero = [np.zeros(len(block.table)) for block in whole.columns]
    moved = squared(whole.pull(crowd.label, -20.0, zero) - fewer.pull(label, -20.0, zero))
    assert moved > 0.95 * step_l2_squared(whole.cells)


def test_planted_fault_a_residual_that_is_not_bounded_fails_the_replay(people, crowd, monkeypatch) -> None:
    """A probability that runs to 2: what a broken link function would do."""
    true = packed_module._probabilities()
    monkeypatch.setattr(packed_module, "_probabilities", lambda: 2 * true)
    row = int(np.flatnonzero(~crowd.label)[0])
    whole = Packed.of(people)
    fewer, label = without(people, crowd.label, row)
    zero = [np.zeros(len(block.table)) for block in whole.columns]
    moved = squared(whole.pull(crowd.label, 20.0, zero) - fewer.pull(label, 20.0, zero))
    assert moved > step_l2_squared(whole.cells)


def test_shuffling_and_chunking_people_changes_no_bit(people, crowd) -> None:
    encoder = Encoder.from_declared(crowd.declared)
    order = np.random.default_rng(4).permutation(3000)
    plain, mixed = Packed.of(people), Packed.of(encoder.encode(crowd.table.take(pa.array(order))))
    effects = some_effects(plain, 1)
    assert np.array_equal(plain.pull(crowd.label, -1.0, effects), mixed.pull(crowd.label[order], -1.0, effects))
    numbers = Encoder.from_declared(crowd.declared[:3])
    parts = Packed.of_parts([numbers.encode(crowd.table.slice(at, 700)) for at in range(0, 3000, 700)])
    whole = Packed.of(numbers.encode(crowd.table))
    assert np.array_equal(parts.pull(crowd.label, -1.0, effects[:3]), whole.pull(crowd.label, -1.0, effects[:3]))


def test_a_pull_is_the_gradient_of_the_log_likelihood(people, crowd) -> None:
    packed = Packed.of(people)
    effects = [values / 3 for values in some_effects(packed, 2)]
    dense = np.vstack(list(people.blocks()))
    z = -1.0 + people.scores(effects)
    expected = dense.T @ (crowd.label - 1 / (1 + np.exp(-z)))
    assert np.allclose(np.ldexp(packed.pull(crowd.label, -1.0, effects)[:-1].astype(float), -BITS), expected, atol=0.2)


def test_all_noise_is_one_draw_on_zeros_of_public_shape(people, crowd) -> None:
    draws = []
    for label in (crowd.label, ~crowd.label, np.zeros(3000, dtype=bool)):
        noise = Noise(1.0)
        DPGAM().fit_drawn(people, label, noise)
        (asked,) = noise.asked
        assert not asked.values.any()
        draws.append((len(asked.values), asked.l2_squared, asked.bits))
    assert len(set(draws)) == 1
    expected = blank(Encoder.from_declared(crowd.declared).encode(crowd.table.slice(0, 1)).columns)
    assert draws[0] == (len(expected.values), expected.l2_squared, expected.bits)
    assert expected.l2_squared == (STEPS + 1) * step_l2_squared(people.cells)


def test_every_slice_of_the_noise_is_used_once(people, crowd) -> None:
    """A step that read another step's noise would let a reader take a difference of two exact sums."""
    read = []

    class Watched(np.ndarray):
        def __getitem__(self, item):
            if isinstance(item, slice):
                read.append((item.start or 0, item.stop))
            return np.asarray(self)[item]

    noisy = Noise(1.0)(blank(people.columns))
    watched = Noisy(noisy.values.view(Watched), noisy.scale, noisy.bits, noisy.receipt)
    DPGAM().fit_drawn(people, crowd.label, lambda _: watched)
    assert sorted(read) == read
    assert [stop for _, stop in read[:-1]] == [start for start, _ in read[1:]]
    assert (read[0][0], read[-1][1]) == (0, len(noisy.values))


def test_with_the_noise_fixed_the_model_follows_from_the_noisy_sums_alone(people, crowd) -> None:
    """The same noisy sums, other people: what is kept of people is what was drawn."""
    model = DPGAM().fit_drawn(people, crowd.label, Noise(1.0, 5))
    order = np.random.default_rng(0).permutation(3000)
    shuffled = Encoder.from_declared(crowd.declared).encode(crowd.table.take(pa.array(order)))
    assert DPGAM().fit_drawn(shuffled, crowd.label[order], Noise(1.0, 5)).to_json() == model.to_json()


@pytest.mark.parametrize(
    ("name", "epsilon", "floor"),
    [
        ("adult", 0.5, 0.908),
        ("adult", 1.0, 0.9117),
        ("adult", 4.0, 0.918),
        ("telco", 1.0, 0.843),
        ("telco", 4.0, 0.847),
    ],
)
def test_real_people_are_ranked_as_well_as_was_measured(request, name: str, epsilon: float, floor: float) -> None:
    """Means over 20 splits are .911, .914, .920 and .848, .851, those of these three a little less on Adult. With rows
    as they are declared, these had .906, .911 and .917 on Adult."""
    people = request.getfixturevalue(name)
    design = Encoder.from_declared(people.declared, epsilon).encode(people.table)
    found = []
    for number in range(3):
        train = people.split(number)
        model = DPGAM().fit_drawn(design.take(train), people.label[train], Noise(epsilon, number))
        found.append(roc_auc_score(people.label[~train], model.score(design)[~train]))
    print(name, epsilon, found)
    assert np.mean(found) > floor


def test_how_smooth_effects_are_taken_to_be_follows_from_the_noise_alone() -> None:
    assert [smoother_at(mu) for mu in (0.0, 0.125, 0.18, 0.235, 9.0)] == pytest.approx([0, 0, 0.1, 0.2, 0.2])
    mu = {
        epsilon: math.sqrt(2 * rho_within(Budget(Epsilon(epsilon), Delta(1e-6))) / RHO_UNIT) for epsilon in (0.5, 1.0)
    }
    assert smoother_at(mu[0.5]) == 0
    assert smoother_at(mu[1.0]) == SMOOTHER


def test_smoother_effects_are_as_large_on_average(people) -> None:
    """What effects are taken to be has the same mean square over levels, and less of it between neighbours."""
    for block in people.columns:
        taken = Expected.of(block, SMOOTHER)
        if not block.ordered:
            assert taken.root is None
            continue
        before, after = block.real[:-1, :-1], block.real[:-1] @ taken.root[:, :-1]
        assert np.sum(after**2) == pytest.approx(np.sum(before**2))
        assert np.sum(np.diff(after, axis=0) ** 2) < 0.95 * np.sum(np.diff(before, axis=0) ** 2)
        assert np.allclose(taken.root @ taken.root @ taken.inverse, np.eye(block.cells))


POOR = {
    "nobody": lambda n: np.zeros(n, dtype=bool),
    "one": lambda n: np.arange(n) == 5,
    "everybody": lambda n: np.ones(n, dtype=bool),
}


@pytest.mark.parametrize("label", POOR)
@pytest.mark.parametrize("epsilon", [0.01, 1.0, 40.0])
def test_poor_labels_give_a_finite_model(people, label: str, epsilon: float) -> None:
    model = DPGAM().fit_drawn(people, POOR[label](3000), Noise(epsilon))
    assert np.isfinite(model.score(people)).all()
    assert Model.from_json(model.to_json()).score(people).tobytes() == model.score(people).tobytes()


@pytest.mark.parametrize(
    ("declared", "table"),
    [
        ([Number("x", 0, 1)], pa.table({"x": [0.5] * 9})),
        ([Number("x", 3, 3)], pa.table({"x": pa.nulls(9, pa.float64())})),
        ([Category("x", ("a",))], pa.table({"x": ["a"] * 9})),
        ([Category("x", ("a", "b"))], pa.table({"x": pa.nulls(0, pa.string())})),
    ],
)
def test_columns_that_say_nothing_are_no_trouble(declared, table) -> None:
    people = Encoder.from_declared(declared).encode(table)
    model = DPGAM().fit_drawn(people, np.zeros(people.rows, dtype=bool), Noise(1.0))
    assert np.isfinite(model.score(people)).all()


def test_what_does_not_fit_is_refused(people, crowd) -> None:
    with pytest.raises(ValueError, match="every row"):
        DPGAM().fit_drawn(people, crowd.label[1:], Noise(1.0))
    with pytest.raises(DesignMismatch):
        DPGAM().fit_drawn(people, crowd.label, lambda _: Noise(1.0)(blank(people.columns, 3)))
    with pytest.raises(ValueError, match="nobody"):
        Packed.of_parts([])


def test_more_people_than_the_sums_can_hold_are_refused(people, monkeypatch) -> None:
    monkeypatch.setattr(packed_module, "LARGEST_SUM", 2**46)
    with pytest.raises(OverflowPossible):
        Packed.of(people)

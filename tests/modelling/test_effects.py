"""Effects: the model's own numbers, in intervals that hold what noise and luck leave open."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from passbox.dp.aggregate import Statistic
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling import person
from passbox.modelling.design import Design
from passbox.modelling.effects import ColumnEffect, Held, Known
from passbox.modelling.features import Category, Encoder, Kind, Number, Topics
from passbox.modelling.logistic import sigmoid
from passbox.modelling.lookalike import SeedGLM
from passbox.modelling.margins import Margins
from passbox.modelling.model import Model
from passbox.modelling.person import DPGAM
from passbox.modelling.strategy import Strategy
from passbox.modelling.wide import WideGLM

LIKES = ("cars", "travel", "food", "sport")
KINDS: list[Kind] = [
    Number("age", 0, 100),
    Number("income", 0, 100),
    Category("region", tuple("abcdef")),
    Topics("likes", LIKES, 3),
]


def people(rng: np.random.Generator, rows: int, alike: float) -> pa.Table:
    """alike: correlation of the two numbers."""
    first, other = rng.normal(0, 1, (2, rows))
    second = alike * first + math.sqrt(1 - alike**2) * other
    ends = np.cumsum(np.append(0, rng.integers(0, 4, rows)), dtype=np.int32)
    return pa.table(
        {
            "age": (50 + 15 * first).clip(0, 100),
            "income": (50 + 15 * second).clip(0, 100),
            "region": rng.choice(list("abcdef"), rows, p=[0.3, 0.25, 0.2, 0.15, 0.07, 0.03]),
            "likes": pa.ListArray.from_arrays(pa.array(ends), pa.array(rng.choice(LIKES, ends[-1]))),
        }
    )


def noise(rng: np.random.Generator, mu: float):
    def draw(statistic: Statistic) -> Noisy:
        scale = math.sqrt(statistic.l2_squared) / mu
        drawn = np.rint(rng.normal(0, scale, len(statistic.values))).astype(np.int64)
        return Noisy(statistic.values + drawn, scale, statistic.bits, Receipt("", 0, b"", ""))

    return draw


def effects_of(rng: np.random.Generator, design: Design) -> list[np.ndarray]:
    """True effects, as large as the learners may expect."""
    sizes = np.exp(rng.normal(math.log(1.2), 0.5, len(design.columns)))
    return [block.real @ rng.normal(0, size, block.cells) for block, size in zip(design.columns, sizes, strict=True)]


def held(found: tuple[ColumnEffect, ...], design: Design, true: list[np.ndarray]) -> tuple[list[bool], list[bool]]:
    """Which of the true effects of levels that somebody has, and of the true importances, lie in their intervals."""
    by_name, levels, matters = {column.name: column for column in found}, [], []
    for block, codes, effects in zip(design.columns, design.codes, true, strict=True):
        people, column = Held.of(block, codes, design.rows), by_name[block.name]
        away = float(people.share @ effects) if block.at_most == 1 else 0.0
        for level, effect in zip(column.levels, effects - away, strict=True):
            if level.share > 0:
                levels.append(level.effect.low <= effect <= level.effect.high)
        spread = math.sqrt(effects @ people.spread @ effects)
        matters.append(column.matters.low <= spread <= column.matters.high)
    return levels, matters


@pytest.fixture(scope="module")
def membership() -> tuple[list[bool], list[bool]]:
    """30 worlds of 6,000 people, correlated columns, some 900 seeds, at mu 1."""
    rng, levels, matters = np.random.default_rng(11), [], []
    for _ in range(30):
        table = people(rng, 6_000, 0.6)
        design = Encoder.from_owner(table, KINDS).encode(table)
        true = effects_of(rng, design)
        matched = rng.random(6_000) < sigmoid(-2 + design.scores(true))
        learner = SeedGLM(ceilings=())
        learner.fit_drawn(design, matched, noise(rng, 1.0))
        for all_, some in zip((levels, matters), held(learner.explained(), design, true), strict=True):
            all_ += some
    return levels, matters


def test_intervals_of_effects_cover_what_they_say(membership) -> None:
    """Effects within a world are drawn together, so 2,200 levels weigh like fewer, some 500; .925 to .97 leaves two
    standard errors beside .945."""
    levels, _ = membership
    assert 0.925 < np.mean(levels) < 0.97


def test_intervals_of_importance_cover_nine_in_ten(membership) -> None:
    """120 importances: sizes of effects are themselves uncertain, and the gamma distribution is an approximation."""
    _, matters = membership
    assert np.mean(matters) > 0.85


def test_a_planted_fit_that_forgets_half_its_noise_covers_less() -> None:
    rng, levels = np.random.default_rng(12), []
    for _ in range(8):
        table = people(rng, 6_000, 0.0)
        design = Encoder.from_owner(table, KINDS).encode(table)
        true = effects_of(rng, design)
        noisy = noise(rng, 0.2)(Strategy.of(design).moments(rng.random(6_000) < sigmoid(-2 + design.scores(true))))
        learner = SeedGLM(ceilings=())
        learner.fit_noisy(design, Noisy(noisy.values, noisy.scale / 5, noisy.bits, noisy.receipt))
        levels += held(learner.explained(), design, true)[0]
    assert np.mean(levels) < 0.8


World = tuple[Design, list[np.ndarray], DPGAM, Model]


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    """15 worlds of 8,000 people at mu 1, columns independent: designs, true effects, and what was fitted."""
    rng, made = np.random.default_rng(13), []
    for _ in range(15):
        table = people(rng, 8_000, 0.0)
        design = Encoder.from_declared(KINDS).encode(table)
        true = effects_of(rng, design)
        learner = DPGAM()
        model = learner.fit_drawn(design, rng.random(8_000) < sigmoid(-1 + design.scores(true)), noise(rng, 1.0))
        made.append((design, true, learner, model))
    return made


def test_a_person_fit_covers_nine_in_ten_where_columns_are_independent(worlds: list[World]) -> None:
    """Curvature is known only as if columns were independent, and near the fit."""
    levels = [each for design, true, learner, _ in worlds for each in held(learner.explained(), design, true)[0]]
    assert 0.88 < np.mean(levels) < 0.97


def test_importance_is_not_read_from_effects_that_shrinkage_made_small() -> None:
    """24 worlds of 4,000 people with little noise, the two columns without order: what other columns lost to shrinkage
    makes their effects look smaller. With 12 seeds .961 of the truth was told, give or take .016, and .035 less of it
    where nothing was restored, give or take .009."""
    shown, plainly = _shown(24)
    assert abs(shown - 1) < 0.09
    assert shown - plainly > 0.01


def test_planted_importance_beside_shrunk_columns_is_too_small(monkeypatch) -> None:
    monkeypatch.setattr(person, "restored", lambda _columns, _held, known, _effects: known)
    shown, plainly = _shown(6)
    assert not shown - plainly > 0.01


def _shown(worlds: int) -> tuple[float, float]:
    """What the columns without order are said to matter, as a share of what they do, on average; and what they would
    be said to, were nothing restored, from the same noise."""
    rng, shares = np.random.default_rng(16), []
    for _ in range(worlds):
        table = people(rng, 4_000, 0.0)
        design = Encoder.from_declared(KINDS).encode(table)
        true = effects_of(rng, design)
        learner = DPGAM()
        learner.fit_drawn(design, rng.random(4_000) < sigmoid(-1 + design.scores(true)), noise(rng, 20.0))
        said = [{column.name: column.matters.estimate for column in learner.explained()}]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(person, "restored", lambda _columns, _held, known, _effects: known)
            said.append({column.name: column.matters.estimate for column in learner.explained()})
        for block, codes, effects in list(zip(design.columns, design.codes, true, strict=True))[2:]:
            truth = math.sqrt(effects @ Held.of(block, codes, design.rows).spread @ effects)
            shares.append([each[block.name] / truth for each in said])
    shown, plainly = np.mean(shares, axis=0).tolist()
    return shown, plainly


def test_estimates_are_the_models_own_and_lie_in_their_intervals(crowd, draw) -> None:
    design = crowd.encoder(np.ones(3_000, dtype=bool)).encode(crowd.table)
    learner = SeedGLM()
    model = learner.fit_noisy(design, draw(Strategy.of(design).moments(crowd.label), 1.0, 3))
    found = learner.explained()
    assert [column.matters.estimate for column in found] == sorted((c.matters.estimate for c in found), reverse=True)
    assert {column.name for column in found} == {column.name for column in model.columns}
    own = {column.name: column.values for column in model.columns}
    for column in found:
        assert column.matters.low <= column.matters.estimate <= column.matters.high
        shifts = [level.effect.estimate - value for level, value in zip(column.levels, own[column.name], strict=True)]
        assert np.ptp(shifts) < 1e-9
        assert all(level.effect.low <= level.effect.estimate <= level.effect.high for level in column.levels)


def test_what_a_column_matters_lies_inside_its_interval_and_nearer_the_truth_than_shrunk_effects_do(
    worlds: list[World],
) -> None:
    """The spread of the model's own effects lay below the interval in a third of them."""
    ours, shrunk = [], []
    for design, true, learner, model in worlds:
        found = {column.name: column.matters for column in learner.explained()}
        for block, codes, effects, own in zip(design.columns, design.codes, true, model.columns, strict=True):
            spread = Held.of(block, codes, design.rows).spread
            truth, mine = (math.sqrt(max(0.0, values @ spread @ values)) for values in (effects, own.values))
            figure = found[block.name]
            assert figure.low < figure.estimate < figure.high
            ours.append(abs(figure.estimate - truth))
            shrunk.append(abs(mine - truth))
    assert np.mean(ours) < 0.7 * np.mean(shrunk)


def test_without_a_signal_no_column_is_said_to_matter(crowd, draw) -> None:
    """Labels by coin, twelve times: few levels' intervals leave 0 out, and of no column is it said that it matters."""
    design = crowd.encoder(np.ones(3_000, dtype=bool)).encode(crowd.table)
    rows, learner = Strategy.of(design), SeedGLM()
    covered, matters = list[bool](), list[bool]()
    for number in range(12):
        labels = np.random.default_rng(number).random(3_000) < 0.2
        learner.fit_noisy(rows, draw(rows.moments(labels), 0.5, 100 + number))
        found = learner.explained()
        covered += [level.effect.low <= 0 <= level.effect.high for column in found for level in column.levels]
        matters += [column.matters.low >= 0.1 for column in found]
    assert np.mean(covered) > 0.95
    assert not any(matters)


def test_what_sums_say_of_a_column_alone_is_never_less_than_nothing(crowd, draw) -> None:
    """Labels by coin, forty times: pull' precision^-1 pull is chi-squared with as many degrees as there are directions,
    so that its share of them is 1, give or take .03; and a size that the spread is not of is caught."""
    design = crowd.encoder(np.ones(3_000, dtype=bool)).encode(crowd.table)
    rows, learner, shares, planted = Strategy.of(design), SeedGLM(), list[float](), list[float]()
    for number in range(40):
        labels = np.random.default_rng(number).random(3_000) < 0.2
        learner.fit_noisy(rows, draw(rows.moments(labels), 0.5, 100 + number))
        problem, solution = learner.solved
        spread, weights, variance = problem._anew(solution)
        for kept, size in ((shares, variance), (planted, 0.9 * variance)):
            known = problem._alone(0, spread, weights, size)
            kept.append(_chi_squared(known) if _least(known) > -1e-6 else math.inf)
    assert abs(np.mean(shares) - 1) < 0.12
    assert np.isinf(planted).all()


def _least(known: Known) -> float:
    """The smallest eigenvalue of what is known, as a share of the largest."""
    found = np.linalg.eigvalsh(known.precision)
    return float(found[0] / found[-1])


def _chi_squared(known: Known) -> float:
    """By direction of which anything is known."""
    found, axes = np.linalg.eigh(known.precision)
    told = found > 1e-6 * found[-1]
    return float(((axes.T @ known.pull)[told] ** 2 / found[told]).mean())


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("learner", [DPGAM, WideGLM])
def test_topics_that_come_together_or_not_at_all_do_not_drive_a_fit_apart(learner, most: int) -> None:
    assert _off(learner, most) < 0.09


def test_planted_curvature_that_takes_topics_for_values_that_exclude_each_other_is_caught(monkeypatch) -> None:
    monkeypatch.setattr(Margins, "together", lambda _self, _block, counts: np.diag(counts))
    assert _off(DPGAM, 3) > 0.3


def test_planted_fault_a_set_of_one_topic_at_most_taken_for_one_that_everybody_has_is_caught() -> None:
    """In `person`; steps of wide tables see by their own effect what curvature is, and get there all the same."""
    assert _off(DPGAM, 1, partition=True) > 0.09


def _off(learner: type[DPGAM | WideGLM], most: int, partition: bool = False) -> float:
    """How far scores of a fit with little noise are off, on average, where people have from none to so many topics."""
    rng = np.random.default_rng(14)
    likes = [list(rng.choice(LIKES, rng.integers(0, most + 1), replace=False)) for _ in range(8_000)]
    design = Encoder.from_declared([Topics("likes", LIKES, most)]).encode(
        pa.table({"likes": pa.array(likes, type=pa.list_(pa.string()))})
    )
    design = replace(design, columns=tuple(replace(block, partition=partition) for block in design.columns))
    odds = -1 + design.scores([np.array([1.0, -0.5, 0.0, 0.3, 0.0])])
    model = learner().fit_drawn(design, rng.random(8_000) < sigmoid(odds), noise(rng, 5.0))
    return float(np.abs(model.score(design) - odds).mean())

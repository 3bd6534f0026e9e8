"""Learning from flipped labels: columns that add up, columns that tell together, and noise that is known."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from passbox.modelling import responses as module
from passbox.modelling.contest import Learnt
from passbox.modelling.design import Design
from passbox.modelling.features import Category, Encoder, Number, Topics
from passbox.modelling.logistic import calibrate, sigmoid
from passbox.modelling.responses import ResponseProblem, Responses, additive, learn
from passbox.modelling.scorer import Scorer
from passbox.modelling.trees import Boosted, log_odds

COLUMNS = (
    Number("age", 18, 98),
    Number("visits", 0, 30),
    Category("region", ("north", "south", "east")),
    Topics("topics", ("cars", "food"), 2),
)
ORDERED = (True, True, False, False)
PEOPLE = 6_000


def people(seed: int) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """A table, and the log-odds of a match where columns add up, and where two of them tell together."""
    rng = np.random.default_rng(seed)
    age, visits = rng.uniform(18, 98, PEOPLE), rng.integers(0, 31, PEOPLE)
    region = rng.choice(["north", "south", "east"], PEOPLE)
    topics = [[topic for topic in ("cars", "food") if rng.random() < 0.3] for _ in range(PEOPLE)]
    table = pa.table({"age": age, "visits": visits.astype(float), "region": region, "topics": topics})
    adding = (age - 58) / 25 + (visits - 15) / 12 + (region == "north") - 1.5
    together = np.where((age > 58) == (visits > 15), 1.2, -1.2) - 1.0
    return table, adding, together


def encoded(table: pa.Table) -> Design:
    return Encoder.from_owner(table, COLUMNS).encode(table)


def answered(odds: np.ndarray, flip: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Who is matched, and the same flipped."""
    rng = np.random.default_rng(seed)
    matched = rng.random(len(odds)) < sigmoid(odds)
    return matched, matched ^ (rng.random(len(odds)) < flip)


def flip_at(epsilon: float) -> float:
    return 1 / (1 + math.exp(epsilon))


def auc(model: Learnt, design: Design, odds: np.ndarray) -> float:
    """How well scores tell apart who is and who is not matched, for people drawn anew with these log-odds."""
    matched = np.random.default_rng(99).random(len(odds)) < sigmoid(odds)
    return float(roc_auc_score(matched, model.score(design)))


@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_where_columns_add_up_hardly_anything_is_lost(epsilon: float) -> None:
    table, adding, _ = people(1)
    design = encoded(table)
    _, flipped = answered(adding, flip_at(epsilon), 2)
    matched = np.random.default_rng(99).random(PEOPLE) < sigmoid(adding)
    assert (
        auc(learn(design, ORDERED, flipped, flip_at(epsilon)), design, adding) > roc_auc_score(matched, adding) - 0.02
    )


def test_trees_find_what_columns_tell_together() -> None:
    table, _, together = people(3)
    design = encoded(table)
    _, flipped = answered(together, flip_at(2), 4)
    model = learn(design, ORDERED, flipped, flip_at(2))
    alone = additive(design, Responses(flipped, flip_at(2))).model_
    assert isinstance(model, Boosted)
    assert auc(alone, design, together) < 0.56
    assert auc(model, design, together) > 0.73


def test_labels_that_are_hardly_better_than_coins_teach_hardly_anything() -> None:
    table, adding, _ = people(5)
    design = encoded(table)
    _, flipped = answered(adding, 0.499, 6)
    assert np.ptp(learn(design, ORDERED, flipped, 0.499).probability(design)) < 0.1


def test_the_same_labels_give_the_same_model() -> None:
    table, _, together = people(7)
    design = encoded(table)
    _, flipped = answered(together, flip_at(2), 8)
    first, second = (learn(design, ORDERED, flipped, flip_at(2)) for _ in range(2))
    assert first.to_json() == second.to_json()


@pytest.mark.parametrize("which", ["adding", "together"])
def test_a_model_file_scores_alike_and_new_people_too(which: str) -> None:
    table, adding, together = people(9)
    encoder = Encoder.from_owner(table, COLUMNS)
    _, flipped = answered(adding if which == "adding" else together, flip_at(4), 10)
    model = learn(encoder.encode(table), ORDERED, flipped, flip_at(4))
    again = Scorer.from_json(Scorer(encoder, model).to_json())
    nobody = pa.table({"age": [None], "visits": [1e9], "region": ["west"], "topics": [[]]}, schema=table.schema)
    for rows in (table, nobody):
        assert np.array_equal(again.score(rows), model.score(encoder.encode(rows)))


def test_what_is_expected_of_everybody_is_the_share_of_matches() -> None:
    """The mean probability is the mean unbiased label, of whichever model."""
    table, _, together = people(11)
    design = encoded(table)
    matched, flipped = answered(together, flip_at(2), 12)
    model = learn(design, ORDERED, flipped, flip_at(2))
    found = float(model.probability(design).mean())
    assert found == pytest.approx(Responses(flipped, flip_at(2)).share, abs=0.01)
    assert found == pytest.approx(matched.mean(), abs=0.03)


def test_seeds_that_are_a_sample_of_their_like_have_a_ceiling() -> None:
    """One in six of those who are alike is matched: nobody's probability comes near 1."""
    table, adding, _ = people(13)
    rng = np.random.default_rng(14)
    matched = (rng.random(PEOPLE) < sigmoid(4 * adding)) & (rng.random(PEOPLE) < 1 / 6)
    model = additive(encoded(table), Responses(matched ^ (rng.random(PEOPLE) < flip_at(4)), flip_at(4))).model_
    assert model.ceiling < 1
    assert float(model.probability(encoded(table)).max()) < 0.4


# -- the additive model ------------------------------------------------------------------------------------------------


def problem(ceiling: float, seed: int = 20) -> ResponseProblem:
    table, adding, _ = people(seed)
    _, flipped = answered(adding, flip_at(1.5), seed + 1)
    return ResponseProblem.of(encoded(table), Responses(flipped, flip_at(1.5)), ceiling)


@pytest.mark.parametrize("ceiling", [1.0, 0.8])
def test_its_pull_is_the_slope_of_the_flipped_labels_likelihood(ceiling: float) -> None:
    """Beside differences of the likelihood itself, at random weights, in random directions."""
    asked = problem(ceiling)
    rng = np.random.default_rng(23)
    weights, step = rng.normal(0, 0.5, len(asked.used)), 1e-5

    def likelihood(at: np.ndarray) -> float:
        scores = asked.design.scores(asked.levels(at))
        p = ceiling * sigmoid(calibrate(scores, asked.share / ceiling) + scores)
        return asked.responses.likelihood(p)

    pull = asked.view(weights).pull
    for _ in range(5):
        way = rng.normal(0, 1, len(weights))
        slope = (likelihood(weights + step * way) - likelihood(weights - step * way)) / (2 * step)
        assert pull @ way == pytest.approx(slope, rel=1e-4)


def test_its_precision_is_what_the_slope_scatters_by() -> None:
    """Fisher's identity, over 2,000 flips of the same people's labels at the weights that they were drawn from.

    Along a direction the mean of 2,000 squares misses by 6 of its standard deviations, .19, once in 10^8.
    """
    table, *_ = people(25)
    design = encoded(table)
    rng, flip = np.random.default_rng(26), flip_at(1.5)
    asked = problem(1.0, 25)
    weights = rng.normal(0, 0.5, len(asked.used))
    scores = design.scores(asked.levels(weights))
    p = sigmoid(asked.intercept(scores) + scores)
    way = rng.normal(0, 1, len(weights))
    dense = np.vstack(list(design.blocks()))[:, asked.used] @ way
    slope = p * (1 - p)
    away = dense - dense @ slope / slope.sum()
    tells = slope / (slope + asked.variance)
    squares = []
    for _ in range(2_000):
        flipped = (rng.random(PEOPLE) < p) ^ (rng.random(PEOPLE) < flip)
        squares.append(float((tells * (Responses(flipped, flip).label - p)) @ away) ** 2)
    assert np.mean(squares) == pytest.approx(float(way @ asked.view(weights).precision @ way), rel=0.19)


def test_intervals_of_scores_hold_the_truth() -> None:
    """Over people, and 12 draws of everything: 95 % intervals of log-odds hold the true ones, give or take."""
    held = []
    for draw in range(12):
        table, adding, _ = people(100 + draw)
        design, flip = encoded(table), flip_at(2)
        _, flipped = answered(adding, flip, 200 + draw)
        learner = additive(design, Responses(flipped, flip), ceilings=())
        low, high = learner.doubt().interval(learner.model_.score(design), design)
        held.append(float(np.mean((low <= adding) & (adding <= high))))
    assert 0.9 < np.mean(held) <= 1


def test_noise_widens_its_intervals() -> None:
    table, adding, _ = people(30)
    design = encoded(table)
    wide = []
    for epsilon in (1.0, 4.0):
        _, flipped = answered(adding, flip_at(epsilon), 31)
        learner = additive(design, Responses(flipped, flip_at(epsilon)), ceilings=())
        wide.append(float(learner.doubt().deviation(design, "noise").mean()))
        assert {effect.name for effect in learner.explained()} == {column.name for column in COLUMNS}
    assert wide[0] > 2 * wide[1]


# -- what is refused, and corners ----------------------------------------------------------------------------------


def test_trees_grown_on_some_of_the_people_find_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _, together = people(40)
    design = encoded(table)
    _, flipped = answered(together, flip_at(4), 41)
    monkeypatch.setattr(module, "MOST_PEOPLE", PEOPLE // 2)
    assert auc(learn(design, ORDERED, flipped, flip_at(4)), design, together) > 0.7


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("flip", [flip_at(1), 0.3, 0.49])
@pytest.mark.parametrize("all_yes", [False, True])
def test_labels_that_are_all_alike_give_a_model(all_yes: bool, flip: float) -> None:
    table, *_ = people(42)
    design = encoded(table)
    model = learn(design, ORDERED, np.full(PEOPLE, all_yes), flip)
    assert np.isfinite(model.score(design)).all()
    assert np.ptp(model.probability(design)) < 0.01


@pytest.mark.filterwarnings("error")
def test_log_odds_keep_the_order_of_sums_that_are_no_probabilities() -> None:
    """Far beyond 0 and 1 too, where what they are bent to is too small for a float."""
    sums = np.array([-12.0, -1.0, -0.9, 0.0, 5e-4, 0.3, 0.5, 0.7, 0.9995, 1.0, 1.9, 2.0, 13.0])
    odds = log_odds(sums)
    assert np.isfinite(odds).all()
    assert (np.diff(odds) > 0).all()
    assert np.allclose(odds[5:8], np.log(sums[5:8] / (1 - sums[5:8])), atol=1e-12)


@pytest.mark.parametrize("rows", [1, 3, 101])
@pytest.mark.parametrize("matched", [0.0, 0.02, 0.5, 1.0])
def test_a_few_people_give_a_model(rows: int, matched: float) -> None:
    """Also where the share of matches is found to be quite another in each part of them."""
    table, *_ = people(45)
    design = encoded(table.slice(0, rows))
    for draw in range(3):
        rng = np.random.default_rng(draw)
        model = learn(design, ORDERED, (rng.random(rows) < matched) ^ (rng.random(rows) < 0.4), 0.4)
        p = model.probability(design)
        assert ((p > 0) & (p < 1)).all()


def test_people_who_are_all_alike_are_scored_alike() -> None:
    table = pa.table({"age": [30.0] * 50, "region": ["north"] * 50})
    columns = (Number("age", 18, 98), Category("region", ("north", "south")))
    design = Encoder.from_owner(table, columns).encode(table)
    model = learn(design, (True, False), np.arange(50) % 3 == 0, flip_at(1))
    assert np.ptp(model.score(design)) == 0


@pytest.mark.parametrize(
    ("flipped", "flip", "error"),
    [
        (np.zeros(PEOPLE, dtype=np.int64), 0.2, TypeError),
        (np.zeros((PEOPLE, 1), dtype=np.bool_), 0.2, TypeError),
        (np.zeros(PEOPLE - 1, dtype=np.bool_), 0.2, ValueError),
        (np.zeros(PEOPLE, dtype=np.bool_), 0.5, ValueError),
        (np.zeros(PEOPLE, dtype=np.bool_), 0.0, ValueError),
        (np.zeros(PEOPLE, dtype=np.bool_), float("nan"), ValueError),
    ],
)
def test_labels_of_others_and_flips_that_say_nothing_are_refused(
    flipped: np.ndarray, flip: float, error: type[Exception]
) -> None:
    table, *_ = people(43)
    with pytest.raises(error):
        learn(encoded(table), ORDERED, flipped, flip)


def test_nobody_teaches_nothing() -> None:
    table, *_ = people(44)
    nobody = encoded(table).take(np.zeros(PEOPLE, dtype=np.bool_))
    with pytest.raises(ValueError, match="some people"):
        learn(nobody, ORDERED, np.zeros(0, dtype=np.bool_), 0.2)

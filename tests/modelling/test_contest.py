"""Learners on the same noisy numbers: trees find what columns say together, and are not believed where they do not."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from passbox.dp.aggregate import histogram
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling import boosting
from passbox.modelling.bayes import naive_bayes
from passbox.modelling.boosting import Counts, boost
from passbox.modelling.contest import LEARNERS, contest
from passbox.modelling.design import Design, DesignMismatch
from passbox.modelling.features import Category, Encoder, Number, Topics
from passbox.modelling.groups import MOST_GROUPS, group, how_many
from passbox.modelling.logistic import sigmoid
from passbox.modelling.lookalike import fit
from passbox.modelling.strategy import Strategy
from passbox.modelling.trees import Boosted, log_odds

COLUMNS = (
    Number("age", 18, 98),
    Number("visits", 0, 30),
    Category("region", ("north", "south", "east")),
    Topics("topics", ("cars", "food"), 2),
)
ORDERED = (True, True, False, False)
NOISE = 2.0
PEOPLE = 8_000


def people(seed: int) -> tuple[Design, np.ndarray, np.ndarray, np.ndarray]:
    """A design, and of each person age, visits and region."""
    rng = np.random.default_rng(seed)
    age, visits = rng.uniform(18, 98, PEOPLE), rng.integers(0, 31, PEOPLE)
    region = rng.choice(["north", "south", "east"], PEOPLE)
    topics = [[topic for topic in ("cars", "food") if rng.random() < 0.3] for _ in range(PEOPLE)]
    table = pa.table({"age": age, "visits": visits.astype(float), "region": region, "topics": topics})
    return Encoder.from_owner(table, COLUMNS).encode(table), age, visits, region


def together(seed: int) -> tuple[Design, np.ndarray]:
    """Who is matched depends on age and visits together, hardly on either alone."""
    design, age, visits, _ = people(seed)
    apart = np.where((age > 58) == (visits > 15), 1.2, -1.2) + 0.2 * (age > 58)
    return design, np.random.default_rng(seed + 1).random(PEOPLE) < sigmoid(apart - 1.0)


def one_by_one(seed: int) -> tuple[Design, np.ndarray]:
    """Columns add up."""
    design, age, visits, region = people(seed)
    apart = (age - 58) / 25 + (visits - 15) / 12 + (region == "north")
    return design, np.random.default_rng(seed + 1).random(PEOPLE) < sigmoid(apart - 1.5)


def contested(design, sums, counts, learners):
    people = Strategy.of(design)
    return contest(people, fit(people, sums), sums, ORDERED, counts, learners)


def noisy_moments(design: Design, matched: np.ndarray, sigma: float, seed: int) -> Noisy:
    exact = Strategy.of(design).moments(matched)
    scale = sigma * 2**exact.bits
    drawn = np.random.default_rng(seed).normal(0, scale, len(exact.values))
    return Noisy(exact.values + np.rint(drawn).astype(np.int64), scale, exact.bits, Receipt("", 0, b"", ""))


def counts_of(design: Design, matched: np.ndarray, sums: Noisy, seed: int) -> Counts:
    dealt = group(design, fit(design, sums), ORDERED, how_many(design.rows, NOISE**2))
    seeds = np.bincount(dealt, matched) + np.random.default_rng(seed).normal(0, NOISE, dealt.max() + 1)
    return Counts(dealt, seeds, NOISE**2)


def test_trees_find_what_columns_say_together_and_win() -> None:
    design, matched = together(1)
    sums = noisy_moments(design, matched, NOISE, 2)
    standings = contested(design, sums, counts_of(design, matched, sums, 3), LEARNERS)
    auc = {each.learner: roc_auc_score(matched, each.model.score(design)) for each in standings}
    assert [each.won for each in standings] == [False, False, True]
    assert auc["boosting"] > auc["glm"] + 0.1
    assert auc["boosting"] > 0.7


def test_trees_grown_on_some_of_the_people_are_nearly_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    design, matched = together(1)
    sums = noisy_moments(design, matched, NOISE, 2)
    counts, base = counts_of(design, matched, sums, 3), fit(design, sums)
    whole = boost(design, base, ORDERED, counts)
    monkeypatch.setattr(boosting, "MOST_PEOPLE", PEOPLE // 4)
    some = boost(design, base, ORDERED, counts)
    auc = [roc_auc_score(matched, each.model.score(design)) for each in (whole, some)]
    assert auc[1] > auc[0] - 0.02
    assert np.corrcoef(whole.expected, some.expected)[0, 1] > 0.9


def test_a_level_that_nobody_had_is_scored_and_in_nobodys_way() -> None:
    """Values only, each of them there, and nothing missing: whoever comes later may have a value nobody declared."""
    rng, declared = np.random.default_rng(15), (Category("a", tuple("0123")), Category("b", tuple("0123")))
    a, b = rng.integers(0, 4, PEOPLE), rng.integers(0, 4, PEOPLE)
    table = pa.table({"a": [str(x) for x in a], "b": [str(x) for x in b]})
    encoder = Encoder.from_owner(table, declared)
    design = encoder.encode(table)
    matched = rng.random(PEOPLE) < np.where((a > 1) == (b > 1), 0.6, 0.2)
    base = fit(design, noisy_moments(design, matched, 0.01, 16))
    grown = boost(design, base, (False, False), Counts(np.arange(PEOPLE), matched.astype(float), 0.01))
    assert grown.model.trees
    assert np.isfinite(grown.model.score(encoder.encode(pa.table({"a": ["9"], "b": ["1"]})))).all()


def test_trees_are_not_believed_where_columns_add_up() -> None:
    design, matched = one_by_one(5)
    sums = noisy_moments(design, matched, NOISE, 6)
    standings = contested(design, sums, counts_of(design, matched, sums, 7), LEARNERS)
    glm, boosting = standings[0], standings[2]
    assert glm.gain.low > 0
    assert roc_auc_score(matched, boosting.model.score(design)) > roc_auc_score(matched, glm.model.score(design)) - 0.01


def test_boosting_is_as_good_as_what_it_starts_from_to_the_last_bit_only_without_a_tree() -> None:
    """A report that says that there is no tree goes by this: in six worlds, some with trees and some without."""
    grew = []
    for seed in range(1, 7):
        design, matched = one_by_one(seed)
        sums = noisy_moments(design, matched, NOISE, seed + 2)
        glm, boosting = contested(design, sums, counts_of(design, matched, sums, seed + 3), ("glm", "boosting"))
        assert isinstance(boosting.model, Boosted)
        grew.append(len(boosting.model.trees) > 0)
        assert (boosting.gain == glm.gain) is not grew[-1]
    assert {True, False} == set(grew)


def test_a_lead_of_a_learner_over_itself_is_nothing() -> None:
    """Exactly one wins, also where all say the same: the one named first."""
    design, matched = one_by_one(5)
    sums = noisy_moments(design, matched, 1e4, 6)  # nothing is learnt
    blind = Counts(np.arange(PEOPLE) % 16, np.random.default_rng(8).normal(0, 1e4, 16), 1e8)
    standings = contested(design, sums, blind, LEARNERS)
    assert sum(each.won for each in standings) == 1
    assert standings[0].lead is None


def test_gain_is_the_log_likelihood_of_the_counts() -> None:
    """Against normal densities written out: the estimate of two learners, group by group."""
    from scipy.stats import norm

    design, matched = one_by_one(9)
    sums = noisy_moments(design, matched, NOISE, 10)
    counts = counts_of(design, matched, sums, 11)
    (alone,) = contested(design, sums, counts, ("glm",))
    p = alone.model.probability(design)
    spread = np.sqrt(counts.people * p.mean() * (1 - p.mean()) + NOISE**2)
    expected = np.bincount(counts.group, p)
    gain = norm.logpdf(counts.seeds, expected, spread) - norm.logpdf(counts.seeds, counts.people * p.mean(), spread)
    assert alone.gain.estimate == pytest.approx(gain.sum())


# -- groups -----------------------------------------------------------------------------------------------------------


def test_every_person_is_in_one_group_and_one_seed_moves_one_count_by_one() -> None:
    design, matched = together(12)
    model = fit(design, noisy_moments(design, matched, NOISE, 13))
    dealt = group(design, model, ORDERED, 200)
    assert dealt.shape == (PEOPLE,)
    assert set(dealt.tolist()) == set(range(200))
    gone = matched.copy()
    gone[np.flatnonzero(matched)[5]] = False
    before, after = (histogram(dealt, each, MOST_GROUPS) for each in (matched, gone))
    assert sorted(np.abs(before.values - after.values).tolist())[-2:] == [0, 1 << before.bits]
    assert before.l2_squared == (1 << before.bits) ** 2


def test_people_who_are_all_alike_are_one_group() -> None:
    table = pa.table({"age": [30.0] * 50})
    design = Encoder.from_owner(table, (Number("age", 18, 98),)).encode(table)
    model = fit(design, noisy_moments(design, np.arange(50) < 20, NOISE, 1))
    assert set(group(design, model, (True,), 16).tolist()) == {0}


@pytest.mark.parametrize(
    ("rows", "variance", "many"),
    [(10**6, 1.0, MOST_GROUPS), (6_400, 1.0, 400), (6_400, 25.0, 64), (200, 400.0, 16)],
)
def test_how_many_groups_follows_from_sizes_and_noise(rows: int, variance: float, many: int) -> None:
    assert how_many(rows, variance) == many


# -- trees ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def boosted() -> tuple[Design, Boosted]:
    design, matched = together(20)
    sums = noisy_moments(design, matched, NOISE, 21)
    return design, boost(design, fit(design, sums), ORDERED, counts_of(design, matched, sums, 22)).model


def test_what_is_read_back_scores_alike(boosted: tuple[Design, Boosted]) -> None:
    design, model = boosted
    assert model.trees
    again = Boosted.from_json(model.to_json())
    assert np.array_equal(again.score(design), model.score(design))
    assert again.to_json() == model.to_json()


@pytest.mark.parametrize("fault", ["version", "child above", "child beyond", "value", "level beyond", "short"])
def test_a_damaged_file_is_refused(boosted: tuple[Design, Boosted], fault: str) -> None:
    body = json.loads(boosted[1].to_json())
    tree = body["trees"][0]
    inner = next(at for at, view in enumerate(tree["view"]) if view >= 0)
    if fault == "version":
        body["version"] = 2
    elif fault == "child above":
        tree["child"][inner] = inner
    elif fault == "child beyond":
        tree["child"][inner] = len(tree["view"]) - 1
    elif fault == "value":
        tree["value"][-1] = "much"
    elif fault == "level beyond":
        tree["left"][inner] = [body["levels"]]
    else:
        tree["value"].pop()
    with pytest.raises((ValueError, IndexError)):
        Boosted.from_json(json.dumps(body))


def test_people_of_another_encoder_are_refused(boosted: tuple[Design, Boosted]) -> None:
    other, _ = together(23)
    with pytest.raises(DesignMismatch):
        boosted[1].score(other)


def test_log_odds_of_sums_beyond_0_and_1_keep_their_order() -> None:
    sums = np.linspace(-0.3, 1.3, 4_001)
    z = log_odds(sums)
    assert np.isfinite(z).all()
    assert (np.diff(z) > 0).all()
    inside = (sums > 0.01) & (sums < 0.99)
    assert sigmoid(z[inside]) == pytest.approx(sums[inside])


# -- naive Bayes ----------------------------------------------------------------------------------------------------


def test_with_hardly_any_noise_factors_are_those_of_the_counts() -> None:
    design, matched = one_by_one(30)
    model = naive_bayes(Strategy.of(design), noisy_moments(design, matched, 1e-3, 31))
    region = design.codes[2].level
    for level, effect in enumerate(model.columns[2].values[:3]):
        here = region == level
        factor = matched[here].sum() / matched.sum() / here.mean()
        assert effect == pytest.approx(np.log(factor), abs=0.02)
    assert model.probability(design).mean() == pytest.approx(matched.mean(), abs=1e-3)
    assert roc_auc_score(matched, model.score(design)) > 0.75


def test_where_noise_drowns_all_counts_everybody_is_alike() -> None:
    design, matched = one_by_one(30)
    model = naive_bayes(Strategy.of(design), noisy_moments(design, matched, 1e5, 32))
    assert np.ptp(model.score(design)) < 0.05


def test_naive_bayes_takes_moments_of_its_own_design_only() -> None:
    design, matched = one_by_one(30)
    other = design.take(np.zeros(PEOPLE, dtype=np.bool_))
    with pytest.raises(ValueError, match="nobody"):
        naive_bayes(Strategy.of(other), noisy_moments(design, matched, 1.0, 33))
    short = noisy_moments(design, matched, 1.0, 33)
    with pytest.raises(DesignMismatch):
        naive_bayes(Strategy.of(design), Noisy(short.values[:-1], short.scale, short.bits, short.receipt))

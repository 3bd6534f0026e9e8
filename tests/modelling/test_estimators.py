"""scikit-learn's own contract, for both threat models, with noise at epsilon 40 so that its data sets can be learnt."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from passbox.dp.aggregate import Statistic
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling.estimators import LookalikeClassifier
from passbox.modelling.features import Category, Number, Topics
from passbox.modelling.outlook import Outlook
from passbox.modelling.strategy import MOST_CELLS, Strategy
from passbox.modelling.wide import WideGLM


class SeededDraw:
    """The same noise for the same shape: several checks fit twice and want the same answer."""

    def __repr__(self) -> str:
        return "SeededDraw()"

    def __call__(self, statistic: Statistic) -> Noisy:
        scale = math.sqrt(statistic.l2_squared) / 8
        noise = np.rint(np.random.default_rng(0).normal(0, scale, len(statistic.values))).astype(np.int64)
        return Noisy(statistic.values + noise, scale, statistic.bits, Receipt("k", 3, b"", "c"))


@parametrize_with_checks([LookalikeClassifier(SeededDraw(), unit=unit) for unit in ("membership", "person")])
def test_scikit_learns_contract_is_kept(estimator, check) -> None:
    check(estimator)


def test_a_table_with_declared_columns_is_learnt_and_the_receipt_kept(crowd) -> None:
    for unit in ("membership", "person"):
        learner = LookalikeClassifier(SeededDraw(), crowd.declared, unit=unit).fit(crowd.table, crowd.label)
        p = learner.predict_proba(crowd.table)
        assert p.shape == (3000, 2)
        assert np.allclose(p.sum(axis=1), 1)
        assert learner.receipt_.sequence == 3
        assert p[crowd.label, 1].mean() > p[~crowd.label, 1].mean() + 0.1


def test_nothing_is_fitted_without_a_draw(crowd) -> None:
    with pytest.raises(ValueError, match="draw"):
        LookalikeClassifier(columns=crowd.declared).fit(crowd.table, crowd.label)


class Asked(SeededDraw):
    """Remembers what it was asked."""

    def __call__(self, statistic: Statistic) -> Noisy:
        self.values = statistic.values
        return super().__call__(statistic)


def test_people_are_measured_for_the_outlook_that_is_declared(crowd) -> None:
    """The sums that are paid for are those of a strategy for that outlook, and other than for the usual one."""
    outlook, asked, usual = Outlook(20, 30.0), Asked(), Asked()
    learner = LookalikeClassifier(asked, crowd.declared, unit="membership", outlook=outlook)
    design = learner.fit(crowd.table, crowd.label).encoder_.encode(crowd.table)
    assert (asked.values == Strategy.of(design, outlook=outlook).moments(crowd.label).values).all()
    LookalikeClassifier(usual, crowd.declared, unit="membership").fit(crowd.table, crowd.label)
    assert asked.values.shape != usual.values.shape or (asked.values != usual.values).any()


def test_an_outlook_of_a_person_is_refused(crowd) -> None:
    with pytest.raises(ValueError, match="outlook"):
        LookalikeClassifier(SeededDraw(), crowd.declared, outlook=Outlook(20)).fit(crowd.table, crowd.label)


def test_a_table_of_more_cells_than_are_solved_at_once_is_learnt_by_steps() -> None:
    """The same model as the learner of wide tables makes of the same sums."""
    rng = np.random.default_rng(6)
    people, columns = 400, 10
    declared = [Category(f"c{at}", tuple(map(str, range(300)))) for at in range(columns)]
    table = pa.table({kind.name: rng.integers(0, 300, people).astype(str) for kind in declared})
    listed = rng.random(people) < 0.3
    learner = LookalikeClassifier(SeededDraw(), declared, unit="membership").fit(table, listed)
    design = learner.encoder_.encode(table)
    assert design.cells > MOST_CELLS
    assert (WideGLM().fit_drawn(design, listed, SeededDraw()).score(design) == learner.decision_function(table)).all()


@pytest.mark.parametrize("unit", ["Person", "PERSON", "person ", "nonsense", "", None])
def test_a_mistyped_threat_model_is_refused_and_never_the_weaker_one(crowd, unit) -> None:
    """Before anything else: nothing is drawn, no row is looked at, a missing draw is not what is said."""
    with pytest.raises(ValueError, match="unit"):
        LookalikeClassifier(columns=crowd.declared, unit=unit).fit(crowd.table, crowd.label)


def labels_of(listed, kind):
    """The same people on the list, spelled three ways; classes are declared where y is no boolean."""
    if kind == "booleans":
        return listed, None
    words = np.where(listed, "yes", "no") if kind == "words" else np.where(listed, "a buyer", "z")
    return words, ("no", "yes") if kind == "words" else ("z", "a buyer")


@pytest.mark.parametrize("kind", ["booleans", "words", "words that sort otherwise"])
@pytest.mark.parametrize("unit", ["membership", "person"])
def test_none_one_and_all_on_the_list_are_fitted_alike_for_one_draw(crowd, unit, kind) -> None:
    people = crowd.table.num_rows
    for listed in (np.zeros(people, dtype=bool), np.arange(people) == 3, np.ones(people, dtype=bool)):
        y, classes = labels_of(listed, kind)
        drawn: list[Statistic] = []

        def draw(statistic: Statistic, drawn: list[Statistic] = drawn) -> Noisy:
            drawn.append(statistic)
            return SeededDraw()(statistic)

        learner = LookalikeClassifier(draw, crowd.declared, unit=unit, classes=classes).fit(crowd.table, y)
        assert len(drawn) == 1
        assert list(learner.classes_) == list(classes or (False, True))
        p = learner.predict_proba(crowd.table)
        assert p.shape == (people, 2)
        assert np.isfinite(p).all()


def test_a_declared_class_is_the_second_one_whatever_sorts_first(crowd) -> None:
    y, classes = labels_of(crowd.label, "words that sort otherwise")
    spelled = LookalikeClassifier(SeededDraw(), crowd.declared, unit="membership", classes=classes).fit(crowd.table, y)
    plain = LookalikeClassifier(SeededDraw(), crowd.declared, unit="membership").fit(crowd.table, crowd.label)
    assert (spelled.predict_proba(crowd.table) == plain.predict_proba(crowd.table)).all()


def test_labels_that_were_not_declared_are_refused_without_a_number_or_a_draw(crowd) -> None:
    def never(_statistic: Statistic) -> Noisy:
        raise AssertionError("nothing may be drawn")

    people = crowd.table.num_rows
    many, one = np.arange(people).astype(str), np.full(people, "no")
    for y, classes in ((many, None), (one, None), (many, ("no", "yes")), (one, ("yes", "yes")), (one, ("no",))):
        with pytest.raises(ValueError, match="class") as refused:
            LookalikeClassifier(never, crowd.declared, classes=classes).fit(crowd.table, y)
        assert not any(character.isdigit() for character in str(refused.value))


@pytest.mark.parametrize("unit", ["membership", "person"])
def test_what_was_not_declared_is_counted_by_column_and_fitted_as_if_it_had_been_clipped(unit) -> None:
    """300 people who keep to what is declared, and 9 who do not; a missing value is not odd."""
    rng, people = np.random.default_rng(2), 309
    age, region = rng.uniform(18, 90, people), rng.choice(["north", "south"], people)
    topics = [list(rng.choice(["cars", "food", "sport"], 2, replace=False)) for _ in range(people)]
    age[:4] = [200, -np.inf, 1e300, np.nan]
    region[4:6] = ["west", "east"]
    topics[6:9] = [["ships"], ["cars", "food", "sport"], ["cars", "cars", "food"]]
    declared = [Number("age", 18, 90), Category("region", ("north", "south")), Topics("topics", TOPICS, 2)]
    table = pa.table({"age": age, "region": region, "topics": pa.array(topics)})
    y = rng.random(people) < 0.5
    learner = LookalikeClassifier(SeededDraw(), declared, unit=unit).fit(table, y)
    assert learner.odd_ == {"age": 3, "region": 2, "topics": 2}
    clipped = table.set_column(0, "age", pa.array(np.clip(age, 18, 90)))
    again = LookalikeClassifier(SeededDraw(), declared, unit=unit).fit(clipped, y)
    assert again.odd_ == {"region": 2, "topics": 2}
    assert again.model_.to_json() == learner.model_.to_json()
    assert LookalikeClassifier(SeededDraw(), bounds=(0, 1), unit=unit).fit([[0.5], [7.0], [1.0]] * 9, y[:27]).odd_ == {
        "x0": 9
    }


TOPICS = ("cars", "food", "sport")

"""scikit-learn's own contract, for both threat models, with noise at epsilon 40 so that its data sets can be learnt."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from passbox.dp.aggregate import Statistic
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling.estimators import LookalikeClassifier


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


@pytest.mark.parametrize("unit", ["Person", "PERSON", "person ", "nonsense", "", None])
def test_a_mistyped_threat_model_is_refused_and_never_the_weaker_one(crowd, unit) -> None:
    """Before anything else: nothing is drawn, no row is looked at, a missing draw is not what is said."""
    with pytest.raises(ValueError, match="unit"):
        LookalikeClassifier(columns=crowd.declared, unit=unit).fit(crowd.table, crowd.label)

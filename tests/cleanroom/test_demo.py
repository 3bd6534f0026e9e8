"""A demo's two jobs together keep to the one ε it was given."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from passbox.cleanroom.demo import auc, share
from passbox.dp.accounting import epsilon_of, rho_within
from passbox.dp.budget import Budget, Delta, Epsilon, Rho


@dataclass
class Rules:
    """As much of a contract as is looked at: δ of two data sets."""

    people: float
    seed: float

    @property
    def dataset(self) -> dict[str, Any]:
        return {
            name: SimpleNamespace(budget=SimpleNamespace(delta=delta))
            for name, delta in (("people", self.people), ("seed", self.seed))
        }


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.25, 1, 3, 7.7, 20])
@pytest.mark.parametrize("deltas", [(1e-6, 1e-6), (1e-8, 1e-6), (1e-5, 1e-7)])
def test_two_jobs_spend_one_epsilon_and_hardly_less(epsilon: float, deltas: tuple[float, float]) -> None:
    contract = cast(Any, Rules(*deltas))
    first, second = share(contract, "people", "seed", epsilon)
    smaller, delta = Delta(min(deltas)), Delta(deltas[1])
    costs = rho_within(Budget(first, smaller)), rho_within(Budget(second, delta))
    assert 0 < first < second < epsilon
    spent = epsilon_of(Rho(sum(costs)), delta)
    assert spent <= Epsilon(epsilon)
    assert spent > 0.99 * epsilon - 0.0002


@pytest.mark.parametrize("levels", [3, 10_000])
def test_the_true_auc_is_what_others_call_so_where_scores_are_equal_too(levels: int) -> None:
    chosen = np.random.default_rng(1)
    buyers = chosen.random(2_000) < 0.1
    scores = (chosen.integers(levels, size=2_000) + buyers * levels / 3).round()
    assert auc(buyers, scores) == pytest.approx(roc_auc_score(buyers, scores), abs=1e-12)

"""A demo's two jobs together keep to the one ε it was given."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from passbox.cleanroom.demo import share
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

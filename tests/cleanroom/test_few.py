"""Too few seeds: said by the plan, from public sizes, before anything is spent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from passbox.cleanroom import job
from passbox.cleanroom.few import SHAKY, too_few
from passbox.dp.accounting import rho_within
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon
from passbox.modelling.reliable import FAR, as_sums, fewest_seeds, spread

if TYPE_CHECKING:
    from conftest import World


@pytest.mark.parametrize(("epsilon", "about"), [(1.0, 100), (0.5, 200), (0.1, 1_000)])
def test_as_many_seeds_are_needed_as_was_measured_on_real_people(epsilon: float, about: int) -> None:
    """Adult has 14 columns; at so many seeds its lookalikes are of little use."""
    mu = math.sqrt(2 * rho_within(Budget(Epsilon(epsilon), Delta(1e-6))) / RHO_UNIT)
    assert 0.85 * about < fewest_seeds(math.sqrt(1.09) / mu, 14) < 1.3 * about


def test_the_fewest_are_where_noise_doubles_odds() -> None:
    least = fewest_seeds(4.4, 14)
    assert spread(4.4, 14, least) <= FAR < spread(4.4, 14, least - 1)


def test_the_plan_warns_of_few_seeds_and_spends_nothing(world: World) -> None:
    before = world.spent()
    small = job.plan(world.room(), world.request("lookalike", epsilon=0.02))
    large = job.plan(world.room(), world.request("lookalike", epsilon=2.0))
    assert world.spent() == before
    assert [text for text in small.warnings if "noise outweighs" in text]
    assert not [text for text in large.warnings if "seeds" in text]


@pytest.mark.parametrize(("seeds", "word"), [(0.9, "outweighs"), (1.1, "loose"), (SHAKY + 0.1, "")])
def test_words_follow_from_public_sizes_alone(world: World, seeds: float, word: str) -> None:
    planned = job.plan(world.room(), world.request("lookalike", epsilon=1.0))
    spec = planned.allowed.purchases[0].specification
    asked: Any = planned.allowed.request.job
    least = fewest_seeds(spec.scale / 2**40, len(asked.columns_of(world.agreement.contract)))
    said = too_few(world.agreement.contract, planned.allowed, {"buyers": math.ceil(least * seeds)})
    assert bool(said) is bool(word)
    assert all(word in sentence for sentence in said)


def test_other_jobs_say_nothing(world: World) -> None:
    planned = job.plan(world.room(), world.request("overlap"))
    assert too_few(world.agreement.contract, planned.allowed, {}) == ()


def test_labels_need_as_many_seeds_as_noise_of_theirs_asks() -> None:
    """Flips move a direction of a row by (v n / J)^.5: four times the people ask for twice the seeds."""
    assert as_sums(0.5 - 1e-9, 1_000, 10) > 10**6 * as_sums(0.25, 1_000, 10)
    few, many = (fewest_seeds(as_sums(0.27, people, 14), 14) for people in (10_000, 40_000))
    assert many == pytest.approx(2 * few, rel=0.02)

"""Too few seeds: said by the plan, from public sizes, before anything is spent."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from passbox.cleanroom import job
from passbox.cleanroom.few import SHAKY, too_few, too_many
from passbox.cli.reports.kinds import report
from passbox.cli.reports.lookalike import chance, parts
from passbox.cli.show import Table
from passbox.dp.accounting import rho_within
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon
from passbox.modelling.reliable import FAR, as_sums, fewest_seeds, spread

if TYPE_CHECKING:
    from .world import World


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


def test_a_run_is_told_what_deserves_a_second_look_before_it_pays(world: World) -> None:
    """And once it is paid, not again."""
    told: list[tuple[bool, int]] = []

    def paying(planned: job.Plan) -> None:
        told.append((any("noise outweighs" in text for text in planned.warnings), world.spent()))

    before, request = world.spent(), world.request("lookalike", epsilon=0.02)
    job.run(world.room(), request, paying)
    assert told == [(True, before)]
    assert world.spent() != before
    ran = job.run(world.room(), request, paying)
    ran.release.path.unlink()  # paid for, and to be made once more
    job.run(world.room(), request, paying)
    assert len(told) == 1


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


def test_one_row_is_called_one_row(world: World) -> None:
    planned = job.plan(world.room(), world.request("lookalike", epsilon=1.0))
    (said,) = too_few(world.agreement.contract, planned.allowed, {"buyers": 1})
    assert said.startswith("buyers has 1 row; with 4 columns at ε 1 noise outweighs")


@pytest.mark.parametrize("kind", ["lookalike", "model"])
def test_the_release_of_too_few_seeds_says_so_to_its_reader(world: World, kind: str) -> None:
    text = world.contract.read_text()
    rule = '{ job = "model", ask = ["publisher"], recipients = ["publisher"] },'
    world = refilled(world, text[: text.rindex("]")] + "  " + rule + text[text.rindex("]") :])
    ran = world.run(kind, epsilon=0.02)
    document: Any = world.open(ran.release, ids=False).document
    assert document["warnings"] == list(ran.plan.warnings)
    assert any("noise outweighs" in each for each in document["warnings"])
    said = [part for part in report(document) if isinstance(part, str) and "from chance" in part]
    what = "audience" if kind == "lookalike" else "model"
    hidden = (document["auc"]["low"], document["auc"]["high"]) == (0.0, 1.0)  # but once in 30 releases
    why = "the auc is not known" if hidden else "the auc's interval holds 0.5"
    assert said == [f"{why}: the release cannot tell this {what} from chance"]


def refilled(world: World, text: str) -> World:
    """The same people under another contract, matched."""
    tables = {name: world.table(name) for name in ("visitors", "buyers")}
    world = world.under(text)
    for name, table in tables.items():
        world.submit(name, table)
    job.match(world.room())
    return world


@pytest.mark.parametrize(("low", "high", "told"), [(0.0, 1.0, True), (0.5, 0.9, True), (0.501, 0.9, False)])
@pytest.mark.parametrize("kind", ["lookalike", "model"])
def test_an_interval_that_holds_a_half_is_told_in_words(kind: str, low: float, high: float, told: bool) -> None:
    document = {"auc": {"estimate": 0.7, "low": low, "high": high}}
    assert bool(chance(document, kind)) is told


@pytest.mark.parametrize(
    ("seeds", "people", "words"),
    [(2_699, 3_000, []), (2_700, 3_000, ["nobody left"]), (9_000, 3_000, ["nobody left"]), (1, 3, ["columns"])],
)
def test_all_seeds_and_more_columns_than_people_are_told_from_public_sizes(
    world: World, seeds: int, people: int, words: list[str]
) -> None:
    """The job has four columns."""
    planned = job.plan(world.room(), world.request("lookalike"))
    said = too_many(world.agreement.contract, planned.allowed, {"buyers": seeds, "visitors": people})
    assert len(said) == len(words)
    assert all(word in sentence for word, sentence in zip(words, said, strict=True))


def test_a_plan_of_as_many_seeds_as_people_says_so(world: World) -> None:
    """Everybody matches, and nothing but the two public sizes is looked at."""
    world.submit("buyers", world.table("visitors").select(["k", "k2"]), made=world.now + timedelta(hours=1))
    later = world.at(world.now + timedelta(hours=2))
    assert [each for each in job.plan(later.room(), later.request("lookalike")).warnings if "nobody left" in each]


def test_labels_need_as_many_seeds_as_noise_of_theirs_asks() -> None:
    """Flips move a direction of a row by (v n / J)^.5: four times the people ask for twice the seeds."""
    assert as_sums(0.5 - 1e-9, 1_000, 10) > 10**6 * as_sums(0.25, 1_000, 10)
    few, many = (fewest_seeds(as_sums(0.27, people, 14), 14) for people in (10_000, 40_000))
    assert many == pytest.approx(2 * few, rel=0.02)


def test_where_few_are_held_out_the_cuts_that_there_are_are_shown(world: World) -> None:
    """Bins of some people each: none may lie at the shares that the table has otherwise."""
    document: Any = world.open(world.run("lookalike", epsilon=1.0).release, ids=False).document
    cuts = [{**document["cuts"][-1], "share": share} for share in (0.13, 0.27)]
    _, table = [part for part in parts({**document, "cuts": cuts}) if isinstance(part, Table)][:2]
    assert [row[0] for row in table.rows] == ["13.0%", "27.0%"]

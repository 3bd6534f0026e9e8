"""Columns that a job considers: in the same draw, ranked, and in nothing that is made of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.measure import crowds, fitted
from passbox.cleanroom.room import Room
from passbox.cli.reports.kinds import report
from passbox.cli.show import Table
from passbox.dp.entry import Specification
from passbox.dp.scale import SCALE_UNIT
from passbox.modelling.design import MOMENTS_L2_SQUARED, largest_norm_squared
from passbox.modelling.outlook import Outlook
from passbox.modelling.scorer import Scorer
from passbox.modelling.strategy import Strategy
from passbox.policies.check import Refused
from passbox.policies.contract import CategoryColumn, Column, NumberColumn
from passbox.policies.document import InvalidContract
from passbox.policies.jobs.considered import refuse_considered

if TYPE_CHECKING:
    from .world import World

USED = ["age", "device"]
CONSIDER = ["topics", "region", "age x device"]


def test_what_is_considered_costs_nothing_more_and_is_named_in_the_ledger(world: World) -> None:
    plain = world.run("lookalike", columns=USED)
    ran = world.run("lookalike", columns=USED, consider=CONSIDER)
    first, *_, last = ran.plan.allowed.purchases
    assert first.specification.columns == (
        "visitors.age",
        "visitors.device",
        "visitors.region considered",
        "visitors.topics considered",
        "visitors.age x device considered",
    )
    assert last.specification.columns == ("visitors.age", "visitors.device")
    assert [cost.rho for cost in ran.plan.costs] == [cost.rho for cost in plain.plan.costs]
    assert first.specification.l2_squared == MOMENTS_L2_SQUARED
    world.verify()


def test_the_same_considered_in_another_order_is_the_same_draw(world: World) -> None:
    first = world.run("lookalike", columns=USED, consider=CONSIDER)
    again = world.run("lookalike", consider=["device x age", "region", "topics"])
    assert (again.charged, again.release.id) == (False, first.release.id)


def test_the_release_ranks_them_and_its_model_and_audience_know_none(world: World) -> None:
    opened = world.open(world.run("lookalike", columns=USED, consider=CONSIDER, epsilon=2.0).release)
    found: Any = opened.document["considered"]
    assert {each["column"] for each in found if each["used"]} == set(USED)
    assert {each["column"] for each in found if not each["used"]} == set(CONSIDER)
    assert all(each["adds"]["low"] <= each["adds"]["estimate"] <= each["adds"]["high"] for each in found)
    assert all(each["adds"]["low"] == 0 for each in found if not each["told"])
    assert {effect["column"] for effect in opened.document["effects"]} == set(USED)
    text = opened.files["model.json"].decode()
    assert [column.kind.name for column in Scorer.from_json(text).encoder.columns] == USED
    assert "region" not in text
    assert "topics" not in text
    tables = [part for part in report(opened.document) if isinstance(part, Table) and "adds" in part.header]
    assert [row[1] for row in tables[0].rows].count("considered") == len(CONSIDER)


def test_a_column_and_a_pair_that_seeds_follow_are_found_and_others_are_not(world: World) -> None:
    """Seeds follow region, and age and device only together. Of 30 draws of the noise the chance of either, if it added
    nothing, was 10^-30 or less: it is missed less than once in 10^9 runs. Topics tell nothing."""
    people = world.table("visitors")
    age, device, region = (np.asarray(people.column(name)) for name in ("age", "device", "region"))
    older, phone = age > np.nanmedian(age), np.isin(device, sorted(set(device))[:3])
    half = np.isin(region, sorted(set(region))[:6])
    odds = 1.2 * np.where(older == phone, 1, -1) + 1.2 * np.where(half, 1, -1)
    relabel(world.room(), np.random.default_rng(2).random(people.num_rows) < 1 / (1 + np.exp(-odds)))
    document: Any = world.open(world.run("lookalike", columns=USED, consider=CONSIDER, epsilon=2.9).release).document
    found = {each["column"]: each for each in document["considered"]}
    assert found["age x device"]["told"]
    assert found["region"]["told"]
    assert [each["column"] for each in document["considered"] if not each["used"]][-1] == "topics"


@pytest.mark.parametrize("change", [np.zeros_like, np.logical_not])
def test_with_the_noise_held_no_label_changes_a_byte_of_what_is_ranked(world: World, change: Any) -> None:
    def given() -> tuple[object, object, bytes, bytes]:
        opened = world.open(world.run("lookalike", columns=USED, consider=CONSIDER).release, ids=False)
        files, document = opened.files, opened.document
        return document["considered"], document["effects"], files["audience.parquet"], files["model.json"]

    before = given()
    room = world.room()
    held = room.datasets()
    relabel(room, change(np.asarray(job.read_match(room, held["visitors"], held["buyers"]))))
    for path in world.place.glob("releases/*"):
        path.unlink()
    assert given() == before


def test_a_job_that_considers_nothing_is_what_it_was(world: World) -> None:
    opened = world.open(world.run("lookalike").release)
    assert "considered" not in opened.document
    assert not [part for part in report(opened.document) if isinstance(part, Table) and "adds" in part.header]


def test_the_plan_says_what_considering_costs_the_model(world: World) -> None:
    """Two columns used, three blocks considered, each half as long: the root of 2.75 / 2, and twice that."""
    planned = job.plan(world.room(), world.request("lookalike", columns=USED, consider=CONSIDER))
    (said,) = [line for line in planned.notes if "considered" in line]
    assert "1.17 times" in said
    assert "2.35 times" in said


def test_no_row_of_used_and_considered_blocks_is_longer_than_promised(world: World) -> None:
    """Exact integers, over everything that a row may hold, and over each row there is."""
    crowd = crowd_of(world)
    assert crowd.considered is not None
    blocks = [*crowd.design.columns, *crowd.considered.columns]
    assert sum(map(largest_norm_squared, blocks)) <= 2**40
    beside = np.ldexp(np.vstack(list(crowd.considered.take(~crowd.held_out).blocks())), 20).astype(np.int64)
    measured = crowd.measured(bought(world))
    assert isinstance(measured, Strategy)
    both = np.hstack([np.vstack(list(measured.rows())), beside]).astype(object)
    assert 0.9 * 2**40 < max((both**2).sum(axis=1)) <= 2**40


@pytest.mark.parametrize("consider", [[], CONSIDER])
def test_rows_are_turned_by_the_lists_length_and_the_noise_that_is_charged(world: World, consider: list[str]) -> None:
    """Four fifths of the list train; beside what is considered rows are shorter, and noise the larger."""
    asked = world.request("lookalike", columns=USED, **({"consider": consider} if consider else {}))
    spec = job.payable(world.room(), asked).allowed.purchases[0].specification
    room, wanted = world.room(), cast("Any", asked.job)
    crowd = crowds.crowd_of(room, wanted, room.datasets()["visitors"])
    listed, found = room.datasets()["buyers"].manifest.rows, crowd.measured(spec)
    assert isinstance(found, Strategy)
    length = found.reach / 2**20
    assert (length < 0.99) == bool(consider)
    sigma = spec.scale / SCALE_UNIT / 2**20 / length
    wanted_mix = Strategy.of(crowd.training, found.reach, Outlook(0.8 * listed, sigma)).mix
    assert np.array_equal(found.mix, wanted_mix)
    for planted in (Outlook(listed, sigma), Outlook(0.8 * listed, sigma * 1.2), Outlook(0.0, sigma)):
        assert not np.array_equal(found.mix, Strategy.of(crowd.training, found.reach, planted).mix)


def test_one_label_moves_the_sums_by_no_more_than_was_paid(world: World) -> None:
    crowd = crowd_of(world)
    matched = np.random.default_rng(1).random(crowd.design.rows) < 0.1
    cells = 5_000
    people = crowd.measured(bought(world))
    whole = fitted.moments(crowd, people, matched, cells)
    for row in np.flatnonzero(~crowd.held_out)[:200]:
        other = matched.copy()
        other[row] = not other[row]
        moved = (fitted.moments(crowd, people, other, cells).values - whole.values).astype(object)
        assert 0 < (moved**2).sum() <= whole.l2_squared == MOMENTS_L2_SQUARED


def test_planted_used_rows_as_long_as_if_they_were_alone_are_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowds, "reach_beside", lambda _considered: 2**20)
    spent = world.spent()
    with pytest.raises(Exception, match="1099511627776"):
        world.run("lookalike", columns=USED, consider=CONSIDER)
    assert world.spent() == spent


def test_a_job_may_use_all_that_it_does_not_consider_and_compare_learners(world: World) -> None:
    ran = world.run("lookalike", consider=["topics", "age x region"], learners=["glm", "naive-bayes"])
    document: Any = world.open(ran.release).document
    assert {each["column"] for each in document["considered"] if each["used"]} == {"age", "region", "device"}
    moments, groups, scores = ran.plan.allowed.purchases
    assert groups.specification.columns == scores.specification.columns == moments.specification.columns[:3]
    world.verify()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a column of nobody": ({"consider": ["height"]}, "height is not declared"),
    "a column that is used": ({"columns": ["age", "region"], "consider": ["age"]}, "among the columns used"),
    "all, so that none is used": ({"consider": ["age", "region", "device", "topics"]}, "none is used"),
    "a pair of which one is not used": ({"columns": ["age"], "consider": ["age x region"]}, "region is not used"),
    "a pair with a set": ({"consider": ["age x topics"]}, "several values of topics"),
    "beside labels": ({"consider": ["age"], "labels": "randomised"}, "none has to be drawn"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_considered_is_refused_before_anything_is_paid(world: World, name: str) -> None:
    changes, rule = REFUSED[name]
    spent = world.spent()
    with pytest.raises(Refused) as refused:
        world.run("lookalike", **changes)
    assert refused.value.clause == "consider"
    assert rule in str(refused.value)
    assert world.spent() == spent


def test_pairs_of_too_many_values_and_tables_too_wide_to_rank_beside_are_refused() -> None:
    number = NumberColumn(kind="number", bounds=[0.0, 1.0])
    town = CategoryColumn(kind="category", values=[f"t{at}" for at in range(65)])
    declared: dict[str, Column] = {"town": town, "other": town} | {f"n{at}": number for at in range(16)}
    fewer = ["town", *(f"n{at}" for at in range(15))]
    refuse_considered(declared, fewer[:14], None, ["other", "n0 x n1"])
    refuse_considered(
        {"town": CategoryColumn(kind="category", values=town.values[:64]), "n0": number},
        ["town", "n0"],
        None,
        ["town x n0"],
    )
    with pytest.raises(Refused, match="260 pairs of values, at most 256"):
        refuse_considered(declared, fewer[:14], None, ["town x n0"])
    with pytest.raises(Refused, match="beside at most 2,500"):
        refuse_considered(declared, [*fewer[1:], "n15"], None, ["other"])
    with pytest.raises(Refused, match="more than 500"):
        refuse_considered({f"n{at}": number for at in range(600)}, [f"n{at}" for at in range(500)], None, ["n501"])


MISSPELLED: dict[str, tuple[list[str], str]] = {
    "a column beside itself": (["age x age"], "beside itself"),
    "a column twice": (["age", "age"], "stands twice"),
    "a pair in both orders": (["age x device", "device x age"], "stands twice"),
    "three columns": (["age x device x region"], "or two with an x"),
    "no name": (["Age"], "or two with an x"),
    "nothing": ([], "too few"),
    "too many": ([f"c{at}" for at in range(51)], "too many"),
}


@pytest.mark.parametrize("name", MISSPELLED)
def test_what_is_no_list_of_columns_and_pairs_is_no_job(world: World, name: str) -> None:
    said, rule = MISSPELLED[name]
    with pytest.raises(InvalidContract) as invalid:
        world.request("lookalike", consider=said)
    (problem,) = invalid.value.problems
    assert rule in problem.rule
    assert problem.where.startswith("consider")


def relabel(room: Room, labels: np.ndarray) -> None:
    held = room.datasets()
    room.keep_match(held["visitors"], held["buyers"], labels.astype(np.uint8))


def bought(world: World) -> Specification:
    """The sums of the job that `crowd_of` is of, as they are charged."""
    asked = world.request("lookalike", columns=USED, consider=CONSIDER)
    return job.payable(world.room(), asked).allowed.purchases[0].specification


def crowd_of(world: World) -> crowds.Crowd:
    room = world.room()
    asked: Any = world.request("lookalike", columns=USED, consider=CONSIDER).job
    return crowds.crowd_of(room, asked, room.datasets()["visitors"])

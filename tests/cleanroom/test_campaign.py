"""Jobs about events, through the whole room: a campaign of invented people, whose true numbers the test knows."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from campaign_jobs import KINDS, asked

from passbox.cleanroom import job
from passbox.cleanroom.opening import BadRelease, check_receipt
from passbox.cleanroom.samples import campaign
from passbox.dp.intervals import at_once
from passbox.dp.noisy import Z95
from passbox.policies.check import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from .campaign_world import CampaignWorld
    from .world import Copier


@pytest.fixture
def world(campaign_room: CampaignWorld, copied: Copier) -> CampaignWorld:
    room: CampaignWorld = copied(campaign_room)  # type: ignore[assignment]
    return room


@pytest.fixture(scope="session")
def opened(campaign_room: CampaignWorld, anew: Copier) -> dict[str, dict[str, Any]]:
    """What a reader of each kind of job opens; every one in a room of its own, whose budget is whole."""
    found = {}
    for kind in KINDS:
        room = anew(campaign_room)
        planned = job.plan(room.room(), room.request(kind, "advertiser", **asked(kind)))
        ran = room.run(kind, "advertiser", **asked(kind))
        room.verify()
        found[kind] = dict(room.open(ran.release).document) | {"planned": planned.precision}
    return found


@pytest.fixture(scope="session")
def truth(campaign_room: CampaignWorld) -> dict[str, pl.DataFrame]:
    """The files as the parties had them, people cut to the rows that count left out of the comparison."""
    folder = campaign_room.folder
    return {
        name: pl.read_csv(folder / place / f"{name}.csv", try_parse_dates=True)
        for name, place in (("visitors", "p"), ("exposures", "p"), ("purchases", "a"))
    }


def column(document: dict[str, Any], table: int, name: str) -> dict[str, Any]:
    return next(each for each in document["tables"][table]["columns"] if each["name"] == name)


def holds(found: dict[str, Any], at: int, value: float, times: float = 3.0) -> bool:
    """Within so many times the half width: 5.9 standard deviations, a false alarm in 10^6 runs for all 60 numbers.

    Not for what is cut where it cannot lie: such an interval is narrower than its noise."""
    middle, half = found["estimate"][at], (found["high"][at] - found["low"][at]) / 2
    return abs(middle - value) <= times * half


def is_the_quotient(
    document: dict[str, Any], name: str, parts: tuple[str, str], at: int, value: float, unit: float = 1
) -> bool:
    """Its parts' noise explains what parts it from the true one: 6 standard deviations; and it is what they say, where
    that is possible. Ends that stand where the possible ends say nothing of the noise, so `holds` is not for it."""
    found, (top, bottom) = column(document, 0, name), (column(document, 0, part) for part in parts)
    s, t = ((part["high"][at] - part["low"][at]) / 2 / Z95 for part in (top, bottom))
    off = top["estimate"][at] - value * bottom["estimate"][at]
    said, plain = found["estimate"][at], unit * top["estimate"][at] / bottom["estimate"][at]
    shown = said is None or said == pytest.approx(min(max(plain, found["low"][at]), found["high"][at] or math.inf))
    return shown and abs(off) <= 6 * math.hypot(s, value * t)


# -- the numbers are those of the campaign -----------------------------------------------------------------------------


def test_reach_is_how_many_people_and_households_were_reached(
    opened: dict[str, Any], truth: dict[str, pl.DataFrame]
) -> None:
    exposures = truth["exposures"]
    for at, name in enumerate(campaign.CAMPAIGNS):
        mine = exposures.filter(pl.col("campaign") == name)
        assert holds(column(opened["reach"], 0, "people"), at, mine["email"].n_unique())
        assert holds(column(opened["reach"], 0, "households"), at, mine["household"].n_unique())
    assert holds(column(opened["reach"], 1, "people"), 0, exposures["email"].n_unique())
    assert holds(column(opened["reach"], 1, "households"), 0, exposures["household"].n_unique())


def test_frequency_is_how_often_they_were(opened: dict[str, Any], truth: dict[str, pl.DataFrame]) -> None:
    times = truth["exposures"]["email"].value_counts()["count"].clip(1, 6)
    often = {k: int((times == k).sum()) for k in range(1, 7)}
    document = opened["frequency"]
    for k in range(1, 7):
        assert holds(column(document, 0, "people"), k - 1, often[k])
        more = column(document, 0, "people so often or more")
        assert holds(more, k - 1, sum(often[each] for each in range(k, 7)))
    average = sum(k * n for k, n in often.items()) / sum(often.values())
    assert holds(column(document, 1, "average frequency"), 0, average)


def test_campaign_figures_are_the_quotients_of_what_was_counted(
    opened: dict[str, Any], truth: dict[str, pl.DataFrame]
) -> None:
    document, exposures = opened["campaign"], truth["exposures"]
    for at, name in enumerate(campaign.CAMPAIGNS):
        mine = exposures.filter(pl.col("campaign") == name)
        clicks = int((mine["clicked"] == "yes").sum())
        assert holds(column(document, 0, "impressions"), at, mine.height)
        assert holds(column(document, 0, "clicks"), at, clicks)
        assert holds(column(document, 0, "spend"), at, mine["cost"].sum())
        assert holds(column(document, 0, "starts"), at, int((mine["started"] == "yes").sum()))
        assert holds(column(document, 0, "deep"), at, int((mine["depth"] >= 50).sum()))
        assert is_the_quotient(document, "cpm", ("spend", "impressions"), at, mine["cost"].sum() / mine.height, 1000)
        assert is_the_quotient(document, "ctr", ("clicks", "impressions"), at, clicks / mine.height)
        deep = float((mine["depth"] >= 50).mean())  # type: ignore[arg-type]
        assert is_the_quotient(document, "scroll_rate", ("deep", "impressions"), at, deep)
    assert holds(column(document, 1, "impressions"), 0, exposures.height)


def test_conversions_are_credited_to_the_last_event_before_them(
    opened: dict[str, Any], truth: dict[str, pl.DataFrame]
) -> None:
    """Counted again, slowly: each order looks for its person's latest ad in the thirty days before."""
    seen: dict[str, list[tuple[date, str]]] = {}
    for email, day, name in truth["exposures"].select("email", "day", "campaign").iter_rows():
        seen.setdefault(canonical(email), []).append((day, name))
    certain, credited = dict.fromkeys(campaign.CAMPAIGNS, 0), dict.fromkeys(campaign.CAMPAIGNS, 0)
    for email, day in truth["purchases"].select("email", "day").iter_rows():
        before = [each for each in seen.get(canonical(email), []) if 0 <= (day - each[0]).days <= 30]
        if before:
            last = {name for when, name in before if when == max(before)[0]}
            for name in last:
                credited[name] += 1
            if len(last) == 1:
                certain[last.pop()] += 1
    for at, name in enumerate(campaign.CAMPAIGNS):
        found = column(opened["campaign"], 0, "conversions")
        slack = credited[name] - certain[name]
        assert holds(found, at, certain[name]) or found["estimate"][at] <= credited[name] + slack


def canonical(email: str) -> str:
    local, _, domain = email.strip().lower().partition("@")
    local = local.partition("+")[0].replace(".", "") if domain == "gmail.com" else local
    return f"{local}@{domain}"


def test_an_aggregate_counts_adds_averages_and_ranks(opened: dict[str, Any], truth: dict[str, pl.DataFrame]) -> None:
    document, exposures = opened["aggregate"], truth["exposures"]
    counts = {name: exposures.filter(pl.col("campaign") == name) for name in campaign.CAMPAIGNS}
    for at, mine in enumerate(counts.values()):
        assert holds(column(document, 0, "people"), at, mine["email"].n_unique())
        assert holds(column(document, 0, "ads"), at, mine.height, 4)  # up to 20 of one person: some were cut
        assert holds(column(document, 0, "depth"), at, float(mine["depth"].mean()), 5)  # type: ignore[arg-type]
    assert document["tables"][1]["name"] == "in all"


def test_the_largest_keys_have_intervals_that_hold_for_all_at_once(world: CampaignWorld) -> None:
    """Whichever noise puts first; of other numbers than the one that ranks, each its own. As wide as was planned."""
    fields = asked("aggregate", top={"by": "ads", "keys": 2})
    ran = world.run("aggregate", "advertiser", **fields)
    document = dict(world.open(ran.release).document)
    ads, people, total = (column(document, at, name) for at, name in ((0, "ads"), (0, "people"), (1, "ads")))
    assert [len(ads["estimate"]), document["tables"][0]["hidden"]] == [2, 1]  # type: ignore[index]
    assert ads["estimate"] == sorted(ads["estimate"], reverse=True)
    assert ads["covers"] == "noise; made to add up, of all 3 keys at once"
    assert [people["covers"], total["covers"]] == ["noise", "noise; made to add up"]
    (planned,) = (row.half for row in ran.plan.precision if row.number == "ads" and row.table == "by key")
    assert planned == pytest.approx((ads["high"][0] - ads["low"][0]) / 2)
    whole = job.plan(world.room(), world.request("aggregate", "advertiser", **asked("aggregate")))
    alone = next(row.half for row in whole.precision if row.number == "ads" and row.table == "by key")
    assert planned == pytest.approx(alone * at_once(3) / at_once(1))


def test_no_two_quantiles_are_called_the_same(campaign_room: CampaignWorld) -> None:
    seen = {"kind": "quantiles", "of": "depth", "shares": [0.07, 0.99, 0.995, 0.999]}
    fields = asked("aggregate", measure={"seen": seen}, totals=False)
    planned = job.plan(campaign_room.room(), campaign_room.request("aggregate", "advertiser", **fields))
    assert [row.number for row in planned.precision] == ["seen 7%", "seen 99%", "seen 99.5%", "seen 99.9%"]


def test_totals_are_the_sum_of_their_parts(opened: dict[str, Any]) -> None:
    for kind, names in (
        ("aggregate", ["ads", "cost"]),
        ("campaign", ["impressions", "clicks", "spend", "conversions"]),
    ):
        for name in names:
            parts, total = column(opened[kind], 0, name), column(opened[kind], 1, name)
            assert sum(parts["estimate"]) == pytest.approx(total["estimate"][0])
            assert parts["covers"] == total["covers"] == "noise; made to add up"


def test_topics_name_the_pairs_that_were_made_to_go_together(make_campaign: Callable[..., CampaignWorld]) -> None:
    """Of the four pairs that the sample draws more often, those with many people stand out; no other pair does."""
    room = make_campaign(30_000)
    ran = room.run("topics", "advertiser", **asked("topics"))
    table = room.open(ran.release).document["tables"][0]  # type: ignore[index]
    q = next(each for each in table["columns"] if each["name"] == "false discovery rate")["estimate"]
    found = {tuple(key) for key, value in zip(table["keys"], q, strict=True) if value <= 0.05}
    assert {("cycling", "spring"), ("travel", "summer"), ("fitness", "spring")} <= found
    lift = next(each for each in table["columns"] if each["name"] == "lift")
    place = table["keys"].index(["cycling", "spring"])
    assert lift["low"][place] > 1


# -- as planned -------------------------------------------------------------------------------------------------------


FIXED = {
    "aggregate": {"people": 0, "ads": 0, "cost": 0},
    "reach": {"people": 0, "households": 0},
    "frequency": {"people": 0},
    "campaign": {"impressions": 0, "clicks": 0, "spend": 0, "conversions": 0, "revenue": 0},
    "topics": {"people": 0},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_of_fixed_noise_has_the_interval_that_was_planned(opened: dict[str, Any], kind: str) -> None:
    planned = opened[kind]["planned"]
    for name, table in FIXED[kind].items():
        found = column(opened[kind], table, name)
        half = next(row.half for row in planned if row.number == name)
        assert (found["high"][0] - found["low"][0]) / 2 == pytest.approx(half, rel=1e-12)


# -- what a reader can check -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["tables"][0]["columns"][0]["estimate"].__setitem__(0, 1.0),
        lambda d: d["asked"].__setitem__("by", ["device"]),
        lambda d: d["declared"]["dataset"]["exposures"].__setitem__("at_most", 4),
        lambda d: d["notes"].append("all is well"),
        lambda d: d["tables"][0]["keys"].pop(),
    ],
    ids=["a number", "what was asked", "what was declared", "what is said", "a key"],
)
def test_a_release_that_says_something_else_does_not_open(opened: dict[str, Any], change: Any) -> None:
    document = json.loads(json.dumps({k: v for k, v in opened["reach"].items() if k != "planned"}, default=str))
    check_receipt(Path("x"), document)
    change(document)
    with pytest.raises(BadRelease):
        check_receipt(Path("x"), document)


DAYS = [date(2027, 1, 1), date(2027, 2, 1), date(2027, 3, 31)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "topics"])
@pytest.mark.parametrize("part", ["windows", "where"])
def test_a_release_about_days_opens(kind: str, part: str, world: CampaignWorld) -> None:
    changes = {"by": ["day"], "windows": {"day": DAYS}} if part == "windows" else {"where": {"day": DAYS[::2]}}
    ran = world.run(kind, "advertiser", **asked(kind, **changes))
    document = world.open(ran.release).document
    assert document["kind"] == kind
    if part == "windows":
        days = list(dict.fromkeys(key[0] for key in document["tables"][0]["keys"]))  # type: ignore[index]
        assert days == ["2027-01-01 to 2027-01-31", "2027-02-01 to 2027-03-30"]


# -- k beside noise ----------------------------------------------------------------------------------------------------


def test_a_key_with_few_people_is_hidden_from_its_reader_too(make_campaign: Callable[..., CampaignWorld]) -> None:
    """Not only in the table: the noisy integers that a reader gets do not hold it either."""
    room = make_campaign(2_000, "at_least = { people = 200, delta = 1e-6 }\n")
    kinds = [kind for kind in KINDS if kind != "topics"]
    for kind in kinds:
        changes = {"by": ["device"]} if kind in ("aggregate", "reach") else {}
        ran = room.run(kind, "advertiser", **asked(kind, **({"epsilon": 3.0} | changes)))
        document = room.open(ran.release).document
        values = document["receipt"]["entries"][0]["values"]  # type: ignore[index]
        shown = document["tables"][0]  # type: ignore[index]
        if kind == "aggregate":
            assert shown["hidden"] > 0
            assert min(values) == -(2**63)
        for each in shown["columns"]:
            assert all(value is None or value > -1e15 for value in each["estimate"])
    assert room.verify().releases == len(kinds)
    one = {"by": [], "totals": False, "measure": {"ads": {"kind": "count", "at_most": 1}}}
    day = {"day": [date(2027, 1, 1)] * 2}  # 72 people, of whom 3 have more than one row
    for where, hidden in ((day, 1), ({}, 0)):
        ran = room.run("aggregate", "advertiser", **asked("aggregate", **one, epsilon=1.5, where=where))
        cut = room.open(ran.release).document["tables"][1]  # type: ignore[index]
        assert [cut["name"], cut["hidden"], len(cut["keys"])] == ["cut by bounds (counts)", hidden, 1 - hidden]
    with pytest.raises(Refused) as refused:  # its margins would show what is hidden
        room.run("topics", "advertiser", **asked("topics"))
    assert refused.value.clause == "rules.at_least"


def test_the_sample_is_of_the_size_that_was_asked(truth: dict[str, pl.DataFrame]) -> None:
    assert truth["visitors"].height == 2_000
    assert np.isclose(truth["exposures"]["campaign"].value_counts(normalize=True)["proportion"].sum(), 1)


def test_people_whom_a_bound_cut_are_counted_and_what_may_be_missing_is_said(
    world: CampaignWorld, truth: dict[str, pl.DataFrame]
) -> None:
    fields = asked("campaign", at_most={"impressions": 5, "clicks": 1}, report=["ctr"])
    document = world.open(world.run("campaign", "advertiser", **fields).release).document
    (said,) = (each for each in document["tables"] if each["name"] == "cut by bounds (events)")  # type: ignore[index,attr-defined]
    people, ads, clicks = said["columns"]
    exposures = truth["exposures"].with_columns(clicked=pl.col("clicked") == "yes")
    each = exposures.group_by("email").agg(ads=pl.len(), clicks=pl.col("clicked").sum())
    cut = each.filter((pl.col("ads").clip(0, 40) > 5) | (pl.col("clicks") > 1)).height
    assert holds(people, 0, cut)
    assert ads["estimate"][0] == pytest.approx(35 * people["estimate"][0])
    assert clicks["estimate"][0] == pytest.approx(39 * people["estimate"][0])
    assert [ads["name"], ads["covers"]] == ["impressions missing at most", "noise, of the most that may be missing"]


@pytest.mark.parametrize("kind", ["reach", "frequency", "aggregate", "campaign"])
def test_people_of_whom_some_keys_do_not_count_are_counted_too(
    world: CampaignWorld, truth: dict[str, pl.DataFrame], kind: str
) -> None:
    """Of three campaigns one counts; what may be missing for it follows from the declared rows."""
    changes: dict[str, Any] = {"by": ["campaign"], "keys_per_person": 1, "recipients": ["advertiser"]}
    if kind == "aggregate":
        changes["measure"] = {"people": {"kind": "people"}, "ads": {"kind": "count"}}
    document = world.open(world.run(kind, "advertiser", **asked(kind, **changes)).release).document
    said = [each for each in document["tables"] if each["name"].startswith("cut by bounds")]  # type: ignore[attr-defined]
    missing = {column["name"]: column["estimate"][0] for column in said[0]["columns"]}
    each = truth["exposures"].group_by("email").agg(campaigns=pl.col("campaign").n_unique())
    assert holds(said[0]["columns"][0], 0, each.filter(pl.col("campaigns") > 1).height)
    number, most = ("people", 2) if kind != "campaign" else ("impressions", 39)
    assert missing[f"{number} missing at most"] == pytest.approx(most * missing["people cut"])
    if kind == "aggregate":
        assert {column["name"] for column in said[1]["columns"]} == {"people cut", "ads missing at most"}
    assert any("at most 1 key counts, of up to 3" in note for note in document["notes"])  # type: ignore[attr-defined]


def test_what_bounds_do_to_means_and_quantiles_is_said(campaign_room: CampaignWorld) -> None:
    notes = job.plan(campaign_room.room(), campaign_room.request("aggregate", "advertiser", **asked("aggregate"))).notes
    assert any(note.startswith("depth: of one person at most 5 rows of a key count, of up to 40") for note in notes)
    assert any(note.startswith("seen: of one person at most 5 rows in all count, of up to 40") for note in notes)

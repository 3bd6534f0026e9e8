"""Jobs about a campaign that are refused before data is touched, and contracts that cannot hold."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from campaign_jobs import asked

from passbox.cleanroom import job
from passbox.policies.check import Refused
from passbox.policies.contract import parse
from passbox.policies.document import InvalidContract

if TYPE_CHECKING:
    from .campaign_world import CampaignWorld
    from .world import Copier


@pytest.fixture
def world(campaign_room: CampaignWorld, copied: Copier) -> CampaignWorld:
    room: CampaignWorld = copied(campaign_room)  # type: ignore[assignment]
    return room


REFUSED: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "a column that is not declared": ("reach", {"by": ["color"]}, "columns", {"by": ["campaign"]}),
    "a value that is not declared": (
        "reach",
        {"where": {"device": ["fax"]}},
        "where",
        {"where": {"device": ["ctv"]}},
    ),
    "windows that overlap": (
        "reach",
        {"by": ["day"], "windows": {"day": [date(2027, 1, 1), date(2027, 2, 1), date(2027, 1, 15)]}},
        "windows",
        {"by": ["day"], "windows": {"day": [date(2027, 1, 1), date(2027, 1, 15), date(2027, 2, 1)]}},
    ),
    "days that cannot be": (
        "reach",
        {"by": ["day"], "windows": {"day": [date(2029, 1, 1), date(2029, 2, 1)]}},
        "windows",
        {"by": ["day"], "windows": {"day": [date(2027, 1, 1), date(2027, 2, 1)]}},
    ),
    "days that are not cut": (
        "reach",
        {"by": ["day"]},
        "by",
        {"by": ["day"], "windows": {"day": [date(2027, 1, 1), date(2027, 2, 1)]}},
    ),
    "a price divided by nothing": (
        "campaign",
        {"report": ["cpc"], "clicks": None},
        "report",
        {"report": ["cpm"], "clicks": None},
    ),
    "households that nobody named": (
        "reach",
        {"dataset": "purchases", "by": [], "recipients": ["publisher"]},
        "columns",
        {"dataset": "purchases", "by": [], "households": False, "recipients": ["publisher"]},
    ),
    "households as keys": ("reach", {"by": ["household"]}, "by", {"by": ["device"]}),
    "a depth that nobody reaches": (
        "campaign",
        {"deep": {"column": "depth", "at_least": 101}},
        "columns",
        {"deep": {"column": "depth", "at_least": 99}},
    ),
    "a column of events looked up": ("reach", {"by": ["purchases.product"]}, "by", {"by": ["visitors.region"]}),
    "what only its owner would read": (
        "reach",
        {"recipients": ["publisher"]},
        "recipients",
        {"recipients": ["officer"]},
    ),
    "a history that splits nobody": (
        "topics",
        {"history": {"column": "visits", "below": 500}},
        "bins",
        {"history": {"column": "visits", "below": 10}},
    ),
    "more cells than fit": (
        "aggregate",
        {"by": ["device", "depth", "cost"], "bins": {"depth": list(range(1000)), "cost": list(range(1000))}},
        "query",
        {"by": ["device"]},
    ),
    "a bound for what is not counted": (
        "campaign",
        {"at_most": {"revenue": 10}, "revenue": None},
        "at_most",
        {"at_most": {"spend": 1}, "revenue": None},
    ),
    "too short a list": ("topics", {"dataset": "exposures"}, "dataset", {}),
}
"""What is asked, what refuses it, and one change that passes."""


@pytest.mark.parametrize("name", REFUSED)
def test_a_denial_names_its_clause_and_the_change_it_offers_passes(campaign_room: CampaignWorld, name: str) -> None:
    kind, wrong, clause, right = REFUSED[name]
    room = campaign_room.room()

    def planned(changes: dict[str, Any]) -> job.Plan:
        fields = {key: value for key, value in asked(kind, **changes).items() if value is not None}
        return job.plan(room, campaign_room.request(kind, "advertiser", **fields))

    with pytest.raises(Refused) as refused:
        planned(wrong)
    assert refused.value.clause == clause
    assert refused.value.remedy
    assert planned(right).allowed.purchases


@pytest.mark.parametrize(
    "name", ["a column that is not declared", "windows that overlap", "a price divided by nothing"]
)
def test_a_denial_is_logged_and_an_auditor_knows_its_clause(world: CampaignWorld, name: str) -> None:
    kind, wrong, _, _ = REFUSED[name]
    fields = {key: value for key, value in asked(kind, **wrong).items() if value is not None}
    with pytest.raises(Refused):
        world.run(kind, "advertiser", **fields)
    assert world.verify().denials == 1


def test_a_budget_that_fits_half_says_which_half(world: CampaignWorld) -> None:
    """The largest ε that fits is named, and a job of that ε passes."""
    world.run("reach", "advertiser", **asked("reach", epsilon=7.0))
    with pytest.raises(job.Unaffordable) as short:
        world.run("campaign", "advertiser", **asked("campaign", epsilon=7.0))
    assert f"ask epsilon = {short.value.largest:g}" in short.value.hint
    world.run("campaign", "advertiser", **asked("campaign", epsilon=short.value.largest))
    world.verify()


CONTRACTS: dict[str, tuple[str, str, str]] = {
    "events without a bound": ("at_most = 40  # rows of one person that count\n", "", "nothing bounds"),
    "events with IDs": ('rows = "events"\nat_most = 40', 'rows = "events"\nid = "x"\nat_most = 40', "no IDs"),
    "people with a bound": ('id = "visitor_id"\n', 'id = "visitor_id"\nat_most = 3\n', "everybody stands once"),
    "days that run backwards": (
        "bounds = [2027-01-01, 2027-03-31]",
        "bounds = [2027-03-31, 2027-01-01]",
        "smaller first",
    ),
    "k of nobody": (
        "smallest_audience = 200\n",
        "smallest_audience = 200\nat_least = { people = 0, delta = 1e-6 }\n",
        "",
    ),
}


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_that_cannot_hold_is_told_so(campaign_room: CampaignWorld, name: str) -> None:
    old, new, words = CONTRACTS[name]
    text = campaign_room.contract.read_text()
    assert old in text
    parse(text.encode())
    with pytest.raises(InvalidContract) as invalid:
        parse(text.replace(old, new, 1).encode())
    assert any(words in f"{each.rule} {each.remedy}" for each in invalid.value.problems)

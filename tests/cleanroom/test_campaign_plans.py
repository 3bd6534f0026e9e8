"""What a plan of a campaign's job says before anybody's data is touched, and what makes a job another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from campaign_jobs import KINDS, asked

from passbox.cleanroom import job
from passbox.cleanroom.asking import draft_job, refusal
from passbox.policies.request import Request, parse_job

if TYPE_CHECKING:
    from .campaign_world import CampaignWorld
    from .world import Copier


@pytest.fixture
def world(campaign_room: CampaignWorld, copied: Copier) -> CampaignWorld:
    room: CampaignWorld = copied(campaign_room)  # type: ignore[assignment]
    return room


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_touches_no_data(world: CampaignWorld, kind: str) -> None:
    request = world.request(kind, "advertiser", **asked(kind))
    before = job.plan(world.room(), request)
    for path in world.place.glob("datasets/*/*/*.parquet"):
        path.unlink()
    assert job.plan(world.room(), request) == before
    assert world.spent() == {"advertiser/record": 0, "publisher/record": 0}


@pytest.mark.parametrize("kind", KINDS)
def test_who_pays_is_whose_people_are_shown_to_others(world: CampaignWorld, kind: str) -> None:
    planned = job.plan(world.room(), world.request(kind, "advertiser", **asked(kind)))
    both = kind == "campaign"  # its readers are both parties
    assert {cost.owner for cost in planned.costs} == ({"publisher", "advertiser"} if both else {"publisher"})


def test_the_same_job_again_is_the_same_file(world: CampaignWorld) -> None:
    first = world.run("reach", "advertiser", **asked("reach"))
    again = world.run("reach", "advertiser", **asked("reach"))
    assert (first.charged, again.charged) == (True, False)
    assert first.release == again.release


def test_other_bounds_are_another_statistic(world: CampaignWorld) -> None:
    """Noise would average out for those who ask one thing under many bounds, and pay once."""
    one = world.request("reach", "advertiser", **asked("reach"))
    keys = {job.plan(world.room(), one).allowed.purchases[0].key}
    for changes in (
        {"keys_per_person": 1},
        {"by": ["device"]},
        {"where": {"device": ["ctv"]}},
        {"among": ["visitors"]},
    ):
        other = world.request("reach", "advertiser", **asked("reach", **changes))
        keys.add(job.plan(world.room(), other).allowed.purchases[0].key)
    assert len(keys) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_draft_is_a_job_that_a_room_would_run(campaign_room: CampaignWorld, kind: str) -> None:
    agreed, data = campaign_room.agreement.contract, campaign_room.contract.read_bytes()
    rule = next(each for each in agreed.rules.allow if each.job == kind)
    text = draft_job(agreed, data, rule, 1.0, None).encode()
    drafted = parse_job(text)
    assert refusal(campaign_room.agreement, drafted, "publisher", campaign_room.now.date()) is None
    assert job.plan(campaign_room.room(), Request(drafted, text, "publisher", "")).costs

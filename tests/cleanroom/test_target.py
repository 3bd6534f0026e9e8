"""A target: how exact a number is to be, and the epsilon that makes it so, from public sizes alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from campaign_jobs import asked

from passbox.cleanroom import job
from passbox.cleanroom.target import ANY_SIZE, NoTarget, target

if TYPE_CHECKING:
    from .campaign_world import CampaignWorld


@pytest.mark.parametrize(("kind", "number"), [("reach", "households"), ("campaign", "clicks"), ("frequency", "")])
def test_a_target_says_the_epsilon_and_that_epsilon_is_enough(
    campaign_room: CampaignWorld, kind: str, number: str
) -> None:
    room, fields = campaign_room.room(), asked(kind, epsilon=1.0)
    planned = job.plan(room, campaign_room.request(kind, "advertiser", **fields))
    first = next(row.half for row in planned.precision if row.number == (number or "people"))
    for within in (0.5 * first, first, 3 * first):
        found = target(room.contract, planned, within, number)
        again = job.plan(room, campaign_room.request(kind, "advertiser", **(fields | {"epsilon": found.epsilon})))
        exact = [row.half for row in again.precision if row.given == "whatever it is" and row.number == found.number]
        half = exact[0]
        assert half <= within
        assert half == pytest.approx(found.half_width)
        less = round(found.epsilon - 0.0002, 4)
        once_more = job.plan(room, campaign_room.request(kind, "advertiser", **(fields | {"epsilon": less})))
        assert next(row.half for row in once_more.precision if row.number == found.number) > within * 0.999


@pytest.mark.parametrize(("within", "number"), [(1e-9, ""), (-1.0, ""), (5.0, "cpm"), (5.0, "nothing")])
def test_a_target_that_no_epsilon_gives_is_told_so(campaign_room: CampaignWorld, within: float, number: str) -> None:
    planned = job.plan(campaign_room.room(), campaign_room.request("campaign", "advertiser", **asked("campaign")))
    with pytest.raises(NoTarget):
        target(campaign_room.room().contract, planned, within, number)


def test_a_target_names_what_it_does_not_know(campaign_room: CampaignWorld) -> None:
    """A name that no number has is told apart from numbers whose accuracy is secret."""
    planned = job.plan(campaign_room.room(), campaign_room.request("campaign", "advertiser", **asked("campaign")))
    contract, secret = campaign_room.room().contract, tuple(r for r in planned.precision if r.given != ANY_SIZE)
    for plan in (planned, replace(planned, precision=secret)):
        with pytest.raises(NoTarget) as unknown:
            target(contract, plan, 5.0, "nope")
        assert unknown.value.rule == "this job has no number nope"
    with pytest.raises(NoTarget) as hidden:
        target(contract, replace(planned, precision=secret), 5.0, secret[0].number)
    assert "secret" in hidden.value.rule

"""A drafted job is one that some room under this contract could run, or it is not written."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

import pytest

from passbox.cleanroom.asking import draft_job, refusal
from passbox.policies.check import Refused
from passbox.policies.contract import parse
from passbox.policies.jobs.lookalike import LookalikeJob
from passbox.policies.request import parse_job

if TYPE_CHECKING:
    from .world import World

TODAY = date(2027, 1, 10)


def drafted(world: World, kind: str, epsilon: float, size: int | None = None, witnessed: str = "") -> str:
    data = world.contract.read_bytes().replace(b"\n[party", witnessed.encode() + b"\n[party", 1)
    contract = parse(data)
    return draft_job(contract, data, next(rule for rule in contract.rules.allow if rule.job == kind), epsilon, size)


def test_the_contracts_smallest_audience_is_asked_where_no_size_is_said(signed: World) -> None:
    asked = parse_job(drafted(signed, "lookalike", 1.0).encode())
    assert isinstance(asked, LookalikeJob)
    assert asked.audience.size == signed.agreement.contract.rules.smallest_audience


@pytest.mark.parametrize("size", [0, 1, 199])
def test_an_audience_below_the_contracts_smallest_is_refused(signed: World, size: int) -> None:
    with pytest.raises(Refused, match="smallest_audience"):
        drafted(signed, "lookalike", 1.0, size)


@pytest.mark.parametrize("kind", ["lookalike", "overlap"])
def test_the_largest_epsilon_that_is_named_runs_and_the_next_is_refused(world: World, kind: str) -> None:
    with pytest.raises(Refused) as refused:
        drafted(world, kind, 50)
    assert refused.value.clause == "budget"
    most = float(re.findall(r"--epsilon (\S+)`", refused.value.remedy)[0])
    with pytest.raises(Refused):
        drafted(world, kind, most + 0.0001)
    readers = ["publisher", "advertiser", "officer"] if kind == "overlap" else ["publisher"]
    assert parse_job(drafted(world, kind, most).encode()).recipients == readers
    assert world.run(kind, epsilon=most, recipients=readers).charged


def test_what_may_run_ahead_of_a_witness_bounds_a_single_job(signed: World) -> None:
    witnessed = '\n[room.cosign]\nby = ["officer"]\nahead = 0.25\n'
    assert drafted(signed, "lookalike", 2.0)
    with pytest.raises(Refused) as refused:
        drafted(signed, "lookalike", 2.0, witnessed=witnessed)
    assert drafted(signed, "lookalike", 1.3, witnessed=witnessed)
    assert refused.value.clause == "budget"


REFUSED: dict[str, tuple[str, str, dict[str, object], str]] = {
    "who may not ask": ("lookalike", "advertiser", {}, "rules.allow"),
    "a reader nobody agreed on": ("overlap", "publisher", {"recipients": ["host"]}, "rules.allow"),
    "a data set nobody has": ("overlap", "publisher", {"seed": "cats"}, "dataset"),
    "a column nobody declared": ("lookalike", "publisher", {"columns": ["iq"]}, "columns"),
    "too small an audience": ("lookalike", "publisher", {"audience": {"size": 3}}, "rules.smallest_audience"),
    "more than a cap": ("overlap", "publisher", {"epsilon": 9.0}, "budget"),
    "another contract": ("overlap", "publisher", {"contract": "0" * 64}, "name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_every_room_would_refuse_is_known_when_it_is_signed(case: str, signed: World) -> None:
    kind, asker, changes, clause = REFUSED[case]
    found = refusal(signed.agreement, parse_job(signed.job_text(kind, **changes).encode()), asker, TODAY)
    assert found is not None
    assert found.clause == clause
    assert "--" not in found.remedy


@pytest.mark.parametrize("kind", ["lookalike", "overlap"])
def test_a_job_that_some_room_would_run_is_not_doubted(kind: str, signed: World) -> None:
    job = parse_job(signed.job_text(kind).encode())
    assert refusal(signed.agreement, job, "publisher", TODAY) is None
    after = refusal(signed.agreement, job, "publisher", date(2027, 7, 1))
    assert after is not None
    assert after.clause == "expires"

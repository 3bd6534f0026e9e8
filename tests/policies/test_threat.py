"""What a contract says of the threat models of its jobs is what these jobs say."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from passbox.policies.contract import JobKind, digest, parse
from passbox.policies.jobs.job import Job
from passbox.policies.request import KINDS, parse_job
from passbox.policies.template import job_text
from passbox.policies.threat import threat_models

if TYPE_CHECKING:
    from collections.abc import Callable

    Changed = Callable[..., str]

REGION = 'columns.region = { kind = "category", values = ["north", "south"] }\n'


@pytest.mark.parametrize(
    ("kind", "protects"),
    [("lookalike", "membership"), ("model", "membership"), ("completion", "membership"), ("completion", "person")],
)
def test_a_job_has_the_threat_model_that_the_contract_names(kind: JobKind, protects: str, changed: Changed) -> None:
    allowed = f'{{ job = "{kind}", ask = ["publisher"], recipients = ["publisher"] }}'
    told = [
        ('{ job = "lookalike", ask = ["publisher"], recipients = ["publisher"] }', allowed),
        ('owner = "advertiser"\n', f'owner = "advertiser"\n{REGION}'),
        ('protects = "membership"', f'protects = "{protects}"'),
    ]
    data = changed(*told).encode()
    contract = parse(data)
    lines = KINDS[kind].draft(contract, None)
    job = parse_job(job_text(kind, digest(data), lines, ["publisher"], 1.0).encode())
    assert threat_models(contract, kind, ["publisher"]) == (job.threat_model(contract),)


def test_every_kind_that_learns_is_named_and_no_other(changed: Changed) -> None:
    contract = parse(changed(('owner = "advertiser"\n', f'owner = "advertiser"\n{REGION}')).encode())
    for kind in get_args(JobKind):
        learns = KINDS[kind].threat_model is not Job.threat_model
        assert bool(threat_models(contract, kind, ["publisher"])) is learns, kind

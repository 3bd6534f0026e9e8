"""What a job would buy, were it run: shapes, noise and prices as a room plans them."""

from __future__ import annotations

from ...dp.entry import Purchase
from ...policies.agreement import Agreement
from ...policies.contract import Contract
from ...policies.jobs.job import Job
from ...policies.price import purchases
from ...policies.request import Request
from ..measure.kinds import shape_of


def bought(contract: Contract, data: bytes, job: Job) -> tuple[Purchase, ...]:
    """data: the contract's bytes."""
    request, manifests = Request(job, b"", "", ""), dict.fromkeys(job.datasets(), "0" * 64)
    return purchases(Agreement(contract, data, {}), request, manifests, shape_of)

"""An audit of one job: every test that its kind has (`canary`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...dp.accounting import rho_within
from ...dp.budget import RHO_UNIT, Budget, Epsilon
from ...modelling.canaries import runs_for
from ...policies.contract import Allowance, Contract, digest
from ...policies.jobs.completion import CompletionJob
from ...policies.jobs.lookalike import LookalikeJob, refuse_digits
from ...policies.jobs.model import ModelJob
from ...policies.price import delta_of_job
from ...policies.request import KINDS, parse_job
from ...policies.template import job_text
from ..progress import Progress, quietly
from .buying import bought
from .completion import of_completion
from .finding import Finding
from .labels import of_labels
from .lookalike import of_lookalike
from .model import of_model

Learns = LookalikeJob | ModelJob | CompletionJob
"""Jobs that learn from people."""


@dataclass(frozen=True, slots=True)
class Audit:
    """findings, in order. left_out: tests that would say nothing here, and why."""

    kind: str
    epsilon: float
    delta: float
    mu: float
    cells: int
    findings: tuple[Finding, ...]
    left_out: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return all(finding.holds for finding in self.findings)


def job_to_audit(contract: Contract, data: bytes, rule: Allowance, epsilon: float) -> Learns:
    """The job that `rule` allows, as `passbox job new` drafts it, whatever caps say. rule: of a kind that learns."""
    lines = KINDS[rule.job].draft(contract, None)
    job = parse_job(job_text(rule.job, digest(data), lines, rule.recipients, epsilon).encode())
    assert isinstance(job, Learns)  # noqa: S101 - the caller ensures it
    return job


def audit(contract: Contract, data: bytes, job: Learns, runs: int | None = None, progress: Progress = quietly) -> Audit:
    """What canaries show of one job. data: the contract's bytes. runs: in each world; None for as many as it takes.

    Errors: Refused where labels would be drawn at an ε that is not charged in whole units, before anything is drawn.
    """
    labels = isinstance(job, LookalikeJob) and contract.dataset[job.seed].budget.responses is not None
    if labels:
        refuse_digits(job.epsilon)
    delta = delta_of_job(contract, job)
    mu = math.sqrt(2 * rho_within(Budget(Epsilon(job.epsilon), delta)) / RHO_UNIT)
    times = runs_for(mu) if runs is None else runs
    findings, left_out = _found(contract, data, job, times, progress)
    if labels and isinstance(job, LookalikeJob):
        findings += of_labels(contract, data, job)
    cells = bought(contract, data, job)[0].specification.cells
    return Audit(job.kind, job.epsilon, delta, mu, cells, tuple(findings), left_out)


def _found(
    contract: Contract, data: bytes, job: Learns, runs: int, progress: Progress
) -> tuple[list[Finding], tuple[str, ...]]:
    if isinstance(job, ModelJob):
        return of_model(contract, data, job, runs, progress)
    if isinstance(job, CompletionJob):
        return of_completion(contract, data, job, runs, progress)
    return of_lookalike(contract, data, job, runs, progress)

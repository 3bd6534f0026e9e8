"""The first draft of a job, held against the contract before anybody signs it.

A room decides again, with what it then knows: data sets, and what was spent.
"""

from __future__ import annotations

from datetime import date

from ..dp.accounting import largest_job
from ..dp.budget import EPSILON_UNIT, LARGEST_EPSILON, Epsilon, said_down
from ..policies.accounts import account, caps_of, responses_account
from ..policies.agreement import Agreement
from ..policies.check import Refused, Submitted, check
from ..policies.contract import Allowance, Contract, digest
from ..policies.jobs.draw import Shape
from ..policies.jobs.job import Job
from ..policies.price import delta_of_job, protected
from ..policies.request import KINDS, Request, parse_job
from ..policies.template import job_text


def draft_job(contract: Contract, data: bytes, rule: Allowance, epsilon: float, size: int | None) -> str:
    """A job of the kind that `rule` allows, as commented TOML.

    data: the contract's bytes. epsilon: above 0 and at most 64. size: people asked for, where the kind hands out
    people; None for the contract's smallest. Errors: Refused where no room under this contract could ever run it.
    """
    text = job_text(rule.job, digest(data), KINDS[rule.job].draft(contract, size), rule.recipients, epsilon)
    _refuse_dear(contract, parse_job(text.encode()), digest(data), "say `--epsilon {:g}` or less")
    return text


_SMALLEST = Shape(cells=1, bits=1, l2_squared=1)
"""Of all shapes that for which the least ε is too small: the true one takes long to import."""


def refusal(agreement: Agreement, job: Job, asker: str, today: date) -> Refused | None:
    """Why no room under this contract would ever run a job, whatever is submitted; None where one might.

    It is checked as a room would check it, with lists as short as the contract admits: there δ and the minimums are
    refused last.
    """
    contract = agreement.contract
    known = [name for name in job.datasets() if name in contract.dataset]
    lists = {name: Submitted("0" * 64, job.fewest_rows(contract, name), today) for name in known}
    try:
        check(agreement, Request(job, b"", asker, ""), lists, lambda *_: _SMALLEST, today)
        _refuse_dear(agreement.contract, job, agreement.digest, "write epsilon = {:g} or less")
    except Refused as refused:
        return refused
    return None


def _refuse_dear(contract: Contract, job: Job, under: str, ask: str) -> None:
    """ask: the remedy, with a place for the largest ε."""
    most = largest_ever(contract, job, under)
    if job.epsilon > most:
        said = said_down(most)
        raise Refused(
            "budget",
            f"ε {job.epsilon:g} is asked, and one such job may take at most ε {said:g} of the contract's caps",
            ask.format(said) if said > 0 else "agree on a larger budget",
        )


def largest_ever(contract: Contract, job: Job, under: str) -> Epsilon:
    """The largest ε of such a job that fits while nothing is spent: into the caps of those who pay, and into what may
    be spent of them before a witness cosigns. under: SHA-256 of the contract's bytes, in hex."""
    window = contract.window()
    caps = {cap.account: cap.rho for cap in caps_of(contract, under)}
    of = responses_account if job.randomised else account
    paying = {of(contract.dataset[name].owner) for name in protected(contract, job)}
    most = [window.most(caps[name]) if window else caps[name] for name in paying]
    if not most:  # nobody's people are shown to anybody else
        return Epsilon(LARGEST_EPSILON)
    if job.randomised:
        return Epsilon(min(most) / EPSILON_UNIT)
    return largest_job(min(most), delta_of_job(contract, job))

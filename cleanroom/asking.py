"""The first draft of a job, held against the contract before anybody signs it.

A room decides again, with what it then knows: data sets, and what was spent.
"""

from __future__ import annotations

from ..dp.accounting import largest_job
from ..dp.budget import LARGEST_EPSILON, Epsilon
from ..policies.check import Refused
from ..policies.contract import Allowance, Contract, digest
from ..policies.price import account, caps_of, delta_of_job, protected
from ..policies.request import Job, parse_job
from ..policies.template import job_text


def draft_job(contract: Contract, data: bytes, rule: Allowance, epsilon: float, size: int | None) -> str:
    """A job of the kind that `rule` allows, as commented TOML.

    data: the contract's bytes. epsilon: above 0 and at most 64. size: of a lookalike's audience; None for the
    contract's smallest. Errors: Refused where no room under this contract could ever run it.
    """
    people = next((name for name, held in contract.dataset.items() if held.columns), next(iter(contract.dataset)))
    seed = next((name for name in contract.dataset if name != people), people)
    chosen = contract.rules.smallest_audience if size is None else size
    _refuse_small(contract, chosen)
    text = job_text(rule.job, digest(data), people, seed, rule.recipients, epsilon, chosen)
    _refuse_dear(contract, parse_job(text.encode()), digest(data))
    return text


def _refuse_small(contract: Contract, size: int) -> None:
    least = contract.rules.smallest_audience
    if size < least:
        raise Refused(
            "rules.smallest_audience",
            f"an audience of {size} is asked, at least {least} are needed",
            f"say `--size {least}` or more",
        )


def _refuse_dear(contract: Contract, job: Job, under: str) -> None:
    most = largest_ever(contract, job, under)
    if job.epsilon > most:
        raise Refused(
            "budget",
            f"ε {job.epsilon:g} is asked, and one such job may take at most ε {most:g} of the contract's caps",
            f"say `--epsilon {most:g}` or less" if most > 0 else "agree on a larger budget",
        )


def largest_ever(contract: Contract, job: Job, under: str) -> Epsilon:
    """The largest ε of such a job that fits while nothing is spent: into the caps of those who pay, and into what may
    be spent of them before a witness cosigns. under: SHA-256 of the contract's bytes, in hex."""
    window = contract.window()
    caps = {cap.account: cap.rho for cap in caps_of(contract, under)}
    paying = {account(contract.dataset[name].owner) for name in protected(contract, job)}
    most = [window.most(caps[name]) if window else caps[name] for name in paying]
    if not most:  # nobody's people are shown to anybody else
        return Epsilon(LARGEST_EPSILON)
    return largest_job(min(most), delta_of_job(contract, job))

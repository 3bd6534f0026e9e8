"""What people are told beside the numbers: who learns what, and what deserves a second look."""

from __future__ import annotations

from collections.abc import Iterable

from .contract import Contract
from .request import Job, LookalikeJob

EPSILON_TO_EXPLAIN = 4.0
"""Above this ε a plan warns: a test for one person's presence is then right far too often."""


def names(found: Iterable[str]) -> str:
    """Names as people read a list of them."""
    return ", ".join(sorted(found))


def warnings(contract: Contract, job: Job, rows: dict[str, int]) -> tuple[str, ...]:
    """rows: accepted rows of each data set that pays."""
    found: list[str] = []
    for name, count in rows.items():
        delta = contract.dataset[name].budget.delta
        if count and delta > 1 / (10 * count):
            found.append(f"δ {delta:g} of {name} is above 1/(10 n) for its {count} rows: agree on a smaller one")
    if job.epsilon > EPSILON_TO_EXPLAIN:
        found.append(
            f"ε {job.epsilon:g} is weak protection: `passbox plan --explain` says what a reader could find out"
        )
    return tuple(found)


def operator_sentence(contract: Contract) -> str | None:
    """What it means that a data party operates the room, in one sentence; None where a neutral party does."""
    if not contract.operator_owns_data():
        return None
    operator = contract.room.operator
    others = names(name for name in contract.data_parties if name != operator)
    return (
        f"{operator} operates this room and owns data in it: it holds the match key and could look at who matches, "
        f"so what {others} keeps secret from {operator} rests on {operator} running the code honestly"
    )


def learns(contract: Contract, job: Job) -> tuple[str, ...]:
    """Who learns what, in sentences for the release."""
    seed_owner, owner = contract.dataset[job.seed].owner, contract.dataset[job.people].owner
    readers = names(contract.readers(tuple(job.recipients)))
    if isinstance(job, LookalikeJob):
        said = [
            f"{owner} gets IDs of its own people, chosen by a model of {job.seed} fitted in noise (ε {job.epsilon:g})",
            f"{seed_owner} learns nothing from this release; once a campaign runs it sees who arrives, and may infer "
            "that they resemble its buyers: no ε covers that",
            "people on the seed list get no special treatment: the audience is a ranking, not the list",
        ]
    else:
        learn = "learn" if ", " in readers else "learns"
        said = [f"{readers} {learn} how many records are in both data sets, with noise (ε {job.epsilon:g})"]
    sentence = operator_sentence(contract)
    return (*said, sentence) if sentence else tuple(said)

"""What people are told beside the numbers: who learns what, and what deserves a second look."""

from __future__ import annotations

from collections.abc import Iterable

from .contract import Contract

EPSILON_TO_EXPLAIN = 4.0
"""Above this ε a plan warns: a test for one person's presence is then right far too often."""


def names(found: Iterable[str]) -> str:
    """Names as people read a list of them."""
    return ", ".join(sorted(found))


def warnings(contract: Contract, epsilon: float, rows: dict[str, int]) -> tuple[str, ...]:
    """epsilon: of the job. rows: accepted rows of each data set that pays."""
    found: list[str] = []
    for name, count in rows.items():
        delta = contract.dataset[name].budget.delta
        if count and delta > 1 / (10 * count):
            found.append(f"δ {delta:g} of {name} is above 1/(10 n) for its {count} rows: agree on a smaller one")
    if epsilon > EPSILON_TO_EXPLAIN:
        found.append(f"ε {epsilon:g} is weak protection: `passbox plan --explain` says what a reader could find out")
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

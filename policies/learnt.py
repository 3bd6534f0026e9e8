"""Columns that a contract's jobs learn from, and those that a completion may tell."""

from __future__ import annotations

from .contract import ChoiceColumn, Contract, FlagColumn, SetColumn

LEARNABLE = ("number", "category", "ordinal", "set")
"""Kinds of columns that features are made of."""
LEARNING = ("lookalike", "model", "completion")
"""Kinds of jobs that learn from people, and that an audit covers (`passbox audit model`)."""
TARGETS = (ChoiceColumn, FlagColumn, SetColumn)


def learnable(contract: Contract, dataset: str) -> list[str]:
    """Columns that a model learns from, in the contract's order."""
    return [name for name, held in contract.dataset[dataset].columns.items() if held.kind in LEARNABLE]


def unlearnable(contract: Contract) -> tuple[str, ...]:
    """What the contract allows and would refuse each time, for nothing is declared that a model learns from."""
    people = {name: rule for name, rule in contract.dataset.items() if rule.rows == "people"}
    asked: dict[str, set[str]] = {}
    for rule in contract.rules.allow:
        if rule.job in LEARNING:
            asked.setdefault(rule.job, set()).update(rule.recipients)
    said = []
    for job, readers in asked.items():
        mine = [name for name, rule in people.items() if job == "model" or rule.owner in readers]
        if mine and not any(learnable(contract, name) for name in mine):
            have = "has" if len(mine) == 1 else "have"
            said.append(
                f"every {job} will be refused: {' and '.join(mine)} {have} no columns to learn from; declare some "
                f"under [dataset.{mine[0]}], as `contract new --from FILE` proposes them"
            )
    return tuple(said)


def wanted(contract: Contract, dataset: str) -> list[str]:
    """Columns that can be targets of a completion."""
    return [name for name, column in contract.dataset[dataset].columns.items() if isinstance(column, TARGETS)]


def pairs(contract: Contract) -> list[tuple[str, str]]:
    """People and attributes of two owners, with columns to learn from and columns to want."""
    return [
        (people, attributes)
        for attributes in contract.dataset
        for people in contract.dataset
        if contract.dataset[people].owner != contract.dataset[attributes].owner
        and wanted(contract, attributes)
        and learnable(contract, people)
    ]

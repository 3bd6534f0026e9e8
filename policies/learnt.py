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

"""What a declared column holds, in words: for who signs a contract, and for who writes the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..policies.contract import Column

_MOST_VALUES = 20
"""Values that are named to who writes a file; `passbox contract show` names all."""


def domain(column: Column) -> str:
    """What may stand in a column."""
    if column.kind == "number":
        return f"a number from {_exact(column.bounds[0])} to {_exact(column.bounds[1])}"
    if column.kind == "date":
        return f"a day from {column.bounds[0]} to {column.bounds[1]}"
    if column.kind == "flag":
        return "yes or no"
    if column.kind == "household":
        return "a household, such as an IP address; keyed before it leaves"
    if column.kind == "text":
        return "text, of which only what many people share can show"
    if column.kind == "category":
        return f"one of {', '.join(column.values)}"
    if column.kind == "ordinal":
        return f"one of {' < '.join(column.values)}"
    return f"up to {column.at_most} of {', '.join(column.values)}"


def written(column: Column) -> str:
    """The same as a file has it, with the forms that are read."""
    if column.kind == "date":
        return f"{domain(column)}, written in this form"
    if column.kind == "flag":
        return "yes or no, true or false, 1 or 0"
    if column.kind == "set":
        return f"{_first(column.values)}, with `|` between several"
    return f"one of {_first(column.values)}" if column.kind in ("category", "ordinal") else domain(column)


def _exact(bound: float) -> str:
    """A bound is a promise: no digit of it is rounded away."""
    return repr(float(bound)).removesuffix(".0")


def _first(values: Sequence[str]) -> str:
    if len(values) <= _MOST_VALUES:
        return ", ".join(values)
    return f"{', '.join(values[:_MOST_VALUES])} and {len(values) - _MOST_VALUES:,} more (`passbox contract show`)"

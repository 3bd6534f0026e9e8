"""What `--json` says of a share that noise hides: no estimate, where the tables say "not known".

A release holds a number there all the same, since what its reader recomputes is compared with it figure by figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from ..show import is_open
from .model import lift_is_open

_FIGURE = {"estimate", "low", "high", "covers"}
LEARNT = ("lookalike", "model", "completion")
"""Kinds whose shares are figures of people held out."""


def without_hidden(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document whose shares have no estimate where their interval holds all that is possible: 0 to 1; and
    lifts likewise."""
    if document["kind"] not in LEARNT:
        return dict(document)
    return {name: _shown(value) for name, value in document.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    if _is_figure(value):
        return _unknown(value) if _holds_all(value) else value
    shown = {name: _shown(each) for name, each in value.items()}
    if "lift" in value and "gain" in value and _lift_is_open(value):
        shown["lift"] = _unknown(value["lift"])
    return shown


def _lift_is_open(cut: Mapping[str, Any]) -> bool:
    """A lookalike knows the share of people; a model's is a figure as well."""
    return lift_is_open(cut) if _is_figure(cut["share"]) else is_open(cut["gain"])


def _unknown(figure: Mapping[str, Any]) -> dict[str, Any]:
    return {**figure, "estimate": None}


def _is_figure(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping) and value.keys() == _FIGURE


def _holds_all(figure: Mapping[str, Any]) -> bool:
    """Of shares alone: a number of people reaches further than 1, and an effect's ends are no 0 and no 1."""
    return is_open(figure) and figure["low"] == 0 and figure["high"] <= 1

"""Every kind of release as a person sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..receipt import cost, ledger_entries
from ..show import Part
from . import completion, lookalike, model, overlap, tables

REPORTS: dict[str, Callable[[Mapping[str, Any]], list[Part]]] = {
    "lookalike": lookalike.parts,
    "model": model.parts,
    "completion": completion.parts,
    "overlap": overlap.parts,
    "aggregate": tables.parts,
    "reach": tables.parts,
    "frequency": tables.parts,
    "campaign": tables.parts,
    "topics": tables.parts,
}
"""The tables and plots of a document (`cleanroom.document`), by its kind."""


def report(document: Mapping[str, Any]) -> list[Part]:
    """What a release says, who learns what from it, and where it was paid for."""
    parts: list[Part] = [f"{document['kind']} {document['id']}: {document['purpose']}"]
    parts += REPORTS[document["kind"]](document)
    parts += [f"- {sentence}" for sentence in document["who_learns_what"]]
    entries = document["receipt"]["entries"]
    ahead = {item["sequence"]: item["ahead"] for item in entries if item.get("ahead") is not None}
    paid = ledger_entries([item["sequence"] for item in entries], ahead)
    return [*parts, cost(entries), f"receipt: {paid}, checked against the noisy numbers in this file"]

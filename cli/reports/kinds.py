"""Every kind of release as a person sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..receipt import RHO, cost, drawn, ledger_entries
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


def report(document: Mapping[str, Any], caps: Mapping[str, int] | None = None) -> list[Part]:
    """What a release says, who learns what from it, and where it was paid for. caps: of the accounts, by a contract at
    hand."""
    entries = document["receipt"]["entries"]
    parts: list[Part] = [f"{document['kind']} {document['id']}: {document['purpose']}", *drawn(entries)]
    parts += REPORTS[document["kind"]](document)
    parts += [f"- {sentence}" for sentence in document["who_learns_what"]]
    ahead = {item["sequence"]: item["ahead"] for item in entries if item.get("ahead") is not None}
    paid = ledger_entries([item["sequence"] for item in entries], ahead)
    return [*parts, cost(entries, caps), RHO, f"receipt: {paid}, checked against the noisy numbers in this file"]

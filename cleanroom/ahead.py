"""Noise that was paid ahead: which entry of the log carries the charge of a statistic that was settled after."""

from __future__ import annotations

import json
from collections.abc import Sequence


def paid_ahead(leaves: Sequence[bytes]) -> dict[int, int]:
    """For each entry that settles opened noise, or releases it once more: where its `open` entry stands. Nothing for
    what was drawn and paid for at once."""
    opened: dict[str, int] = {}
    found: dict[int, int] = {}
    for place, leaf in enumerate(leaves):
        entry = json.loads(leaf)
        if entry["kind"] == "open":
            opened.setdefault(entry["key"], place)
        elif entry["kind"] in ("outcome", "release") and entry["key"] in opened:
            found[place] = opened[entry["key"]]
    return found

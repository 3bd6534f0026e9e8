"""Which entries of the log carry the charge of a release, where it is not the one that holds its noise: noise that was
paid ahead and settled after, and noise that was drawn for others before.
"""

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


def released_by(leaves: Sequence[bytes], job: str) -> tuple[int, ...]:
    """Where a job was let read noise, whoever it was drawn for. job: SHA-256 of its bytes, in hex."""
    entries = map(json.loads, leaves)
    return tuple(n for n, e in enumerate(entries) if e.get("job") == job and e["kind"] in ("outcome", "release"))

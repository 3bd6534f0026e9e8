"""Whether a release stands in the published history of a ledger, and who vouches for it.

A receipt alone shows that its entries are in some log that the room signed. Who copies a room with its keys can draw in
each copy, and hand out the draw it likes best with a receipt that holds. Only one of those logs can ever be cosigned,
though: a reader who wants more than the operator's word holds a release against a cosigned copy of the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..policies.agreement import Agreement
from .ahead import paid_ahead
from .audit import verify_log
from .log import Log
from .release import BadRelease


@dataclass(frozen=True, slots=True)
class Vouched:
    """entries: places of the release's entries in the log. by: witnesses that have cosigned all of them."""

    entries: tuple[int, ...]
    by: tuple[str, ...]


def vouched(path: Path, document: Mapping[str, Any], log: Log, agreement: Agreement) -> Vouched:
    """Verify the ledger, and find the release's entries in it. Errors: LedgerBroken; BadRelease where one is not there.

    document: as `opening.open_release` gives it. Nothing may be here, too, because the copy is older than the release.
    """
    witnessed = verify_log(log, agreement).witnessed
    stated = {item["sequence"]: item["entry"].encode() for item in document["receipt"]["entries"]}
    for place, entry in stated.items():
        if place >= len(log.entries):
            raise BadRelease(path, f"this copy of the ledger ends before entry {place}", "ask for a newer copy")
        if log.entries[place] != entry:
            rule = f"entry {place} of this ledger is another: it was drawn in another history of the room"
            raise BadRelease(path, rule, "keep both, and ask the operator", tampered=True)
    _refuse_other_charge(path, document, log)
    by = tuple(sorted(name for name, size in witnessed.items() if size > max(stated)))
    return Vouched(tuple(sorted(stated)), by)


def _refuse_other_charge(path: Path, document: Mapping[str, Any], log: Log) -> None:
    """What it names as paid ahead must be what the log says. A release of before it was named names nothing."""
    ahead = paid_ahead(log.entries)
    for item in document["receipt"]["entries"]:
        if item.get("ahead") not in (None, ahead.get(item["sequence"])):
            rule = f"entry {item['ahead']} did not pay for it"
            raise BadRelease(path, rule, "ask the operator", tampered=True)

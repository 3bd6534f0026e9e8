"""Whether a release stands in the published history of a ledger, and who vouches for it.

A receipt alone shows that its entries are in some log that the room signed. Who copies a room with its keys can draw in
each copy, and hand out the draw it likes best with a receipt that holds. Only one of those logs can ever be cosigned,
though: a reader who wants more than the operator's word holds a release against a cosigned copy of the ledger.

Noise that one reader has is handed to another for a charge, or none, of its own: an entry of the same key names the
new reader. The receipt holds the entry that drew the noise; that the others stand in the log is found here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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
    """entries: places in the log of what the receipt names, and of what lets later readers read it. by: witnesses that
    have cosigned all of them."""

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
    keys = {json.loads(entry)["key"] for entry in stated.values()}
    places = sorted({*stated, *(place for key in keys for place in _let_read(path, document["recipients"], key, log))})
    by = tuple(sorted(name for name, size in witnessed.items() if size > places[-1]))
    return Vouched(tuple(places), by)


def _let_read(path: Path, readers: Sequence[str], key: str, log: Log) -> Iterator[int]:
    """Places of the entries that first name each of these readers of a statistic. Errors: BadRelease."""
    missing = set(readers)
    for place, entry in enumerate(map(json.loads, log.entries)):
        if entry.get("key") == key and missing & set(entry["recipients"]):
            missing -= set(entry["recipients"])
            yield place
    if missing:
        rule = f"this copy of the ledger does not let {', '.join(sorted(missing))} read it"
        raise BadRelease(path, rule, "ask for a newer copy; where it says the same, ask the operator who paid for it")


def _refuse_other_charge(path: Path, document: Mapping[str, Any], log: Log) -> None:
    """What it names as paid ahead must be what the log says. A release of before it was named names nothing."""
    ahead = paid_ahead(log.entries)
    for item in document["receipt"]["entries"]:
        if item.get("ahead") not in (None, ahead.get(item["sequence"])):
            rule = f"entry {item['ahead']} did not pay for it"
            raise BadRelease(path, rule, "ask the operator", tampered=True)

"""What a test reads in a ledger: what was spent, what was logged, and that both hold together."""

from __future__ import annotations

import json
from typing import Any

from passbox.dp import tree
from passbox.dp.canonical import canonical
from passbox.dp.ledger import Ledger
from passbox.dp.note import verify_checkpoint

ADVERTISER, SHOP = "advertiser/record", "shop/record"


def spent(ledger: Ledger, account: str = ADVERTISER) -> int:
    return ledger.accounts()[account].spent


def entries(ledger: Ledger, kind: str = "release") -> list[dict[str, Any]]:
    return [entry for entry in map(json.loads, ledger.leaves()) if entry["kind"] == kind]


def holds_together(ledger: Ledger, vkey: str) -> None:
    """Balances are the sums of the log, every entry is under the checkpoint, hours and numbers only grow."""
    leaves, note = ledger.log()
    head = verify_checkpoint(note, vkey)
    assert (head.size, head.root) == (len(leaves), tree.root_of(map(tree.leaf_hash, leaves)))
    parsed = [json.loads(leaf) for leaf in leaves]
    assert [canonical(entry) for entry in parsed] == leaves
    assert [entry["seq"] for entry in parsed] == list(range(len(parsed)))
    assert [entry["time"] for entry in parsed] == sorted(entry["time"] for entry in parsed)
    for name, account in ledger.accounts().items():
        charges = [c for entry in parsed for c in entry.get("charges", []) if c["account"] == name]
        assert [c["before"] for c in charges] == [sum(p["rho"] for p in charges[:i]) for i in range(len(charges))]
        assert account.spent == sum(c["rho"] for c in charges) <= account.cap

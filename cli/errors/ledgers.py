"""Ledgers, their copies and their witnesses."""

from __future__ import annotations

from typing import Any

from ..explanation import BAD_INPUT, BUDGET, REFUSED, SIGNATURE, Explanation, Words, placed, simple


def _ledger_broken(error: Any) -> Explanation:
    where = "the log" if error.entry is None else f"entry {error.entry}"
    hint = "keep this copy and ask the operator"
    if "contract's room" in error.rule:
        hint = f"see whether `--contract` is this room's: another contract names another room; if it is, {hint}"
    return Explanation("ledger-broken", f"{where} does not hold: {error.rule}", hint, SIGNATURE)


WORDS: dict[str, Words] = {
    "BadCosignature": placed("cosignature", BAD_INPUT),
    "WindowFull": simple(
        "window",
        "{e.account} may not be spent so far ahead of the last cosigned entry",
        "`passbox ledger export`, let a witness run `passbox ledger cosign`, then `passbox ledger accept`",
        BUDGET,
    ),
    "RolledBack": simple(
        "rolled-back",
        "this ledger has {e.size} entries, and {e.witness} has cosigned {e.seen} of it: it was rolled back",
        "a witness keeps this copy and its `--seen` file, cosigns nothing, and asks the operator for a newer export; "
        "the operator restores the newest copy: a room that was told of this pays for nothing until then",
        SIGNATURE,
    ),
    "Forked": simple(
        "forked",
        "{e.witness} has cosigned another history of this ledger, up to entry {e.seen}: there are two of them",
        "keep both copies and ask the operator: somebody was shown another ledger",
        SIGNATURE,
    ),
    "Closed": simple(
        "closed",
        "this ledger is closed: its accounts went on under another contract (sha256 {e.following:.12}...)",
        "ask in the room of that contract",
        REFUSED,
    ),
    "NotRecoverable": simple("recover", "{e.rule}", "{e.remedy}", REFUSED),
    "LedgerDamaged": simple(
        "ledger-damaged", "the ledger is damaged: {e.part}", "restore it from the disk's backup", SIGNATURE
    ),
    "LedgerBroken": _ledger_broken,
    "NotAnEntry": simple(
        "ledger-broken",
        "entry {e.entry} does not have the shape of an entry, so nothing of this copy is shown",
        "`passbox ledger verify` says more; keep this copy and ask the operator for another",
        SIGNATURE,
    ),
    "NoLog": placed("no-ledger", BAD_INPUT),
    "BadLog": simple(
        "bad-export", "{e.path}: {e.rule}", "ask the operator for `passbox ledger export` again", SIGNATURE
    ),
}

"""Rooms: what one cannot do, and what it refuses a job for."""

from __future__ import annotations

from typing import Any

from ..explanation import BAD_INPUT, BUDGET, INTERNAL, REFUSED, SIGNATURE, USAGE, Explanation, Words, placed, simple
from ..words import clause_said


def _refused(error: Any) -> Explanation:
    return Explanation("refused", f"{clause_said(error.clause)}: {error.rule}", error.remedy, REFUSED)


def _budget(error: Any) -> Explanation:
    return Explanation("budget", error.message, error.hint, BUDGET)


WORDS: dict[str, Words] = {
    "RoomUnusable": placed("room", BAD_INPUT),
    "StoreDamaged": simple(
        "store", "{e.path}: it does not open under the room's key", "restore it, or submit again", SIGNATURE
    ),
    "NotMatched": simple(
        "not-matched", "{e.people} and {e.seed} were not matched yet", "type `passbox match {e.room}`", BAD_INPUT
    ),
    "Refused": _refused,
    "InvalidQuery": simple("query", "{e.where}: {e.rule}", "{e.remedy}", BAD_INPUT),
    "NoTarget": simple("target", "{e.rule}", "{e.remedy}", USAGE),
    "EpsilonTooSmall": simple("refused", "no noise keeps to so small an epsilon", "ask a larger one", REFUSED),
    "Unaffordable": _budget,
    "SelectionSpent": _budget,
    "BudgetExceeded": simple(
        "budget", "the account {e.account} does not hold what this costs", "`passbox ledger show`", BUDGET
    ),
    "UnpaidPart": simple("unpaid", "{e.rule}", "this is a fault of passbox: please report it", INTERNAL),
    "JobUsed": simple(
        "refused", "this signed job was run on earlier submissions", "sign it again with the next serial", REFUSED
    ),
    "NoiseLost": simple(
        "noise-lost",
        "this statistic was drawn before the disk was lost, and its bytes with it: it is never drawn again",
        "ask another one: with another epsilon, or other columns",
        REFUSED,
    ),
    "BadRelease": placed("release", BAD_INPUT),
}

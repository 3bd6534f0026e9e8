"""What an auditor has seen of a log so far, and how it says that something does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..dp.account import Cap
from ..dp.canonical import Json, canonical
from ..dp.carry import Carried
from ..policies.agreement import Agreement
from .bundle import Manifest
from .log import Log

Entry = dict[str, Any]  # JSON from outside: compared with what it must be, never believed


class LedgerBroken(Exception):
    """A log does not hold. entry: the first bad one, or None where the whole does not fit. rule: which."""

    def __init__(self, entry: int | None, rule: str) -> None:
        super().__init__(entry, rule)
        self.entry, self.rule = entry, rule


@dataclass
class Books:
    """What was seen so far.

    paid: key to the accounts that paid for it. first: key to the entry that drew it. settled: key of opened noise to
    what its outcome commits to. beside: keys whose charge covers another release already. readers: key to who reads it.
    jobs: signed job to its submissions. made: when the newest submission so far was made. used: all submissions so far,
    the newest last. manifests: those whose signature held, by data set and digest. to_carry: what earlier ledgers leave
    to this one, until it stands in the log.
    """

    log: Log
    agreement: Agreement
    caps: dict[str, Cap] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    paid: dict[str, set[str]] = field(default_factory=dict)
    first: dict[str, Entry] = field(default_factory=dict)
    beside: set[str] = field(default_factory=set)
    readers: dict[str, set[str]] = field(default_factory=dict)
    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    settled: dict[str, str] = field(default_factory=dict)
    made: dict[str, datetime] = field(default_factory=dict)
    used: dict[str, list[str]] = field(default_factory=dict)
    manifests: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    to_carry: list[Carried] = field(default_factory=list)
    closed: str = ""
    hour: str = ""
    denials: int = 0


def require(holds: bool, rule: str) -> None:
    """Errors: LedgerBroken with the rule, whose entry `recompute.read_entry` names."""
    if not holds:
        raise LedgerBroken(None, rule)


def require_same(entry: Mapping[str, Any], expected: Mapping[str, Json], what: str = "its") -> None:
    """Equal as canonical JSON, where 1 and true are two things; only where they differ it is looked for where."""
    if canonical(entry) == canonical(expected):
        return
    for name, value in expected.items():
        require(name in entry, f"{what} {name} is missing")
        same = canonical(entry[name]) == canonical(value)
        require(same, f"{what} {name} is not what the signed contract, job and manifests make it")
    require(set(entry) == set(expected), f"{what} parts are more than there are")

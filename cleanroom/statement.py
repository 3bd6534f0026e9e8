"""What a ledger says, for people: accounts, entries that match a filter, and how each cap was spent over time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..dp.accounting import epsilon_of, largest_job
from ..dp.budget import Delta, Rho


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries to list; an empty field lets all through. since, until: prefixes of an hour, such as 2026-11."""

    dataset: str = ""
    party: str = ""
    purpose: str = ""
    since: str = ""
    until: str = ""

    def lets(self, entry: dict[str, Any]) -> bool:
        """party: who asked, reads or is charged. purpose: text that it holds, whatever its case."""
        datasets = entry.get("specification", {}).get("datasets", {})
        accounts = [charge["account"] for charge in entry.get("charges", [])] + [entry.get("account", "")]
        parties = {entry.get("asker"), *entry.get("recipients", []), *(name.partition("/")[0] for name in accounts)}
        return (
            (not self.dataset or self.dataset in datasets)
            and (not self.party or self.party in parties)
            and self.purpose.casefold() in entry.get("purpose", "").casefold()
            and (not self.since or entry["time"] >= self.since)
            and (not self.until or entry["time"][: len(self.until)] <= self.until)
        )


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One account. spent, cap, largest_job: in ε at its δ. rho, rho_cap: whole units of 10^-12, which add up."""

    account: str
    owner: str
    spent: float
    cap: float
    delta: float
    rho: Rho
    rho_cap: Rho
    largest_job: float

    @property
    def share(self) -> float:
        return self.rho / self.rho_cap


@dataclass(frozen=True, slots=True)
class Burn:
    """How much of a cap was left after a day on which it was charged."""

    account: str
    day: str
    left: float


@dataclass(frozen=True, slots=True)
class Statement:
    """accounts: over the whole ledger. entries: those the filter lets through, as they were logged."""

    accounts: tuple[AccountLine, ...]
    entries: tuple[dict[str, Any], ...]
    burns: tuple[Burn, ...]


def statement(leaves: Sequence[bytes], chosen: Filter) -> Statement:
    """Read a log that was verified, or is one's own."""
    entries = [json.loads(leaf) for leaf in leaves]
    caps = [entry for entry in entries if entry["kind"] == "cap"]
    return Statement(
        tuple(_account(cap, entries) for cap in caps),
        tuple(entry for entry in entries if chosen.lets(entry)),
        tuple(burn for cap in caps for burn in _burns(cap, entries)),
    )


def _charged(entry: dict[str, Any], account: str) -> int:
    return sum(charge["rho"] for charge in entry.get("charges", []) if charge["account"] == account)


def _account(cap: dict[str, Any], entries: Sequence[dict[str, Any]]) -> AccountLine:
    spent = Rho(sum(_charged(entry, cap["account"]) for entry in entries))
    delta, rho_cap = Delta(float(cap["delta"])), Rho(cap["rho"])
    return AccountLine(
        cap["account"],
        cap["owner"],
        epsilon_of(spent, delta),
        float(cap["epsilon"]),
        delta,
        spent,
        rho_cap,
        largest_job(Rho(rho_cap - spent), delta),
    )


def _burns(cap: dict[str, Any], entries: Sequence[dict[str, Any]]) -> list[Burn]:
    left: dict[str, float] = {}
    spent = 0
    for entry in entries:
        spent += _charged(entry, cap["account"])
        if spent:
            left[entry["time"][:10]] = 1 - spent / cap["rho"]
    return [Burn(cap["account"], day, share) for day, share in left.items()]

"""What a ledger says, for people: accounts, entries that match a filter, and how each cap was spent over time.

A copy may be shown before it was verified, so nothing of an entry is believed but its shape: what is shown of each kind
is listed below, and an entry that lacks it is named. Whether it is true says `cleanroom.audit`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ..dp.accounting import epsilon_of, largest_job
from ..dp.budget import DELTA_UNIT, EPSILON_UNIT, Delta, Rho
from ..dp.canonical import canonical
from ..dp.note import BadNote, parse_note
from ..dp.window import Window
from ..policies.accounts import counts_delta, counts_epsilon
from ..policies.contract import InvalidContract, parse
from .log import Log


class NotAnEntry(Exception):
    """An entry does not have the shape of one. entry: its place in the log."""

    def __init__(self, entry: int) -> None:
        super().__init__(entry)
        self.entry = entry


# -- what is shown of an entry ---------------------------------------------------------------------------------------

SMALLEST_DELTA = 1e-100
MOST = 10**30
"""A figure above which nothing was ever counted."""
DEEPEST = 10
"""Lists and objects inside each other; an entry has four."""
Hour = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:00Z$")]
Amount = Annotated[int, Field(ge=0, le=MOST)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class _Charge(_Shape):
    account: str
    dataset: str = ""
    rho: Amount


class _Statistic(_Shape):
    statistic: str
    datasets: dict[str, str]
    columns: list[str] = []


class _Entry(_Shape):
    """What an entry of any kind holds, and what it may hold."""

    kind: str
    seq: Amount
    time: Hour
    purpose: str = ""
    account: str = ""
    asker: str = ""
    recipients: list[str] = []
    specification: _Statistic | None = None
    charges: list[_Charge] = []


class _Cap(_Entry):
    account: str
    owner: str
    epsilon: Annotated[float, Field(strict=False, ge=0, le=64)]
    delta: Annotated[float, Field(strict=False, ge=0, lt=1)]
    rho: Annotated[int, Field(ge=1, le=MOST)]

    @model_validator(mode="after")
    def _only_labels_have_no_delta(self) -> Self:
        if self.delta < SMALLEST_DELTA and not (self.delta == 0 and counts_epsilon(self.account)):
            raise ValueError("noise needs a delta")
        return self


class _Release(_Entry):
    asker: str
    recipients: list[str]
    specification: _Statistic
    charges: list[_Charge]
    covered: list[_Charge]


class _Denial(_Entry):
    asker: str
    clause: str


class _Carry(_Entry):
    charges: list[_Charge]
    statement: str


class _Closed(_Entry):
    next: str


_SHAPES: dict[str, type[_Entry]] = {
    "cap": _Cap,
    "release": _Release,
    "open": _Release,
    "outcome": _Release,
    "denial": _Denial,
    "carry": _Carry,
    "closed": _Closed,
}


def shown(leaf: bytes, place: int) -> dict[str, Any]:
    """An entry as it was logged, once it is known to have the shape of one. Errors: NotAnEntry."""
    try:
        entry: dict[str, Any] = json.loads(leaf)
        _refuse_deep(entry, DEEPEST)
        _SHAPES[_Entry.model_validate(entry).kind].model_validate(entry)
        if canonical(entry) == leaf:
            return entry
    except (ValidationError, ValueError, TypeError, KeyError, RecursionError):
        pass
    raise NotAnEntry(place)


def _refuse_deep(value: object, left: int) -> None:
    """Errors: ValueError."""
    if left < 0:
        raise ValueError("it nests too deep")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        _refuse_deep(item, left - 1)


# -- the statement ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries to list; an empty field lets all through. since, until: prefixes of an hour, such as 2026-11."""

    dataset: str = ""
    party: str = ""
    purpose: str = ""
    since: str = ""
    until: str = ""

    def lets(self, entry: dict[str, Any]) -> bool:
        """party: who asked, reads, is charged or was for this too. purpose: text that it holds, whatever its case."""
        datasets = entry.get("specification", {}).get("datasets", {})
        paying = [*entry.get("charges", []), *entry.get("covered", [])]
        accounts = [charge["account"] for charge in paying] + [entry.get("account", "")]
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
    """One account. spent, cap: in ε at its δ. rho, rho_cap: whole units of 10^-12, which add up.

    largest_job: the largest ε that still fits, now; largest_cosigned: once a witness has cosigned all there is.
    """

    account: str
    owner: str
    spent: float
    cap: float
    delta: float
    rho: Rho
    rho_cap: Rho
    largest_job: float
    largest_cosigned: float

    @property
    def share(self) -> float:
        return self.rho / self.rho_cap


@dataclass(frozen=True, slots=True)
class SelectionLine:
    """One account of δ, kept for keys that nobody listed. spent, cap: δ."""

    account: str
    owner: str
    spent: float
    cap: float


@dataclass(frozen=True, slots=True)
class ResponsesLine:
    """One account of ε, kept for labels by randomised response. spent, cap: ε. largest_job: what still fits, now;
    largest_cosigned: once a witness has cosigned all there is."""

    account: str
    owner: str
    spent: float
    cap: float
    largest_job: float
    largest_cosigned: float


@dataclass(frozen=True, slots=True)
class Ahead:
    """How far spending may run ahead of the witnesses, and how many entries they vouch for."""

    window: Window
    witnessed: int


def ahead_of(log: Log) -> Ahead | None:
    """What a copy says of its witnesses, unchecked like the rest; None where its contract names none, or is none."""
    try:
        window, sizes = parse(log.contract.get("contract.toml", b"")).window(), dict[str, int]()
    except InvalidContract:
        return None
    for name, note in log.witnesses.items():
        with suppress(BadNote, ValueError, IndexError):
            sizes[name] = int(parse_note(note.decode("utf-8", "replace")).text.split("\n")[1])
    return Ahead(window, window.witnessed(sizes)) if window else None


@dataclass(frozen=True, slots=True)
class Burn:
    """How much of a cap was left after a day on which it was charged."""

    account: str
    day: str
    left: float


@dataclass(frozen=True, slots=True)
class Statement:
    """accounts, selections, responses: over the whole ledger. entries: those the filter lets through, as logged."""

    accounts: tuple[AccountLine, ...]
    entries: tuple[dict[str, Any], ...]
    burns: tuple[Burn, ...]
    selections: tuple[SelectionLine, ...] = ()
    responses: tuple[ResponsesLine, ...] = ()


def statement(leaves: Sequence[bytes], chosen: Filter, ahead: Ahead | None = None) -> Statement:
    """Read a log, verified or not. Errors: NotAnEntry, also where an account is charged that has no cap.

    ahead: what binds beside the caps, as `ahead_of` says.
    """
    entries = [shown(leaf, place) for place, leaf in enumerate(leaves)]
    caps = [entry for entry in entries if entry["kind"] == "cap"]
    _refuse_uncapped(entries, {cap["account"] for cap in caps})
    of_delta = [cap for cap in caps if counts_delta(cap["account"])]
    of_epsilon = [cap for cap in caps if counts_epsilon(cap["account"])]
    return Statement(
        tuple(_account(cap, entries, ahead) for cap in caps if cap not in [*of_delta, *of_epsilon]),
        tuple(entry for entry in entries if chosen.lets(entry)),
        tuple(burn for cap in caps for burn in _burns(cap, entries)),
        tuple(_selection(cap, entries) for cap in of_delta),
        tuple(_responses(cap, entries, ahead) for cap in of_epsilon),
    )


def _selection(cap: dict[str, Any], entries: Sequence[dict[str, Any]]) -> SelectionLine:
    spent = sum(_charged(entry, cap["account"]) for entry in entries)
    return SelectionLine(cap["account"], cap["owner"], spent / DELTA_UNIT, cap["rho"] / DELTA_UNIT)


def _responses(cap: dict[str, Any], entries: Sequence[dict[str, Any]], ahead: Ahead | None) -> ResponsesLine:
    spent, (now, cosigned) = sum(_charged(entry, cap["account"]) for entry in entries), _left(cap, entries, ahead)
    figures = (each / EPSILON_UNIT for each in (spent, cap["rho"], now, cosigned))
    return ResponsesLine(cap["account"], cap["owner"], *figures)


def caps_of_log(leaves: Sequence[bytes]) -> dict[str, int]:
    """What each account was capped at, as logged. Errors: NotAnEntry."""
    entries = (shown(leaf, place) for place, leaf in enumerate(leaves))
    return {entry["account"]: entry["rho"] for entry in entries if entry["kind"] == "cap"}


def _refuse_uncapped(entries: Sequence[dict[str, Any]], capped: set[str]) -> None:
    for place, entry in enumerate(entries):
        if {charge["account"] for charge in entry.get("charges", [])} - capped:
            raise NotAnEntry(place)


def _charged(entry: dict[str, Any], account: str) -> int:
    return sum(charge["rho"] for charge in entry.get("charges", []) if charge["account"] == account)


def _account(cap: dict[str, Any], entries: Sequence[dict[str, Any]], ahead: Ahead | None) -> AccountLine:
    spent = Rho(sum(_charged(entry, cap["account"]) for entry in entries))
    delta, rho_cap = Delta(float(cap["delta"])), Rho(cap["rho"])
    now, cosigned = _left(cap, entries, ahead)
    figures = (epsilon_of(spent, delta), float(cap["epsilon"]), delta, spent, rho_cap)
    return AccountLine(cap["account"], cap["owner"], *figures, largest_job(now, delta), largest_job(cosigned, delta))


def _left(cap: dict[str, Any], entries: Sequence[dict[str, Any]], ahead: Ahead | None) -> tuple[Rho, Rho]:
    """What may still be spent of a cap: now, and once a witness has cosigned all there is."""
    spent = sum(_charged(entry, cap["account"]) for entry in entries)
    left = Rho(0 if entries[-1]["kind"] == "closed" else max(0, cap["rho"] - spent))
    if ahead is None:
        return left, left
    most, late = ahead.window.most(Rho(cap["rho"])), [entry for entry in entries if _is_late(entry, ahead)]
    now = min(left, max(0, most - sum(_charged(entry, cap["account"]) for entry in late)))
    return Rho(now), Rho(min(left, most))


def _is_late(entry: dict[str, Any], ahead: Ahead) -> bool:
    """Whether what an entry charges counts as ahead of the witnesses: not what another ledger left to this one."""
    return bool(entry["seq"] >= ahead.witnessed and (entry["kind"] != "carry" or entry["statement"]))


def _burns(cap: dict[str, Any], entries: Sequence[dict[str, Any]]) -> list[Burn]:
    left: dict[str, float] = {}
    spent = 0
    for entry in entries:
        spent += _charged(entry, cap["account"])
        if spent:
            left[entry["time"][:10]] = 1 - spent / cap["rho"]
    return [Burn(cap["account"], day, share) for day, share in left.items()]

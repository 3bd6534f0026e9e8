"""Which entries of a ledger a release rests on, in words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

SHORT = 12
"""Hex digits of a digest that tell one from another, where people compare them."""


def hour_of(entry: str | bytes) -> str:
    """When an entry was written: the hour, in UTC."""
    return str(json.loads(entry)["time"])


def said_hour(hour: str) -> str:
    """As tables have it: 2027-01-10 09h; nothing of none."""
    return f"{hour[:10]} {hour[11:13]}h" if hour else ""


def drawn(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which job a release's noise was first drawn for, who asked, and when. entries: of a document's receipt."""
    return [
        f"its noise was drawn {said_hour(logged['time'])} UTC, for a job of {logged['asker']}, "
        f"sha256 {logged['job'][:SHORT]}..."
        for logged in (json.loads(item["entry"]) for item in entries[:1])
    ]


def places(entries: Sequence[int], ahead: Mapping[int, int]) -> str:
    """Entries as a list, before them those that paid ahead for some. ahead: as `cleanroom.ahead.paid_ahead`."""
    before = dict.fromkeys(ahead[entry] for entry in entries if entry in ahead)
    return ", ".join([*(f"{entry} (the charge, paid ahead)" for entry in before), *map(str, entries)])


def ledger_entries(entries: Sequence[int], ahead: Mapping[int, int]) -> str:
    """The same in a sentence."""
    one = len(entries) == 1 and not any(entry in ahead for entry in entries)
    return f"ledger {'entry' if one else 'entries'} {places(entries, ahead)}"


RHO = (
    "ρ adds up over releases and ε does not: a cap is a total of ρ. μ = √(2ρ) is what it means for one person: the "
    "best test of who was there does as well as telling noise around 0 from noise around μ, of standard deviation 1"
)


def cost(entries: Sequence[Mapping[str, Any]], caps: Mapping[str, int] | None = None) -> str:
    """What a release's draws were charged, and to whom, as the ledger logged it. entries: of a document's receipt.
    caps: of accounts, as a contract has them, to say which share of them that is."""
    said, free = [], []
    for item in entries:
        logged = json.loads(item["entry"])
        said += [f"{_price(paid, caps or {})}, entry {item['sequence']}" for paid in logged["charges"]]
        said += [_ahead(logged["specification"], item["ahead"])] if item.get("ahead") is not None else []
        free += [f"; entry {item['sequence']} is covered by that"] if logged["beside"] else []
    return f"cost: {'; '.join(said) or 'nothing'}{''.join(free)}"


def _ahead(specification: Mapping[str, Any], entry: int) -> str:
    """What an entry charged each of its accounts for noise that was opened before: follows from that noise."""
    from ..dp.budget import RHO_UNIT
    from ..dp.scale import price

    rho = price(specification["l2_squared"], specification["scale"]) / RHO_UNIT
    return f"ρ {rho:.3g} (μ {math.sqrt(2 * rho):.3g}) of each account that entry {entry} charged, ahead"


def _price(paid: Mapping[str, Any], caps: Mapping[str, int]) -> str:
    """A charge in the unit of its account, and which share of the cap it is where that is known."""
    from ..dp.budget import DELTA_UNIT, EPSILON_UNIT, RHO_UNIT
    from ..policies.accounts import counts_delta, counts_epsilon

    name, units = paid["account"], paid["rho"]
    share = f"{units / caps[name]:.1%} of the cap" if name in caps else ""
    if counts_delta(name) or counts_epsilon(name):
        unit, one = ("δ", DELTA_UNIT) if counts_delta(name) else ("ε", EPSILON_UNIT)
        return f"{unit} {units / one:.3g} of {name}{f' ({share})' if share else ''}"
    mu = f"μ {math.sqrt(2 * units / RHO_UNIT):.3g}"
    return f"ρ {units / RHO_UNIT:.3g} of {name} ({f'{share}, ' if share else ''}{mu})"

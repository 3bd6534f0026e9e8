"""Which entries of a ledger a release rests on, in words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any


def places(entries: Sequence[int], ahead: Mapping[int, int]) -> str:
    """Entries as a list, before them those that paid ahead for some. ahead: as `cleanroom.ahead.paid_ahead`."""
    before = dict.fromkeys(ahead[entry] for entry in entries if entry in ahead)
    return ", ".join([*(f"{entry} (the charge, paid ahead)" for entry in before), *map(str, entries)])


def ledger_entries(entries: Sequence[int], ahead: Mapping[int, int]) -> str:
    """The same in a sentence."""
    one = len(entries) == 1 and not any(entry in ahead for entry in entries)
    return f"ledger {'entry' if one else 'entries'} {places(entries, ahead)}"


def cost(entries: Sequence[Mapping[str, Any]]) -> str:
    """What a release's draws were charged, and to whom, as the ledger logged it. entries: of a document's receipt."""
    said, free = [], []
    for item in entries:
        logged = json.loads(item["entry"])
        said += [f"{_price(paid)}, entry {item['sequence']}" for paid in logged["charges"]]
        said += [_ahead(logged["specification"], item["ahead"])] if item.get("ahead") is not None else []
        free += [f"; entry {item['sequence']} is covered by that"] if logged["beside"] else []
    return f"cost: {'; '.join(said) or 'nothing'}{''.join(free)}"


def _ahead(specification: Mapping[str, Any], entry: int) -> str:
    """What an entry charged each of its accounts for noise that was opened before: follows from that noise."""
    from ..dp.budget import RHO_UNIT
    from ..dp.scale import price

    rho = price(specification["l2_squared"], specification["scale"]) / RHO_UNIT
    return f"ρ {rho:.3g} (μ {math.sqrt(2 * rho):.3g}) of each account that entry {entry} charged, ahead"


def _price(paid: Mapping[str, Any]) -> str:
    """A charge in the unit of its account."""
    from ..dp.budget import DELTA_UNIT, EPSILON_UNIT, RHO_UNIT
    from ..policies.accounts import counts_delta, counts_epsilon

    name, units = paid["account"], paid["rho"]
    if counts_delta(name):
        return f"δ {units / DELTA_UNIT:.3g} of {name}"
    if counts_epsilon(name):
        return f"ε {units / EPSILON_UNIT:.3g} of {name}"
    return f"ρ {units / RHO_UNIT:.3g} of {name} (μ {math.sqrt(2 * units / RHO_UNIT):.3g})"

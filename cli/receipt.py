"""Which entries of a ledger a release rests on, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def places(entries: Sequence[int], ahead: Mapping[int, int]) -> str:
    """Entries as a list, before them those that paid ahead for some. ahead: as `cleanroom.ahead.paid_ahead`."""
    before = dict.fromkeys(ahead[entry] for entry in entries if entry in ahead)
    return ", ".join([*(f"{entry} (the charge, paid ahead)" for entry in before), *map(str, entries)])


def ledger_entries(entries: Sequence[int], ahead: Mapping[int, int]) -> str:
    """The same in a sentence."""
    one = len(entries) == 1 and not any(entry in ahead for entry in entries)
    return f"ledger {'entry' if one else 'entries'} {places(entries, ahead)}"

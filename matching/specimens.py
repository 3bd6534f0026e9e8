"""Made-up values on which conventions part: what a scheme makes of one says its rule in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .identifiers import normalised
from .rejects import RejectCode
from .schemes import known, load
from .schemes.setting import NOTHING_DECLARED

SPECIMENS: Mapping[str, tuple[str, ...]] = {
    "email": (
        "Jane.Doe+x@gmail.com",
        "Jane.Doe+x@googlemail.com",
        "Jane.Doe+x@example.com",
        "jane doe@example.com",
        "ÉMILE@example.com",
    ),
    "phone": ("+1 415 555 0132",),
    "idfa": ("6d92078a-8246-4ba4-ae5b-76104861e7dc",),
    "gaid": ("6D92078A-8246-4BA4-AE5B-76104861E7DC",),
    "maid": ("6D92078A-8246-4BA4-AE5B-76104861E7DC",),
    "android-id": ("AF3802A465767E36",),
}
"""By kind; of a kind that is not here there is one convention only."""


@dataclass(frozen=True, slots=True)
class Unlike:
    """Schemes that make another text of a value than one does. written: what they make of it; mine: what that one."""

    value: str
    mine: str
    written: str
    schemes: tuple[str, ...]


def unlike(scheme: str, kind: str) -> list[Unlike]:
    """The schemes with the same hash that part from this one, each by the first value on which it does."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for name in known():
        rules = load(name).rules
        if name == scheme or kind not in rules or rules[kind].hash != load(scheme).rule(kind).hash:
            continue
        pairs = (
            (value, _written(scheme, kind, value), _written(name, kind, value)) for value in SPECIMENS.get(kind, ())
        )
        if (first := next((pair for pair in pairs if pair[1] != pair[2]), None)) is not None:
            found.setdefault(first, []).append(name)
    listed = [Unlike(value, mine, written, tuple(names)) for (value, mine, written), names in found.items()]
    return sorted(listed, key=lambda each: SPECIMENS[kind].index(each.value))


def _written(scheme: str, kind: str, value: str) -> str:
    result = normalised(load(scheme).rule(kind), kind, value, NOTHING_DECLARED)
    return "nothing" if isinstance(result, RejectCode) else result

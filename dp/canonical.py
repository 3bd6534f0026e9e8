"""The one spelling of what is digested and logged: JSON of strings, whole numbers, lists and objects.

Keys are sorted, there are no blanks, escapes are ASCII, and there are no floats, which have several spellings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TypeAlias

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"
Leaf: TypeAlias = dict[str, Json]


def canonical(value: Json | Mapping[str, Json]) -> bytes:
    """The one spelling of a JSON value. Errors: TypeError on what has several: floats, names that are no strings."""
    _refuse_ambiguous(value)
    return _encode(value).encode()


def with_part(spelled: bytes, name: str, part: bytes, following: str) -> bytes:
    """The spelling of an object with one more part, whose spelling is known, right before the part `following`.

    The caller ensures: by its name it belongs there, and no text or inner object from `following` on has a part of
    that name.
    """
    above, mark, below = spelled.rpartition(b',"%b":' % following.encode())
    return b'%b,"%b":%b%b%b' % (above, name.encode(), part, mark, below)


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode
_PLAIN = frozenset((str, int, bool, type(None)))


def _refuse_ambiguous(value: object) -> None:
    if isinstance(value, float):
        raise TypeError("an entry holds no floats")
    if isinstance(value, dict):
        if not set(map(type, value)) <= {str} and not all(isinstance(name, str) for name in value):
            raise TypeError("names in an entry are strings")
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            if type(item) not in _PLAIN:  # most are, and a spend looks at a hundred of them
                _refuse_ambiguous(item)


def named_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object as `json` reads it (`object_pairs_hook`). A name that stands twice reads one way here and another way
    elsewhere. Errors: ValueError."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def digest(value: Json | Mapping[str, Json]) -> str:
    """SHA-256 of the canonical spelling, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()

"""Cards to hand out: `NAME.party.toml` says a party's public keys, `NAME.room.toml` an operator's room's.

A card is public TOML. Fingerprints are compared by voice: a card proves nothing about who made it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyrage

from ..dp.note import BadNote, parse_vkey
from ..policies.contract import NAME_PATTERN, ORIGIN_PATTERN
from ..policies.document import InvalidContract, read_toml
from ..policies.sign import BadKey, parse_public_key
from .keys import LARGEST_FILE, Keys, KeysUnusable

ROLES = ("publisher", "advertiser", "officer", "operator")


@dataclass(frozen=True, slots=True)
class PartyCard:
    """What a party tells the others. sign: OpenSSH public key. seal: age recipient."""

    name: str
    role: str
    sign: str
    seal: str

    def to_toml(self) -> str:
        return _toml({"name": self.name, "role": self.role, "sign": self.sign, "seal": self.seal})


@dataclass(frozen=True, slots=True)
class RoomCard:
    """What an operator tells about its room. name: origin of its checkpoints. checkpoint: note verifier key."""

    operator: str
    name: str
    seal: str
    checkpoint: str

    def to_toml(self) -> str:
        fields = {
            "operator": self.operator,
            "name": self.name,
            "seal": self.seal,
            "checkpoint": self.checkpoint,
        }
        return _toml(fields)


def party_card(keys: Keys, name: str, role: str) -> PartyCard:
    """What a party's keys say of it."""
    return PartyCard(name, role, keys.sign_public(), keys.seal_public())


def room_card(keys: Keys, operator: str) -> RoomCard:
    """What an operator's keys say of its room. Errors: KeysUnusable where they hold none."""
    keys.refuse_roomless()
    checkpoint = keys.room_checkpoint()
    seal = str(pyrage.x25519.Identity.from_str(keys.room_seal()).to_public())
    return RoomCard(operator, checkpoint.name, seal, checkpoint.vkey)


def role_of(where: Path, name: str) -> str:
    """The role that a party's card names already; "" where there is no such card."""
    try:
        card = read_card(where / f"{name}.party.toml", "party")
    except (KeysUnusable, OSError):
        return ""
    return card["role"]


def read_card(path: Path, kind: Literal["party", "room"]) -> dict[str, str]:
    """A card's fields, each fit to stand in a contract. Others wrote it. Errors: KeysUnusable, OSError."""
    checks = _CARDS[kind]
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE)
    try:
        raw = read_toml(data, "card")
    except InvalidContract:
        raise KeysUnusable(path, "it is not a card", f"ask its party for NAME.{kind}.toml again") from None
    if set(raw) != set(checks):
        raise KeysUnusable(path, f"it is {_other(raw, kind)}", f"use NAME.{kind}.toml, which holds {', '.join(checks)}")
    for field, is_fine in checks.items():
        if not isinstance(value := raw[field], str) or not is_fine(value):
            raise KeysUnusable(path, f"its {field} is none", f"ask its party for NAME.{kind}.toml again")
    return {field: str(raw[field]) for field in checks}


def _other(raw: dict[str, object], kind: str) -> str:
    """What a file is that was named where a card was expected."""
    if {"dataset", "rules"} <= set(raw):
        return f"a contract, not a {kind} card"
    if "people" in raw:
        return f"a job, not a {kind} card"
    return next((f"a {name} card, not a {kind} card" for name in _CARDS if set(raw) == set(_CARDS[name])), "not a card")


def _is_name(text: str) -> bool:
    return re.fullmatch(NAME_PATTERN, text) is not None


def _is_sign_key(text: str) -> bool:
    try:
        return parse_public_key(text) == text
    except BadKey:
        return False


def _is_seal_key(text: str) -> bool:
    try:
        return str(pyrage.x25519.Recipient.from_str(text)) == text
    except pyrage.RecipientError:
        return False


def _is_checkpoint_key(text: str) -> bool:
    try:
        return parse_vkey(text).name != ""
    except BadNote:
        return False


_CARDS: dict[str, dict[str, Callable[[str], bool]]] = {
    "party": {"name": _is_name, "role": ROLES.__contains__, "sign": _is_sign_key, "seal": _is_seal_key},
    "room": {
        "operator": _is_name,
        "name": lambda text: re.fullmatch(ORIGIN_PATTERN, text) is not None,
        "seal": _is_seal_key,
        "checkpoint": _is_checkpoint_key,
    },
}


def _toml(fields: dict[str, str]) -> str:
    return "".join(f'{key} = "{value}"\n' for key, value in fields.items())

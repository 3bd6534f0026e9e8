"""An operator who holds the room's folder and its signing key, and signs a log of its own liking with the real key."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from passbox.cleanroom.audit import LedgerBroken, verify_log
from passbox.cleanroom.log import Log
from passbox.cleanroom.measure.kinds import shape_of
from passbox.dp.canonical import canonical, digest
from passbox.dp.note import sign_checkpoint
from passbox.dp.scale import price
from passbox.dp.tree import leaf_hash, root_of
from passbox.policies.price import purchases
from passbox.policies.request import Request

if TYPE_CHECKING:
    from .world import World


Entry = dict[str, Any]
CAP_ADVERTISER, CAP_PUBLISHER, OVERLAP, MOMENTS, HISTOGRAM = range(5)
"""Where the entries of `used` stand."""

Change = Callable[[Entry], object]


class Operator:
    """Writes a log of its own liking, and signs it as the room."""

    def __init__(self, world: World, log: Log | None = None) -> None:
        self.world, self.log = world, log or world.log()
        self.entries: list[Entry] = [json.loads(entry) for entry in self.log.entries]
        self.requests, self.manifests = dict(self.log.requests), dict(self.log.manifests)

    def keep(self, request: Request) -> None:
        self.requests[f"{request.digest}.toml"] = request.data
        self.requests[f"{request.digest}.toml.{request.asker}.sig"] = request.signature.encode()

    def release(self, request: Request, part: int = 0, time: str = "", **spec: Any) -> Entry:
        """A well-made entry for a signed job, whatever the rules say of it; `spec` alters its specification."""
        self.keep(request)
        submitted = self.world.room().submitted()
        manifests = {name: held.manifest for name, held in submitted.items()}
        purchase = purchases(self.world.agreement, request, manifests, shape_of)[part]
        entry: Entry = {
            "v": 1,
            "seq": len(self.entries),
            "kind": "release",
            "time": time or self.entries[-1]["time"],
            **purchase.context.as_json(),
            "specification": purchase.specification.as_json() | spec,
            "charges": [
                {"account": c.account, "dataset": c.dataset, "rho": c.rho, "before": self.spent(c.account)}
                for c in purchase.charges
            ],
            "covered": [],
            "beside": purchase.beside,
            "library": "opendp 0.16",
            "commitment": secrets.token_hex(32),
        }
        return priced(entry)

    def spent(self, account: str) -> int:
        charges = [charge for entry in self.entries for charge in entry.get("charges", [])]
        return sum(charge["rho"] for charge in charges if charge["account"] == account)

    def signed(self) -> Log:
        leaves = tuple(canonical(entry) for entry in self.entries)
        return signed(self.world, self.log, leaves, requests=self.requests, manifests=self.manifests)

    def broken(self) -> LedgerBroken:
        """How the officer finds it."""
        with pytest.raises(LedgerBroken) as found:
            verify_log(self.signed(), self.world.agreement)
        return found.value


def priced(entry: Entry) -> Entry:
    """The entry with the key and, where it has one, the price that its altered specification asks for."""
    spec, charges = entry["specification"], entry["charges"]
    with contextlib.suppress(ValueError):
        cost = price(spec["l2_squared"], spec["scale"])
        charges = [{**charge, "rho": cost} for charge in charges]
    return {**entry, "key": digest(spec), "charges": charges}


def signed(world: World, log: Log, leaves: tuple[bytes, ...], **parts: Any) -> Log:
    """A log over these leaves, signed with the room's real key."""
    hashes = tuple(leaf_hash(leaf) for leaf in leaves)
    key = world.keys("host").room_checkpoint()
    checkpoint = sign_checkpoint(key.name, len(hashes), root_of(hashes), key)
    return replace(log, checkpoint=checkpoint, entries=leaves, hashes=hashes, **parts)


def renumber(entries: list[Entry]) -> None:
    for position, entry in enumerate(entries):
        entry["seq"] = position

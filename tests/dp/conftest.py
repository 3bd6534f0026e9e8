"""A ledger on disk with two accounts, and a way to ask it for things."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from passbox.dp import mechanisms
from passbox.dp.account import Cap
from passbox.dp.aggregate import Statistic
from passbox.dp.budget import Rho
from passbox.dp.entry import Charge, Context, Purchase, Specification
from passbox.dp.ledger import Ledger
from passbox.dp.note import NoteKey
from passbox.dp.scale import price, smallest_scale

CAP = Rho(1_000_000_000)
COST = price(1, smallest_scale(1, Rho(CAP // 3)))
"""Three of these fit under the cap, not four."""


@dataclass(frozen=True)
class Sealed:
    """A vault such as the room's: AES-GCM, the context bound."""

    key: bytes = field(default_factory=lambda: os.urandom(32))

    def seal(self, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + AESGCM(self.key).encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        return AESGCM(self.key).decrypt(sealed[:12], sealed[12:], context)


@dataclass
class Desk:
    """Somebody who runs a ledger in a folder. now: what its clock shows."""

    path: Path
    key: NoteKey = field(default_factory=lambda: NoteKey.new("room.example/spring"))
    vault: Sealed = field(default_factory=Sealed)
    now: datetime = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    cap: Rho = CAP
    cost: Rho = COST
    opened: list[Ledger] = field(default_factory=list)

    def create(self, caps: list[Cap] | None = None) -> Ledger:
        two = [Cap(f"{o}/record", o, "record", "1.0", "1e-06", self.cap, "cc" * 32) for o in ("advertiser", "shop")]
        self.opened.append(Ledger.create(self.path, self.key, self.vault, lambda: self.now, caps or two))
        return self.opened[-1]

    def open(self) -> Ledger:
        self.opened.append(Ledger(self.path, self.key, self.vault, lambda: self.now))
        return self.opened[-1]

    def wait(self, hours: float) -> None:
        self.now += timedelta(hours=hours)

    @staticmethod
    def purchase(name: str = "a", *, accounts: tuple[str, ...] = ("advertiser",), **changes: Any) -> Purchase:
        """One count of cost `COST`. name: makes it another statistic. changes: of specification or context."""
        spec = Specification(
            statistic="matched-count@1",
            datasets={"visitors": "aa" * 32, "buyers": "bb" * 32},
            unit="record",
            rule="own-best",
            part="all",
            columns=(name,),
            cells=1,
            bits=0,
            l2_squared=1,
            scale=smallest_scale(1, Rho(CAP // 3)),
        )
        context = Context("cc" * 32, "dd" * 32, "publisher", ("publisher",), "reach")
        ours = {k: v for k, v in changes.items() if k in ("recipients", "job", "asker")}
        beside = changes.pop("beside", "")
        spec = replace(spec, **{k: v for k, v in changes.items() if k not in ours})
        charges = tuple(Charge(f"{owner}/record", "buyers", price(spec.l2_squared, spec.scale)) for owner in accounts)
        return Purchase(spec, charges, replace(context, **ours), beside)

    @staticmethod
    def count(value: int = 500) -> Statistic:
        return Statistic(np.array([value], dtype=np.int64), bits=0, l2_squared=1)


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    made = Desk(tmp_path / "ledger.sqlite")
    yield made
    for ledger in made.opened:
        ledger.close()


@pytest.fixture
def new_desk() -> Callable[[Path], Desk]:
    return lambda folder: Desk(folder / "ledger.sqlite")


@pytest.fixture
def ledger(desk: Any) -> Ledger:
    return desk.create()


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts draws: one number is added a call."""
    made: list[int] = []
    real = mechanisms.gaussian

    def counted(values: Any, *rest: Any) -> Any:
        made.append(len(values))
        return real(values, *rest)

    monkeypatch.setattr(mechanisms, "gaussian", counted)
    return made

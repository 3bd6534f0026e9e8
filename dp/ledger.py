"""The ledger: a release is paid for, drawn, logged and signed in one transaction, or not at all.

`Ledger.pay` is the only way from a `Statistic` to a `Noisy`. Inside one `BEGIN IMMEDIATE`, under an exclusive
file lock, it charges, draws the noise, adds the Merkle leaf, signs the checkpoint and stores the noisy bytes (sealed
under the room's key); then it commits, and only then returns. The same specification gives the same bytes for ever.

The code ensures
- no noise without a receipt: `dp.mechanisms` is called here and nowhere else;
- no account above its cap: integers, checked here and again by SQLite;
- one draw a specification: its key is unique, and a replay costs nothing;
- a release beside another is free only where the other was charged at least as much, for the same data sets, on
  another part of the people, and only once.

The caller ensures
- `Purchase.specification.l2_squared` bounds what one record moves, under the match rule it names;
- the two parts of a pair are disjoint in people, by a split that does not depend on who matched.

SQLite runs with WAL and synchronous=FULL. Every write and every close (which may checkpoint the WAL) happens under the
lock, because SQLite up to 3.51.2 can corrupt a WAL that two connections reset at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self, TypedDict

import numpy as np

from . import mechanisms
from .aggregate import Statistic
from .budget import Rho
from .entry import Charge, Context, Json, Leaf, Purchase, canonical, hour
from .noisy import Noisy, Receipt
from .note import NoteKey, sign_checkpoint
from .tree import Frontier

Clock = Callable[[], datetime]

SCHEMA = """
create table account(id text primary key, cap integer not null, spent integer not null default 0,
                     check(spent >= 0), check(spent <= cap)) strict;
create table entry(seq integer primary key, leaf blob not null) strict;
create table release(key text primary key, seq integer not null references entry(seq), beside text unique,
                     body blob not null) strict;
create table charge(key text not null references release(key), account text not null references account(id),
                    rho integer not null, primary key(key, account)) strict;
create table frontier(id integer primary key check(id = 0), size integer not null, peaks blob not null) strict;
create table checkpoint(size integer primary key, note text not null) strict;
"""


class Paid(TypedDict):
    """A charge as an entry holds it."""

    account: str
    dataset: str
    rho: int
    before: int


class Released(TypedDict):
    """What is read back of a release's entry."""

    specification: Leaf
    recipients: list[str]
    charges: list[Paid]
    beside: str
    commitment: str


class Vault(Protocol):
    """Keeps noisy bytes unreadable at rest. `context` is bound to the sealed bytes."""

    def seal(self, plain: bytes, context: bytes) -> bytes: ...
    def open(self, sealed: bytes, context: bytes) -> bytes: ...


class BudgetExceeded(Exception):
    """An account does not hold what a release costs. Nothing was drawn or charged. All figures are public."""

    def __init__(self, account: str, asked: Rho, left: Rho, cap: Rho) -> None:
        super().__init__(account, asked, left, cap)
        self.account, self.asked, self.left, self.cap = account, asked, left, cap


class UnpaidPart(Exception):
    """A release asked to be covered by another that does not cover it. Carries the rule that was broken."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class SpecificationMismatch(Exception):
    """A statistic is not what its purchase says: the plan and the code disagree, so nothing is released."""


class LedgerDamaged(Exception):
    """What is stored is not what was written. Carries which part."""

    def __init__(self, part: str) -> None:
        super().__init__(part)
        self.part = part


@dataclass(frozen=True, slots=True)
class Cap:
    """What an owner allows per unit, as its signed contract says it.

    epsilon, delta: as written in the contract, so that a verifier can recompute ρ.
    """

    account: str
    owner: str
    unit: str
    epsilon: str
    delta: str
    rho: Rho
    contract: str

    def as_json(self) -> Leaf:
        return {
            "account": self.account,
            "owner": self.owner,
            "unit": self.unit,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "rho": self.rho,
            "contract": self.contract,
        }


@dataclass(frozen=True, slots=True)
class Account:
    """What one owner has allowed and spent, in whole units of 10^-12."""

    id: str
    cap: Rho
    spent: Rho

    @property
    def left(self) -> Rho:
        return Rho(self.cap - self.spent)


class Ledger:
    """One room's ledger on disk. Use it as a context manager: closing also happens under the lock."""

    def __init__(self, path: Path, key: NoteKey, vault: Vault, clock: Clock) -> None:
        if not path.is_file():
            raise LedgerDamaged("the ledger file is missing")
        self._lock = path.with_suffix(".lock")
        self._key, self._vault, self._clock = key, vault, clock
        with self._locked():
            self._db = _connect(path)

    @classmethod
    def create(cls, path: Path, key: NoteKey, vault: Vault, clock: Clock, caps: Sequence[Cap]) -> Self:
        """A new ledger whose first entries are the caps."""
        with path.open("xb"):
            pass
        ledger = cls(path, key, vault, clock)
        with ledger._locked():
            ledger._db.executescript(SCHEMA)
        with ledger._writing():
            ledger._db.execute("insert into frontier values(0, 0, x'')")
            for cap in caps:
                ledger._db.execute("insert into account(id, cap) values(?, ?)", (cap.account, cap.rho))
                ledger._append("cap", cap.as_json())
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._locked():
            self._db.close()

    # -- reading ---------------------------------------------------------------------------------------------------

    def accounts(self) -> dict[str, Account]:
        rows = self._db.execute("select id, cap, spent from account order by id")
        return {name: Account(name, Rho(cap), Rho(spent)) for name, cap, spent in rows}

    def leaves(self) -> list[bytes]:
        """Every entry as logged, in order."""
        return [leaf for (leaf,) in self._db.execute("select leaf from entry order by seq")]

    def checkpoint(self) -> str:
        """The newest signed checkpoint."""
        note: str
        (note,) = self._db.execute("select note from checkpoint order by size desc limit 1").fetchone()
        return note

    def paid(self, purchase: Purchase) -> Noisy | None:
        """The noisy bytes, where every account that this purchase charges has already paid for them."""
        if self._due(purchase):
            return None
        return self._stored(purchase)

    # -- writing ---------------------------------------------------------------------------------------------------

    def pay(self, purchase: Purchase, statistic: Statistic) -> Noisy:
        """Charge, draw, log, sign and store in one transaction; a replay returns the stored bytes and costs nothing.

        Errors: BudgetExceeded, UnpaidPart, SpecificationMismatch: nothing was drawn, charged or written.
        """
        _refuse_mismatch(purchase, statistic)
        with self._writing():
            due = self._due(purchase)
            stored = self._stored(purchase)
            if stored is not None and not due:
                return stored
            self._take(due)
            if stored is None:
                return self._draw(purchase, statistic)
            self._share(purchase, due)
            return stored

    def deny(self, context: Context, clause: str) -> None:
        """Log that a signed request was refused, and by which clause. Costs nothing."""
        with self._writing():
            self._append("denial", {**context.as_json(), "clause": clause})

    # -- inside the transaction -------------------------------------------------------------------------------------

    def _due(self, purchase: Purchase) -> tuple[Charge, ...]:
        """The charges of a purchase that were not yet paid for its key."""
        rows = self._db.execute("select account from charge where key = ?", (purchase.key,))
        paid = {account for (account,) in rows}
        return tuple(charge for charge in purchase.charges if charge.account not in paid)

    def _take(self, due: Sequence[Charge]) -> None:
        """Charge the accounts, or refuse before anything is drawn."""
        for charge in due:
            account = self.accounts().get(charge.account)
            if account is None or charge.rho <= 0 or charge.rho > account.left:
                cap, left = (account.cap, account.left) if account else (Rho(0), Rho(0))
                raise BudgetExceeded(charge.account, charge.rho, left, cap)
            self._db.execute("update account set spent = spent + ? where id = ?", (charge.rho, charge.account))

    def _draw(self, purchase: Purchase, statistic: Statistic) -> Noisy:
        """The only call for noise in the product."""
        spec = purchase.specification
        covered = self._covered(purchase)
        charged = min(charge.rho for charge in (*purchase.charges, *covered))
        noisy = mechanisms.gaussian(statistic.values, spec.l2_squared, spec.scale, charged)
        nonce = secrets.token_bytes(32)
        body = canonical({"values": noisy.tolist(), "nonce": nonce.hex()})
        commitment = hashlib.sha256(nonce + canonical(noisy.tolist())).hexdigest()
        seq = self._append("release", self._release(purchase, purchase.charges, covered, commitment))
        self._db.execute(
            "insert into release values(?, ?, ?, ?)",
            (purchase.key, seq, purchase.beside or None, self._vault.seal(body, purchase.key.encode())),
        )
        self._record(purchase.key, purchase.charges)
        return _noisy(purchase, noisy, Receipt(purchase.key, seq, nonce, commitment))

    def _share(self, purchase: Purchase, due: Sequence[Charge]) -> None:
        """New readers of stored bytes: no new noise, but whoever is newly exposed pays."""
        first = self._released(purchase.key)
        self._append("release", self._release(purchase, due, (), first["commitment"]))
        self._record(purchase.key, due)

    def _covered(self, purchase: Purchase) -> tuple[Charge, ...]:
        """What the release beside this one was charged: it must cover this one, and nothing else yet."""
        if not purchase.beside:
            if not purchase.charges:
                raise UnpaidPart("a release must be charged to somebody")
            return ()
        other = self._released(purchase.beside)
        _refuse_uncovered(purchase, other)
        taken = self._db.execute("select 1 from release where beside = ?", (purchase.beside,)).fetchone()
        if taken or other["beside"]:
            raise UnpaidPart("one charge covers one pair of parts, once")
        return tuple(Charge(c["account"], c["dataset"], Rho(c["rho"])) for c in other["charges"])

    def _release(
        self, purchase: Purchase, charges: Sequence[Charge], covered: Sequence[Charge], commitment: str
    ) -> Leaf:
        accounts = self.accounts()
        return {
            **purchase.context.as_json(),
            "key": purchase.key,
            "specification": purchase.specification.as_json(),
            "charges": [_charge_json(c, accounts[c.account]) for c in charges],
            "covered": [{"account": c.account, "dataset": c.dataset, "rho": c.rho} for c in covered],
            "beside": purchase.beside,
            "library": mechanisms.LIBRARY,
            "commitment": commitment,
        }

    def _record(self, key: str, charges: Sequence[Charge]) -> None:
        self._db.executemany("insert into charge values(?, ?, ?)", [(key, c.account, c.rho) for c in charges])

    def _append(self, kind: str, content: Leaf) -> int:
        """Add a leaf, move the tree on, sign the new checkpoint."""
        size, peaks = self._db.execute("select size, peaks from frontier").fetchone()
        old = Frontier.from_bytes(size, peaks)
        leaf = canonical({"v": 1, "seq": old.size, "kind": kind, "time": hour(self._clock()), **content})
        frontier = old.push(leaf)
        note = sign_checkpoint(self._key.name, frontier.size, frontier.root(), self._key)
        self._db.execute("insert into entry values(?, ?)", (old.size, leaf))
        self._db.execute("update frontier set size = ?, peaks = ?", (frontier.size, frontier.to_bytes()))
        self._db.execute("insert into checkpoint values(?, ?)", (frontier.size, note))
        return old.size

    # -- rows ------------------------------------------------------------------------------------------------------

    def _stored(self, purchase: Purchase) -> Noisy | None:
        row = self._db.execute("select seq, body from release where key = ?", (purchase.key,)).fetchone()
        if row is None:
            return None
        body = json.loads(self._vault.open(row[1], purchase.key.encode()))
        nonce, values = bytes.fromhex(body["nonce"]), body["values"]
        commitment = hashlib.sha256(nonce + canonical(values)).hexdigest()
        if json.loads(self._entry(row[0]))["commitment"] != commitment:
            raise LedgerDamaged("stored noise is not what the log commits to")
        return _noisy(purchase, np.array(values, dtype=np.int64), Receipt(purchase.key, row[0], nonce, commitment))

    def _released(self, key: str) -> Released:
        row = self._db.execute("select seq from release where key = ?", (key,)).fetchone()
        if row is None:
            raise UnpaidPart("the release it stands beside was not paid for")
        released: Released = json.loads(self._entry(row[0]))
        return released

    def _entry(self, seq: int) -> bytes:
        leaf: bytes
        (leaf,) = self._db.execute("select leaf from entry where seq = ?", (seq,)).fetchone()
        return leaf

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._locked():
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=60, isolation_level=None)
    for pragma in ("journal_mode = wal", "synchronous = full", "foreign_keys = on", "trusted_schema = off"):
        db.execute(f"pragma {pragma}")
    return db


def _charge_json(charge: Charge, account: Account) -> dict[str, Json]:
    """A charge with the account's running total before it: the account was already moved on."""
    return {
        "account": charge.account,
        "dataset": charge.dataset,
        "rho": charge.rho,
        "before": account.spent - charge.rho,
    }


def _refuse_mismatch(purchase: Purchase, statistic: Statistic) -> None:
    spec = purchase.specification
    shape = (statistic.values.shape, statistic.bits)
    if shape != ((spec.cells,), spec.bits) or statistic.l2_squared > spec.l2_squared:
        raise SpecificationMismatch
    cost = mechanisms.price(spec.l2_squared, spec.scale)
    if any(charge.rho < cost for charge in purchase.charges):
        raise SpecificationMismatch


def _refuse_uncovered(purchase: Purchase, other: Released) -> None:
    mine, theirs = purchase.specification.as_json(), other["specification"]
    cost = mechanisms.price(purchase.specification.l2_squared, purchase.specification.scale)
    if purchase.charges:
        raise UnpaidPart("a release is charged or covered, not both")
    if list(purchase.context.recipients) != other["recipients"]:
        raise UnpaidPart("both parts must have the same readers")
    if any(mine[name] != theirs[name] for name in ("datasets", "unit", "rule")):
        raise UnpaidPart("both parts must look at the same data sets under the same rule")
    if {mine["part"], theirs["part"]} != {"train", "held-out"}:
        raise UnpaidPart("the two parts must be disjoint")
    if not other["charges"] or any(charge["rho"] < cost for charge in other["charges"]):
        raise UnpaidPart("the charge beside it is smaller than this release costs")


def _noisy(purchase: Purchase, values: np.ndarray[tuple[int], np.dtype[np.int64]], receipt: Receipt) -> Noisy:
    spec = purchase.specification
    return Noisy(values, scale=spec.scale / mechanisms.SCALE_UNIT, bits=spec.bits, receipt=receipt)

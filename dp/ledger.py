"""The ledger: a release is paid for, drawn, logged and signed in one transaction, or not at all.

`Ledger.pay` is the only way from a `Statistic` to a `Noisy`. In one transaction (`dp.storage`) it charges, draws the
noise, adds the Merkle leaf, signs the checkpoint and stores the noisy bytes, sealed under the room's key; then it
commits, and only then returns. The same specification gives the same bytes for ever.

    stored bytes    32-byte nonce || noisy integers, 8 bytes each, little-endian: as long as the cells are many

The code ensures
- no noise without a receipt: `dp.mechanisms` is called here and nowhere else;
- no account above its cap: integers, checked here and again by SQLite;
- one draw a specification: its key is unique, and a replay costs nothing;
- a release beside another is free only where `dp.cover` says so, and only once;
- entries in the order of their hours, even where the clock was set back: the hour above is written again.

The caller ensures
- `Purchase.specification.l2_squared` bounds what one record moves, under the match rule it names;
- `Purchase.charges` names everybody who is newly exposed to the readers it names;
- the two parts of a pair are disjoint in people, by a split that does not depend on who matched.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from . import mechanisms
from .account import Account, BudgetExceeded, Cap
from .aggregate import Statistic
from .budget import Rho
from .cover import UnpaidPart, charges_of, refuse_other_cover, refuse_uncovered, refuse_unpaid
from .entry import Charge, Context, Json, Leaf, Purchase, Released, canonical, commitment_to, hour
from .noisy import Noisy, Receipt
from .note import NoteKey, sign_checkpoint
from .scale import SCALE_UNIT, price
from .storage import LedgerDamaged, Storage
from .tree import LARGEST_ENTRY, BadTree, Frontier, leaf_hash, root_of
from .window import Forked, RolledBack, Window, WindowFull

__all__ = [
    "Account",
    "BudgetExceeded",
    "Cap",
    "Clock",
    "Ledger",
    "LedgerDamaged",
    "SpecificationMismatch",
    "UnpaidPart",
    "Vault",
]

Clock = Callable[[], datetime]

NONCE_SIZE = 32


class Vault(Protocol):
    """Keeps noisy bytes unreadable at rest. `context` is bound to the sealed bytes."""

    def seal(self, plain: bytes, context: bytes) -> bytes: ...
    def open(self, sealed: bytes, context: bytes) -> bytes: ...


class SpecificationMismatch(Exception):
    """A statistic is not what its purchase says: the plan and the code disagree, so nothing is released."""


class Ledger:
    """One room's ledger on disk. Use it as a context manager.

    Errors, of everything here: LedgerDamaged; OSError and sqlite3.Error where the disk does not answer as it should.
    Whatever is raised, nothing was half-applied.
    """

    def __init__(self, path: Path, key: NoteKey, vault: Vault, clock: Clock, window: Window | None = None) -> None:
        self._key, self._vault, self._clock, self._window = key, vault, clock, window
        self._storage = Storage(path)

    @classmethod
    def create(cls, path: Path, key: NoteKey, vault: Vault, clock: Clock, caps: Sequence[Cap]) -> Self:
        """A new ledger whose first entries are the caps. Errors: FileExistsError."""
        Storage.create(path).close()
        ledger = cls(path, key, vault, clock)
        try:
            with ledger._storage.writing():
                for cap in caps:
                    ledger._storage.rows("insert into account(id, cap) values(?, ?)", cap.account, cap.rho)
                    ledger._append("cap", cap.as_json())
        except BaseException:
            ledger.close()
            path.unlink(missing_ok=True)
            raise
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._storage.close()

    # -- reading ---------------------------------------------------------------------------------------------------

    def accounts(self) -> dict[str, Account]:
        rows = self._storage.rows("select id, cap, spent from account order by id")
        witnessed = self._window.witnessed(self.seen()) if self._window else 0
        return {
            name: Account(name, Rho(cap), Rho(spent), self._ahead(name, Rho(cap), witnessed))
            for name, cap, spent in rows
        }

    def _ahead(self, account: str, cap: Rho, witnessed: int) -> Rho | None:
        """What may still be spent ahead of the entries that witnesses vouch for."""
        if self._window is None:
            return None
        row = self._storage.row("select sum(rho) from charge where account = ? and seq >= ?", account, witnessed)
        return Rho(max(0, self._window.most(cap) - (int(row[0] or 0) if row else 0)))

    def leaves(self) -> list[bytes]:
        """Every entry as logged, in order."""
        return [leaf for (leaf,) in self._storage.rows("select leaf from entry order by seq")]

    def checkpoint(self) -> str:
        """The newest signed checkpoint."""
        row = self._storage.row("select note from checkpoint order by size desc limit 1")
        if row is None:
            raise LedgerDamaged("there is no checkpoint")
        return str(row[0])

    def log(self) -> tuple[list[bytes], str]:
        """Every entry, and the checkpoint over exactly these, whoever writes meanwhile."""
        with self._storage.reading():
            return self.leaves(), self.checkpoint()

    def seen(self) -> dict[str, int]:
        """Witness to the size of the largest head it cosigned."""
        return dict(self._storage.rows("select name, max(size) from witness group by name order by name"))

    def cosigned(self) -> dict[str, str]:
        """Witness to the newest head of this log that it cosigned, as it cosigned it."""
        statement = "select name, note, max(size) from witness where size <= (select size from frontier) group by name"
        return {name: note for name, note, _ in self._storage.rows(statement)}

    def paid(self, purchase: Purchase) -> Noisy | None:
        """The noisy bytes, where every account that this purchase charges has already paid for them.

        Errors: UnpaidPart.
        """
        refuse_unpaid(purchase)
        with self._storage.reading():
            return None if self._due(purchase) else self._stored(purchase)

    # -- writing ---------------------------------------------------------------------------------------------------

    def pay(self, purchase: Purchase, statistic: Statistic) -> Noisy:
        """Charge, draw, log, sign and store in one transaction; a replay returns the stored bytes and costs nothing.

        Errors: BudgetExceeded, WindowFull, RolledBack, UnpaidPart, SpecificationMismatch: nothing was drawn, charged
        or written.
        """
        refuse_unpaid(purchase)
        _refuse_mismatch(purchase, statistic)
        with self._storage.writing():
            due = self._due(purchase)
            stored = self._stored(purchase)
            if stored is not None and not due:
                return stored
            self._take(due)
            if stored is None:
                return self._draw(purchase, statistic)
            self._share(purchase, due)
            return stored

    def witness(self, name: str, size: int, root: bytes, note: str) -> None:
        """Keep a head that a witness cosigned. The caller ensures that the cosignature was verified.

        Errors: Forked where it is not a head of this log; RolledBack where it is ahead of it: that is kept, and from
        then on nothing is paid for.
        """
        with self._storage.writing():
            ours = self._frontier().size
            if size <= ours and root_of(leaf_hash(leaf) for leaf in self.leaves()[:size]) != root:
                raise Forked(name, size)
            self._storage.rows("insert or ignore into witness values(?, ?, ?)", name, size, note)
        if size > ours:
            raise RolledBack(name, ours, size)

    def deny(self, context: Context, clause: str) -> None:
        """Log that a signed request was refused, and by which clause. Costs nothing."""
        with self._storage.writing():
            self._append("denial", {**context.as_json(), "clause": clause})

    # -- inside the transaction -------------------------------------------------------------------------------------

    def _due(self, purchase: Purchase) -> tuple[Charge, ...]:
        """The charges of a purchase that were not yet paid for its key."""
        paid = {account for (account,) in self._storage.rows("select account from charge where key = ?", purchase.key)}
        return tuple(charge for charge in purchase.charges if charge.account not in paid)

    def _take(self, due: Sequence[Charge]) -> None:
        """Charge the accounts, or refuse before anything is drawn."""
        self._refuse_rolled_back()
        accounts = self.accounts()
        for charge in due:
            account = accounts.get(charge.account, Account(charge.account, Rho(0), Rho(0)))
            account.refuse_above(charge.rho)
            if account.ahead is not None and charge.rho > account.ahead:
                raise WindowFull(account.id, charge.rho, account.ahead)
            self._storage.rows("update account set spent = spent + ? where id = ?", charge.rho, charge.account)

    def _draw(self, purchase: Purchase, statistic: Statistic) -> Noisy:
        """The only call for noise in the product."""
        spec = purchase.specification
        covered = self._covered(purchase)
        charged = min(charge.rho for charge in (*purchase.charges, *covered))
        noisy = mechanisms.gaussian(statistic.values, spec.l2_squared, spec.scale, charged)
        nonce = secrets.token_bytes(NONCE_SIZE)
        commitment = commitment_to(nonce, noisy)
        seq = self._append("release", self._release(purchase, purchase.charges, covered, commitment))
        body = self._vault.seal(nonce + noisy.astype("<i8").tobytes(), purchase.key.encode())
        self._storage.rows("insert into release values(?, ?, ?, ?)", purchase.key, seq, purchase.beside or None, body)
        self._record(purchase.key, purchase.charges, seq)
        return _noisy(purchase, noisy, Receipt(purchase.key, seq, nonce, commitment))

    def _share(self, purchase: Purchase, due: Sequence[Charge]) -> None:
        """New readers of stored bytes: no new noise, but whoever is newly exposed pays."""
        first = self._released(purchase.key)
        seq = self._append("release", self._release(purchase, due, (), first["commitment"]))
        self._record(purchase.key, due, seq)

    def _covered(self, purchase: Purchase) -> tuple[Charge, ...]:
        """What the release beside this one was charged: it must cover this one, and nothing else yet."""
        if not purchase.beside:
            return ()
        other = self._released(purchase.beside)
        refuse_uncovered(purchase, other)
        taken = self._storage.row("select 1 from release where beside = ?", purchase.beside)
        if taken or other["beside"]:
            raise UnpaidPart("one charge covers one pair of parts, once")
        return charges_of(other)

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

    def _record(self, key: str, charges: Sequence[Charge], seq: int) -> None:
        for charge in charges:
            self._storage.rows("insert into charge values(?, ?, ?, ?)", key, charge.account, charge.rho, seq)

    def _refuse_rolled_back(self) -> None:
        """Errors: RolledBack."""
        size = self._frontier().size
        for name, most in self.seen().items():
            if most > size:
                raise RolledBack(name, size, most)

    def _append(self, kind: str, content: Leaf) -> int:
        """Add a leaf, move the tree on, sign the new checkpoint. Errors: BadTree where no log could carry it."""
        old = self._frontier()
        leaf = canonical({"v": 1, "seq": old.size, "kind": kind, "time": self._hour(old.size), **content})
        if len(leaf) > LARGEST_ENTRY:
            raise BadTree("entry-too-large")
        frontier = old.push(leaf)
        note = sign_checkpoint(self._key.name, frontier.size, frontier.root(), self._key)
        self._storage.rows("insert into entry values(?, ?)", old.size, leaf)
        self._storage.rows("update frontier set size = ?, peaks = ?", frontier.size, frontier.to_bytes())
        self._storage.rows("insert into checkpoint values(?, ?)", frontier.size, note)
        return old.size

    # -- rows ------------------------------------------------------------------------------------------------------

    def _frontier(self) -> Frontier:
        row = self._storage.row("select size, peaks from frontier")
        with suppress(BadTree):
            if row is not None:
                return Frontier.from_bytes(row[0], row[1])
        raise LedgerDamaged("its tree does not hold together")

    def _hour(self, size: int) -> str:
        """Now, or the hour of the entry above where the clock was set back."""
        now = hour(self._clock())
        return max(now, str(self._entry(size - 1)["time"])) if size else now

    def _stored(self, purchase: Purchase) -> Noisy | None:
        row = self._storage.row("select seq, body from release where key = ?", purchase.key)
        if row is None:
            return None
        first = self._released(purchase.key)
        refuse_other_cover(purchase, first)
        body = self._vault.open(row[1], purchase.key.encode())
        nonce, values = body[:NONCE_SIZE], np.frombuffer(body[NONCE_SIZE:], dtype="<i8").astype(np.int64)
        commitment = commitment_to(nonce, values)
        if first["commitment"] != commitment:
            raise LedgerDamaged("stored noise is not what the log commits to")
        return _noisy(purchase, values, Receipt(purchase.key, row[0], nonce, commitment))

    def _released(self, key: str) -> Released:
        row = self._storage.row("select seq from release where key = ?", key)
        if row is None:
            raise UnpaidPart("the release it stands beside was not paid for")
        return cast(Released, self._entry(row[0]))

    def _entry(self, seq: int) -> dict[str, Json]:
        """One leaf, read back."""
        row = self._storage.row("select leaf from entry where seq = ?", seq)
        with suppress(ValueError):
            if row is not None and isinstance(leaf := json.loads(row[0]), dict):
                return leaf
        raise LedgerDamaged(f"entry {seq} is not there, or not what was written")


def _charge_json(charge: Charge, account: Account) -> dict[str, Json]:
    """A charge with the account's running total before it: the account was already moved on."""
    return {
        "account": charge.account,
        "dataset": charge.dataset,
        "rho": charge.rho,
        "before": account.spent - charge.rho,
    }


def _refuse_mismatch(purchase: Purchase, statistic: Statistic) -> None:
    """What a plan promised of a statistic holds, and its charges are whole. Errors: SpecificationMismatch."""
    spec, values = purchase.specification, statistic.values
    cost = price(spec.l2_squared, spec.scale)
    holds = (
        values.dtype == np.int64
        and values.shape == (spec.cells,)
        and statistic.bits == spec.bits
        and statistic.l2_squared <= spec.l2_squared
        and all(charge.rho >= cost for charge in purchase.charges)
        and len({charge.account for charge in purchase.charges}) == len(purchase.charges)
    )
    if not holds:
        raise SpecificationMismatch


def _noisy(purchase: Purchase, values: NDArray[np.int64], receipt: Receipt) -> Noisy:
    spec = purchase.specification
    return Noisy(values, scale=spec.scale / SCALE_UNIT, bits=spec.bits, receipt=receipt)

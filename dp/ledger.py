"""The ledger: a release is paid for, drawn, logged and signed in one transaction, or not at all.

`Ledger.pay` is the only way from a `Statistic` of submitted records to a `Noisy`. In one transaction (`dp.storage`) it
charges, draws the noise, adds the Merkle leaf, signs the checkpoint and stores the noisy bytes, sealed under the room's
key; then it commits, and only then returns. The same specification gives the same bytes for ever. What is stored says
`dp.body`.

A job whose next question depends on the last noisy answer cannot put one statistic into one `pay`. It *opens*: all the
noise it will ever add is paid for and drawn at once, on zeros, before a row is looked at, and kept sealed (`open`).
Killed at any step, it starts again with the same noise on the same people, and so with the same answers: there is no
second draw to choose from. When it is done it *settles*: the noisy integers take the place of the noise, in the store
and in the log (`settle`), and are a release like any other from then on.

The code ensures
- no noise without a receipt: `dp.mechanisms` is called here, and by `dp.rehearsal` for audits on invented people alone;
- a key that nobody listed passes by `dp.selection` alone, and its δ is charged: what does not show is not stored;
- labels leave flipped, and are charged to accounts that count ε: `dp.promised` holds one against the other;
- no account above its cap: integers, checked here and again by SQLite;
- one draw a specification: its key is unique, and a replay costs nothing; opened noise is settled once;
- one set of submissions a signed job: whoever runs the room cannot ask it again of what was submitted anew;
- a release beside another is free only where `dp.cover` says so, and only once;
- entries in the order of their hours, even where the clock was set back: the hour above is written again.

The caller ensures
- `Purchase.specification.l2_squared` bounds what one record moves, under the match rule it names;
- `Purchase.charges` names everybody who is newly exposed to the readers it names;
- the two parts of a pair are disjoint in people, by a split that does not depend on who matched;
- opened noise is added to integers that together move by no more than `l2_squared` says, whatever the noise, each cell
  of it once; it is shown to nobody; and whether, how long and how far the job runs does not depend on data.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from .account import Account, BudgetExceeded, Cap
from .aggregate import Statistic
from .body import NONCE_SIZE, from_bytes, to_bytes
from .budget import Rho
from .canonical import Json, Leaf, canonical, with_part
from .carry import Carried, Closed
from .cover import UnpaidPart, charges_of, refuse_other_cover, refuse_uncovered, refuse_unpaid
from .entry import Charge, Context, Purchase, Released, commitment_to, hour
from .flip import FLIP_UNIT
from .head import Head, head_of, read_leaf, seen_by
from .labels import Labels, packed
from .noisy import Noise, Noisy, Receipt
from .note import NoteKey, sign_checkpoint
from .promised import Exact, SpecificationMismatch, refuse_mismatch
from .restore import add_readers, refill
from .scale import SCALE_UNIT
from .selection import Candidates, shown
from .storage import LedgerDamaged, Storage
from .tree import LARGEST_ENTRY, BadTree, leaf_hash, root_of
from .window import Forked, RolledBack, Window, WindowFull

__all__ = [
    "Account",
    "BudgetExceeded",
    "Cap",
    "Carried",
    "Clock",
    "Closed",
    "JobUsed",
    "Ledger",
    "LedgerDamaged",
    "NoiseLost",
    "SpecificationMismatch",
    "UnpaidPart",
    "Vault",
]

Clock = Callable[[], datetime]


class Vault(Protocol):
    """Keeps noisy bytes unreadable at rest. `context` is bound to the sealed bytes."""

    def seal(self, plain: bytes, context: bytes) -> bytes: ...
    def open(self, sealed: bytes, context: bytes) -> bytes: ...


class NoiseLost(Exception):
    """The statistic was drawn before a disk was lost, and its bytes with it. It is never drawn again."""


class JobUsed(Exception):
    """A signed job was paid for on other submissions: for these, its asker signs another."""


class Ledger:
    """One room's ledger on disk. Use it as a context manager.

    Errors, of everything here: LedgerDamaged; OSError and sqlite3.Error where the disk does not answer as it should.
    Whatever is raised, nothing was half-applied.
    """

    def __init__(self, path: Path, key: NoteKey, vault: Vault, clock: Clock, window: Window | None = None) -> None:
        self._key, self._vault, self._clock, self._window = key, vault, clock, window
        self._storage = Storage(path)

    @classmethod
    def create(
        cls,
        path: Path,
        key: NoteKey,
        vault: Vault,
        clock: Clock,
        caps: Sequence[Cap],
        carried: Sequence[Carried] = (),
    ) -> Self:
        """A new ledger whose first entries are the caps, and what of them was spent before.

        Errors: FileExistsError; BudgetExceeded where more was spent before than a cap allows.
        """
        with cls._making(path, key, vault, clock) as ledger:
            for cap in caps:
                ledger._storage.rows("insert into account(id, cap) values(?, ?)", cap.account, cap.rho)
                ledger._append(head_of(ledger._storage), "cap", cap.as_json())
            for each in carried:
                ledger._carry(each)
        return ledger

    @classmethod
    def restore(
        cls, path: Path, key: NoteKey, vault: Vault, clock: Clock, leaves: Sequence[bytes], lost: Carried
    ) -> Self:
        """A ledger made anew from its own log, whose end, and all noisy bytes, were lost with a disk.

        lost: what may have been spent after these leaves; it is charged before anything else. Errors: FileExistsError.
        The caller ensures: the leaves were verified, and the statement that `lost` names was signed.
        """
        with cls._making(path, key, vault, clock) as ledger:
            frontier = refill(ledger._storage, leaves)
            note = sign_checkpoint(key.name, frontier.size, frontier.root(), key)
            ledger._storage.rows("insert into checkpoint values(?, ?)", frontier.size, note)
            seq = ledger._carry(lost)
            for account, rho in lost.charges.items():
                if rho:
                    ledger._storage.rows("insert into lost values(?, ?, ?)", account, rho, seq)
        return ledger

    @classmethod
    @contextmanager
    def _making(cls, path: Path, key: NoteKey, vault: Vault, clock: Clock) -> Iterator[Self]:
        """A new file, filled in one transaction, or no file."""
        Storage.create(path).close()
        ledger = cls(path, key, vault, clock)
        try:
            with ledger._storage.writing():
                yield ledger
        except BaseException:
            ledger.close()
            path.unlink(missing_ok=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._storage.close()

    # -- reading ---------------------------------------------------------------------------------------------------

    def accounts(self) -> dict[str, Account]:
        with self._storage.reading():
            seen = self.seen()
            names = [name for (name,) in self._storage.rows("select id from account order by id")]
            return {name: self._account(name, seen) for name in names}

    def _account(self, name: str, seen: Mapping[str, int]) -> Account:
        """One account, as empty as can be where there is none. seen: by the witnesses, as `seen` says."""
        row = self._storage.row("select cap, spent from account where id = ?", name)
        cap, spent = row or (0, 0)
        return Account(name, Rho(cap), Rho(spent), self._ahead(name, Rho(cap), seen))

    def _ahead(self, account: str, cap: Rho, seen: Mapping[str, int]) -> Rho | None:
        """What may still be spent ahead of the entries that witnesses vouch for."""
        if self._window is None:
            return None
        row = self._storage.row(
            """select sum(rho) from (select account, rho, seq from charge union all select account, rho, seq from lost)
               where account = ? and seq >= ?""",
            account,
            self._window.witnessed(seen),
        )
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
        return seen_by(self._storage)

    def cosigned(self) -> dict[str, str]:
        """Witness to the newest head of this log that it cosigned, as it cosigned it."""
        statement = "select name, note, max(size) from witness where size <= (select size from frontier) group by name"
        return {name: note for name, note, _ in self._storage.rows(statement)}

    def bound(self, job: str) -> dict[str, str] | None:
        """The data sets, by manifest, that a signed job was paid for on; None where it was not paid for yet."""
        row = self._storage.row("select datasets from job where digest = ?", job)
        return dict(json.loads(row[0])) if row else None

    def paid(self, purchase: Purchase) -> Noisy | None:
        """The noisy bytes, where they were paid for and given to these very readers before.

        Errors: UnpaidPart, NoiseLost.
        """
        refuse_unpaid(purchase)
        with self._storage.reading():
            if purchase.opened and not self._settled(purchase.key):
                return None
            stored = None if self._due(purchase) else self._stored(purchase)
            return None if self._new_readers(purchase) else stored

    def first_readers(self, key: str) -> tuple[str, ...] | None:
        """For whom a statistic was drawn, or its noise opened; None where it was not."""
        row = self._row(key)
        return tuple(row[2]["recipients"]) if row else None

    def covered_by(self, key: str) -> str | None:
        """The release that the charge of this one pays for as well; None where there is none yet."""
        row = self._storage.row("select key from release where beside = ?", key)
        return str(row[0]) if row else None

    def due(self, purchase: Purchase) -> tuple[Charge, ...]:
        """What is still to be paid for it: nothing, where only readers are new to whom nobody is newly exposed."""
        return self._due(purchase)

    # -- writing ---------------------------------------------------------------------------------------------------

    def pay(self, purchase: Purchase, statistic: Statistic) -> Noisy:
        """Charge, draw, log, sign and store in one transaction; a replay returns the stored bytes and costs nothing.

        Whoever is to read stored bytes for the first time is logged, also where that exposes nobody newly.

        Errors: BudgetExceeded, WindowFull, RolledBack, Closed, UnpaidPart, JobUsed, NoiseLost,
        SpecificationMismatch: nothing was drawn, charged or written.
        """
        if purchase.opened or purchase.selection:
            raise SpecificationMismatch
        return self._bought(purchase, statistic, "release")

    def respond(self, purchase: Purchase, labels: Labels) -> Noisy:
        """As `pay`, about one label a person, each flipped as often as is paid for. Errors: as of `pay`."""
        if purchase.opened or purchase.veil or purchase.selection or purchase.beside:
            raise SpecificationMismatch
        return self._bought(purchase, labels, "release")

    def select(self, purchase: Purchase, found: Candidates) -> Noisy:
        """As `pay`, about keys that nobody listed: those that show, once and for ever. Errors: as of `pay`."""
        if purchase.opened or purchase.veil or purchase.selection is None:
            raise SpecificationMismatch
        return self._bought(purchase, found, "release")

    def open(self, purchase: Purchase, blank: Statistic) -> Noise | Noisy:
        """Pay for all the noise of a job that uses it step by step: the same noise until it is settled.

        blank: zeros, one for each number that noise will be added to. Where it was settled before, for other readers,
        what came of it is shared with these. Errors: as of `pay`.
        """
        if not purchase.opened or purchase.veil or purchase.selection or blank.values.any():
            raise SpecificationMismatch
        kept = self._bought(purchase, blank, "open")
        return kept if self._settled(purchase.key) else Noise(kept.values, kept.scale, kept.bits)

    def settle(self, purchase: Purchase, values: NDArray[np.int64]) -> Noisy:
        """What came of opened noise, logged and kept in the place of the noise, which is forgotten.

        values: int64, the noise with the exact integers added. Done once: later values are not looked at.
        Errors: UnpaidPart where it was not opened for these readers; Closed, SpecificationMismatch.
        """
        if not purchase.opened or values.dtype != np.int64 or values.shape != (purchase.specification.cells,):
            raise SpecificationMismatch
        with self._storage.writing():
            if self._due(purchase) or self._new_readers(purchase) or self._row(purchase.key) is None:
                raise UnpaidPart("its noise was not opened for these readers")
            stored = self._stored(purchase)  # refuses what was not opened
            return stored if stored and self._settled(purchase.key) else self._kept(purchase, values)

    def _bought(self, purchase: Purchase, exact: Exact, kind: str) -> Noisy:
        refuse_unpaid(purchase)
        refuse_mismatch(purchase, exact)
        purchase.key  # noqa: B018 - digested once, and not while others wait
        with self._storage.writing():
            stored = self._stored(purchase)
            due = purchase.dues if stored is None else self._due(purchase)  # nothing is charged but for a release
            new = set() if stored is None else self._new_readers(purchase)
            if stored is not None and not due and not new:
                return stored
            if due:
                self._bind(purchase)
            head = head_of(self._storage)
            taken = self._take(head, due)
            if stored is None:
                return self._draw(head, purchase, exact, taken, kind)
            self._share(head, purchase, due, taken, new)
            return stored

    def witness(self, name: str, size: int, root: bytes, note: str) -> None:
        """Keep a head that a witness cosigned. The caller ensures that the cosignature was verified.

        Errors: Forked where it is not a head of this log; RolledBack where it is ahead of it: that is kept, and from
        then on nothing is paid for.
        """
        with self._storage.writing():
            ours = head_of(self._storage).size
            if size <= ours and root_of(leaf_hash(leaf) for leaf in self.leaves()[:size]) != root:
                raise Forked(name, size)
            self._storage.rows("insert or ignore into witness values(?, ?, ?)", name, size, note)
        if size > ours:
            raise RolledBack(name, ours, size)

    def close_for(self, contract: str, following: str) -> None:
        """Close the ledger: its accounts go on under another contract. Done once; the same again changes nothing.

        contract, following: SHA-256 in hex of this contract and the next. Errors: Closed where it went on elsewhere.
        """
        with self._storage.writing():
            head = head_of(self._storage)
            if head.following != following:
                head.refuse_closed()
                self._append(head, "closed", {"contract": contract, "next": following})

    def closed_for(self) -> str:
        """The contract that goes on with these accounts; "" where the ledger is open."""
        return head_of(self._storage).following

    def deny(self, context: Context, clause: str) -> None:
        """Log that a signed request was refused, and by which clause. Costs nothing. Errors: Closed."""
        with self._storage.writing():
            head = head_of(self._storage)
            head.refuse_closed()
            self._append(head, "denial", {**context.as_json(), "clause": clause})

    # -- inside the transaction -------------------------------------------------------------------------------------

    def _due(self, purchase: Purchase) -> tuple[Charge, ...]:
        """The charges of a purchase that were not yet paid for its key."""
        paid = {account for (account,) in self._storage.rows("select account from charge where key = ?", purchase.key)}
        return tuple(charge for charge in purchase.dues if charge.account not in paid)

    def _new_readers(self, purchase: Purchase) -> set[str]:
        """Who has not read the stored bytes yet; empty where nothing is stored."""
        row = self._storage.row("select readers from release where key = ?", purchase.key)
        return set(purchase.context.recipients) - set(json.loads(row[0])) if row else set()

    def _bind(self, purchase: Purchase) -> None:
        """A signed job is for one set of submissions. Errors: JobUsed."""
        job, datasets = purchase.context.job, dict(purchase.specification.datasets)
        bound = self.bound(job)
        if bound is None:
            self._storage.rows("insert into job values(?, ?)", job, canonical(datasets).decode())
        elif bound != datasets:
            raise JobUsed

    def _take(self, head: Head, due: Sequence[Charge]) -> list[Json]:
        """Charge the accounts, or refuse before anything is drawn; the charges as an entry holds them."""
        head.refuse_rolled_back()
        head.refuse_closed()
        return [self._charged(charge, head.seen) for charge in due]

    def _charged(self, charge: Charge, seen: Mapping[str, int]) -> dict[str, Json]:
        """Errors: BudgetExceeded, WindowFull."""
        account, rho = self._account(charge.account, seen), charge.rho
        account.refuse_above(rho)
        if account.ahead is not None and rho > account.ahead:
            raise WindowFull(account.id, rho, account.ahead)
        self._storage.rows("update account set spent = spent + ? where id = ?", rho, account.id)
        return {"account": account.id, "dataset": charge.dataset, "rho": rho, "before": account.spent}

    def _draw(self, head: Head, purchase: Purchase, exact: Exact, taken: list[Json], kind: str) -> Noisy:
        covered = self._covered(purchase)
        charged = min(charge.rho for charge in (*purchase.charges, *covered))
        noisy, keys = _drawn(purchase, exact, charged)
        seq, receipt, body = self._committed(head, kind, purchase, noisy, taken, covered, keys)
        readers = canonical(list(purchase.context.recipients)).decode()
        row = (purchase.key, seq, purchase.beside or None, readers, body)
        self._storage.rows("insert into release values(?, ?, ?, ?, ?)", *row)
        self._record(purchase.key, purchase.dues, seq)
        return _noisy(purchase, noisy, receipt, keys)

    def _kept(self, purchase: Purchase, values: NDArray[np.int64]) -> Noisy:
        """Put what came of opened noise in its place."""
        head = head_of(self._storage)
        head.refuse_closed()
        seq, receipt, body = self._committed(head, "outcome", purchase, values, [], ())
        self._storage.rows("insert into outcome values(?, ?, ?)", purchase.key, seq, body)
        self._storage.rows("update release set body = x'' where key = ?", purchase.key)
        return _noisy(purchase, values, receipt)

    def _committed(
        self,
        head: Head,
        kind: str,
        purchase: Purchase,
        values: NDArray[np.int64],
        taken: list[Json],
        covered: Sequence[Charge],
        keys: tuple[str, ...] | None = None,
    ) -> tuple[int, Receipt, bytes]:
        """An entry that commits to integers under a new nonce: its number, its receipt, and the sealed bytes."""
        nonce = secrets.token_bytes(NONCE_SIZE)
        commitment = commitment_to(nonce, values, keys)
        seq = self._released_as(head, kind, purchase, taken, covered, commitment)
        body = self._vault.seal(to_bytes(nonce, keys, values), purchase.key.encode())
        return seq, Receipt(purchase.key, seq, nonce, commitment), body

    def _share(self, head: Head, purchase: Purchase, due: Sequence[Charge], taken: list[Json], new: set[str]) -> None:
        """New readers of stored bytes: no new noise, but whoever is newly exposed pays."""
        row = self._row(purchase.key, settled=purchase.opened)
        kind = "open" if purchase.opened and not self._settled(purchase.key) else "release"
        commitment = row[2]["commitment"] if row else ""
        seq = self._released_as(head, kind, purchase, taken, (), commitment)
        self._record(purchase.key, due, seq)
        if new:
            add_readers(self._storage, purchase.key, new)

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

    def _record(self, key: str, charges: Sequence[Charge], seq: int) -> None:
        for charge in charges:
            self._storage.rows("insert into charge values(?, ?, ?, ?)", seq, charge.account, key, charge.rho)

    def _carry(self, carried: Carried) -> int:
        """Charge what was spent elsewhere. Errors: BudgetExceeded."""
        head, before = head_of(self._storage), dict[str, Rho]()
        for name, rho in carried.charges.items():
            if rho:
                account = self._account(name, head.seen)
                account.refuse_above(rho)
                self._storage.rows("update account set spent = spent + ? where id = ?", rho, name)
                before[name] = account.spent
        return self._append(head, "carry", carried.as_json(before))

    def _released_as(
        self, head: Head, kind: str, purchase: Purchase, taken: list[Json], covered: Sequence[Charge], commitment: str
    ) -> int:
        """A release's entry: its number. The specification was spelled before others had to wait."""
        leaf = self._spelled(head, kind, _release(purchase, taken, covered, commitment))
        return self._add(head, with_part(leaf, "specification", purchase.specification.spelled, "time"))

    def _append(self, head: Head, kind: str, content: Leaf) -> int:
        """An entry: its number."""
        return self._add(head, self._spelled(head, kind, content))

    def _spelled(self, head: Head, kind: str, content: Leaf) -> bytes:
        return canonical({"v": 1, "seq": head.size, "kind": kind, "time": self._hour(head), **content})

    def _add(self, head: Head, leaf: bytes) -> int:
        """Add a leaf, move the tree on, sign the new checkpoint. Errors: BadTree where no log could carry it."""
        if len(leaf) > LARGEST_ENTRY:
            raise BadTree("entry-too-large")
        frontier = head.frontier.push(leaf)
        note = sign_checkpoint(self._key.name, frontier.size, frontier.root(), self._key)
        self._storage.rows("insert into entry values(?, ?)", head.size, leaf)
        self._storage.rows("update frontier set size = ?, peaks = ?", frontier.size, frontier.to_bytes())
        self._storage.rows("insert into checkpoint values(?, ?)", frontier.size, note)
        return head.size

    def _hour(self, head: Head) -> str:
        """Now, or the hour of the entry above where the clock was set back."""
        return max(hour(self._clock()), head.hour)

    # -- rows ------------------------------------------------------------------------------------------------------

    def _stored(self, purchase: Purchase) -> Noisy | None:
        row = self._row(purchase.key, settled=purchase.opened)
        if row is None:
            return None
        seq, sealed, first = row
        if (first["kind"] != "release") != purchase.opened:  # opened noise is not a release, nor a release noise
            raise SpecificationMismatch
        refuse_other_cover(purchase, first)
        if not sealed:
            raise NoiseLost
        body = self._vault.open(sealed, purchase.key.encode())
        nonce, keys, values = from_bytes(body, selected=purchase.selection is not None)
        commitment = commitment_to(nonce, values, keys)
        if first["commitment"] != commitment:
            raise LedgerDamaged("stored noise is not what the log commits to")
        return _noisy(purchase, values, Receipt(purchase.key, seq, nonce, commitment), keys)

    def _released(self, key: str) -> Released:
        row = self._row(key)
        if row is None:
            raise UnpaidPart("the release it stands beside was not paid for")
        return row[2]

    def _settled(self, key: str) -> bool:
        return self._storage.row("select 1 from outcome where key = ?", key) is not None

    def _row(self, key: str, *, settled: bool = False) -> tuple[int, bytes, Released] | None:
        """What is kept of a key: its first entry's number, the sealed bytes, "" where they were lost, and the entry.

        settled: of opened noise what came of it, where that is known.
        """
        kept = "outcome" if settled and self._settled(key) else "release"
        row = self._storage.row(f"select seq, body, leaf from {kept} left join entry using (seq) where key = ?", key)  # noqa: S608 - one of two names
        return (row[0], row[1], cast(Released, read_leaf(row[2], row[0]))) if row else None


def _release(purchase: Purchase, taken: list[Json], covered: Sequence[Charge], commitment: str) -> Leaf:
    """A release's entry, but for its specification. taken: its charges, with what each account had spent before."""
    from . import mechanisms

    return {
        **purchase.context.as_json(),
        "key": purchase.key,
        "charges": taken,
        "covered": [{"account": c.account, "dataset": c.dataset, "rho": c.rho} for c in covered],
        "beside": purchase.beside,
        "library": mechanisms.LIBRARY,
        "commitment": commitment,
    }


def _drawn(purchase: Purchase, exact: Exact, charged: Rho) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    """Noisy integers, and the keys that show where nobody listed them: the only call for noise on submitted records."""
    from . import mechanisms

    spec = purchase.specification

    def draw(values: NDArray[np.int64]) -> NDArray[np.int64]:
        return mechanisms.gaussian(values, spec.l2_squared, spec.scale, charged)

    if isinstance(exact, Labels):
        return packed(mechanisms.randomised(exact.values, spec.moved, spec.flip, charged)), None
    if isinstance(exact, Candidates):
        assert purchase.selection is not None  # noqa: S101 - `Ledger.select` looked
        keys, noisy = shown(purchase.selection, exact, spec.scale, draw)
        return noisy, keys
    noisy = draw(exact.values)
    return (purchase.veil.over(noisy) if purchase.veil else noisy), None


def _noisy(
    purchase: Purchase, values: NDArray[np.int64], receipt: Receipt, keys: tuple[str, ...] | None = None
) -> Noisy:
    spec = purchase.specification
    scale, flip = (0.0, spec.flip / FLIP_UNIT) if spec.flip else (spec.scale / SCALE_UNIT, 0.0)
    return Noisy(values, scale=scale, bits=spec.bits, receipt=receipt, keys=keys, flip=flip)

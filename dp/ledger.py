"""The ledger: a release is paid for, drawn, logged and signed in one transaction, or not at all.

`Ledger.pay` is the only way from a `Statistic` of submitted records to a `Noisy`. In one transaction (`dp.storage`) it
charges, draws the noise, adds the Merkle leaf, signs the checkpoint and stores the noisy bytes, sealed under the room's
key; then it commits, and only then returns. The same specification gives the same bytes for ever.

What is written is kept by three, each with what it ensures: `dp.balances` the accounts, `dp.log` the entries,
`dp.releases` who read what, and the bytes.

A job whose next question depends on the last noisy answer cannot put one statistic into one `pay`. It *opens*: all the
noise it will ever add is paid for and drawn at once, on zeros, before a row is looked at, and kept sealed (`open`).
Killed at any step, it starts again with the same noise on the same people, and so with the same answers: there is no
second draw to choose from. When it is done it *settles*: the noisy integers take the place of the noise, in the store
and in the log (`settle`), and are a release like any other from then on.

The code ensures
- no noise without a receipt: `dp.mechanisms` is called here, and by `dp.rehearsal` for audits on invented people alone;
- a key that nobody listed passes by `dp.selection` alone, and its δ is charged: what does not show is not stored;
- labels leave flipped, and are charged to accounts that count ε: `dp.promised` holds one against the other;
- one draw a specification: its key is unique, and a replay costs nothing; opened noise is settled once;
- one set of submissions a signed job: whoever runs the room cannot ask it again of what was submitted anew;
- a release beside another is free only where `dp.cover` says so, and only once.

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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .account import Account, Cap
from .aggregate import Statistic
from .balances import Balances
from .body import NONCE_SIZE
from .budget import Rho
from .canonical import Json, Leaf, canonical
from .carry import Carried
from .cover import UnpaidPart, charges_of, refuse_uncovered, refuse_unpaid
from .entry import Charge, Context, Purchase, commitment_to
from .head import Head, head_of, seen_by
from .labels import Labels, packed
from .log import Clock, Log
from .noisy import Noise, Noisy, Receipt
from .note import NoteKey
from .promised import Exact, SpecificationMismatch, refuse_mismatch
from .releases import Keys, Releases, Vault, add_readers
from .restore import refill
from .selection import Candidates, shown
from .storage import Storage
from .tree import leaf_hash, root_of
from .window import Forked, RolledBack, Window


class JobUsed(Exception):
    """A signed job was paid for on other submissions: for these, its asker signs another."""


class Ledger:
    """One room's ledger on disk. Use it as a context manager.

    Errors, of everything here: LedgerDamaged; OSError and sqlite3.Error where the disk does not answer as it should.
    Whatever is raised, nothing was half-applied.
    """

    def __init__(self, path: Path, key: NoteKey, vault: Vault, clock: Clock, window: Window | None = None) -> None:
        self._storage = Storage(path)
        self._balances = Balances(self._storage, window)
        self._log = Log(self._storage, key, clock)
        self._releases = Releases(self._storage, vault)

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
                ledger._balances.open(cap)
                ledger._log.append(head_of(ledger._storage), "cap", cap.as_json())
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
            ledger._log.sign(refill(ledger._storage, leaves))
            ledger._balances.lose(lost.charges, ledger._carry(lost))
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
            return self._balances.all(self.seen())

    def leaves(self) -> list[bytes]:
        """Every entry as logged, in order."""
        return self._log.leaves()

    def checkpoint(self) -> str:
        """The newest signed checkpoint."""
        return self._log.checkpoint()

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

    def used(self, manifest: str) -> bool:
        """Whether a signed job was paid for on this submission."""
        every = self._storage.rows("select datasets from job")
        return any(manifest in json.loads(datasets).values() for (datasets,) in every)

    def paid(self, purchase: Purchase) -> Noisy | None:
        """The noisy bytes, where they were paid for and given to these very readers before.

        Errors: UnpaidPart, NoiseLost.
        """
        refuse_unpaid(purchase)
        with self._storage.reading():
            if purchase.opened and not self._releases.settled(purchase.key):
                return None
            stored = None if self._balances.due(purchase) else self._releases.stored(purchase)
            return None if self._releases.new_readers(purchase) else stored

    def first_readers(self, key: str) -> tuple[str, ...] | None:
        """For whom a statistic was drawn, or its noise opened; None where it was not."""
        entry = self._releases.entry(key)
        return tuple(entry["recipients"]) if entry else None

    def covered_by(self, key: str) -> str | None:
        """The release that the charge of this one pays for as well; None where there is none yet."""
        return self._releases.beside(key)

    def due(self, purchase: Purchase) -> tuple[Charge, ...]:
        """What is still to be paid for it: nothing, where only readers are new to whom nobody is newly exposed."""
        return self._balances.due(purchase)

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
        return kept if self._releases.settled(purchase.key) else Noise(kept.values, kept.scale, kept.bits)

    def settle(self, purchase: Purchase, values: NDArray[np.int64]) -> Noisy:
        """What came of opened noise, logged and kept in the place of the noise, which is forgotten.

        values: int64, the noise with the exact integers added. Done once: later values are not looked at.
        Errors: UnpaidPart where it was not opened for these readers; Closed, SpecificationMismatch.
        """
        if not purchase.opened or values.dtype != np.int64 or values.shape != (purchase.specification.cells,):
            raise SpecificationMismatch
        with self._storage.writing():
            due, new = self._balances.due(purchase), self._releases.new_readers(purchase)
            if due or new or self._releases.entry(purchase.key) is None:
                raise UnpaidPart("its noise was not opened for these readers")
            stored = self._releases.stored(purchase)  # refuses what was not opened
            return stored if stored and self._releases.settled(purchase.key) else self._kept(purchase, values)

    def _bought(self, purchase: Purchase, exact: Exact, kind: str) -> Noisy:
        refuse_unpaid(purchase)
        refuse_mismatch(purchase, exact)
        purchase.key  # noqa: B018 - digested once, and not while others wait
        with self._storage.writing():
            stored = self._releases.stored(purchase)
            # nothing is charged but for a release
            due = purchase.dues if stored is None else self._balances.due(purchase)
            new = set() if stored is None else self._releases.new_readers(purchase)
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
                self._log.append(head, "closed", {"contract": contract, "next": following})

    def closed_for(self) -> str:
        """The contract that goes on with these accounts; "" where the ledger is open."""
        return head_of(self._storage).following

    def deny(self, context: Context, clause: str) -> None:
        """Log that a signed request was refused, and by which clause. Costs nothing. Errors: Closed."""
        with self._storage.writing():
            head = head_of(self._storage)
            head.refuse_closed()
            self._log.append(head, "denial", {**context.as_json(), "clause": clause})

    # -- inside the transaction -------------------------------------------------------------------------------------

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
        return [self._balances.charge(charge, head.seen) for charge in due]

    def _draw(self, head: Head, purchase: Purchase, exact: Exact, taken: list[Json], kind: str) -> Noisy:
        covered = self._covered(purchase)
        charged = min(charge.rho for charge in (*purchase.charges, *covered))
        noisy, keys = _drawn(purchase, exact, charged)
        receipt = self._logged(head, kind, purchase, noisy, taken, covered, keys)
        kept = self._releases.keep(purchase, noisy, receipt, keys)
        self._balances.record(purchase.key, purchase.dues, receipt.sequence)
        return kept

    def _kept(self, purchase: Purchase, values: NDArray[np.int64]) -> Noisy:
        """Put what came of opened noise in its place."""
        head = head_of(self._storage)
        head.refuse_closed()
        return self._releases.settle(purchase, values, self._logged(head, "outcome", purchase, values, [], ()))

    def _logged(
        self,
        head: Head,
        kind: str,
        purchase: Purchase,
        values: NDArray[np.int64],
        taken: list[Json],
        covered: Sequence[Charge],
        keys: Keys = None,
    ) -> Receipt:
        """The receipt of an entry that commits to integers under a new nonce."""
        nonce = secrets.token_bytes(NONCE_SIZE)
        commitment = commitment_to(nonce, values, keys)
        return Receipt(purchase.key, self._entered(head, kind, purchase, taken, covered, commitment), nonce, commitment)

    def _share(self, head: Head, purchase: Purchase, due: Sequence[Charge], taken: list[Json], new: set[str]) -> None:
        """New readers of stored bytes: no new noise, but whoever is newly exposed pays."""
        entry = self._releases.entry(purchase.key, settled=purchase.opened)
        kind = "open" if purchase.opened and not self._releases.settled(purchase.key) else "release"
        seq = self._entered(head, kind, purchase, taken, (), entry["commitment"] if entry else "")
        self._balances.record(purchase.key, due, seq)
        if new:
            add_readers(self._storage, purchase.key, new)

    def _covered(self, purchase: Purchase) -> tuple[Charge, ...]:
        """What the release beside this one was charged: it must cover this one, and nothing else yet."""
        if not purchase.beside:
            return ()
        other = self._releases.entry(purchase.beside)
        if other is None:
            raise UnpaidPart("the release it stands beside was not paid for")
        refuse_uncovered(purchase, other)
        if self._releases.beside(purchase.beside) or other["beside"]:
            raise UnpaidPart("one charge covers one pair of parts, once")
        return charges_of(other)

    def _carry(self, carried: Carried) -> int:
        """Charge what was spent elsewhere. Errors: BudgetExceeded."""
        head = head_of(self._storage)
        before = self._balances.carry(carried.charges, head.seen)
        return self._log.append(head, "carry", carried.as_json(before))

    def _entered(
        self, head: Head, kind: str, purchase: Purchase, taken: list[Json], covered: Sequence[Charge], commitment: str
    ) -> int:
        """A release's entry: its number."""
        content = _release(purchase, taken, covered, commitment)
        return self._log.append(head, kind, content, purchase.specification.spelled)


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


def _drawn(purchase: Purchase, exact: Exact, charged: Rho) -> tuple[NDArray[np.int64], Keys]:
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

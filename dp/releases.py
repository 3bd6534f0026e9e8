"""Releases as a ledger keeps them: who has read which, and their noisy bytes, sealed under the room's key.

What is sealed says `dp.body`; what is logged of a release, `dp.entry`.

The code ensures: bytes that are handed out are those that the log commits to; opened noise is not handed out as a
release, nor a release as noise, and what came of it takes its place; bytes that were lost are told from bytes that
never were, so that they are not drawn again.
The caller ensures: integers are kept once they were paid for and logged, in the same transaction (`dp.storage`).
"""

from __future__ import annotations

import json
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from .body import from_bytes, to_bytes
from .canonical import canonical
from .cover import refuse_other_cover
from .entry import Purchase, Released, commitment_to
from .flip import FLIP_UNIT
from .head import read_leaf
from .noisy import Noisy, Receipt
from .promised import SpecificationMismatch
from .scale import SCALE_UNIT
from .storage import LedgerDamaged, Storage

Int = NDArray[np.int64]
Keys = tuple[str, ...] | None
"""That were selected; None where they are listed."""


class Vault(Protocol):
    """Keeps noisy bytes unreadable at rest. `context` is bound to the sealed bytes."""

    def seal(self, plain: bytes, context: bytes) -> bytes: ...
    def open(self, sealed: bytes, context: bytes) -> bytes: ...


class NoiseLost(Exception):
    """The statistic was drawn before a disk was lost, and its bytes with it. It is never drawn again."""


class Releases:
    """Errors, of everything here: as of `Storage`."""

    def __init__(self, storage: Storage, vault: Vault) -> None:
        self._storage, self._vault = storage, vault

    def stored(self, purchase: Purchase) -> Noisy | None:
        """What was drawn for this very specification; of opened noise what came of it, where that is known.

        Errors: NoiseLost, SpecificationMismatch, UnpaidPart.
        """
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

    def settled(self, key: str) -> bool:
        """Whether it is known what came of opened noise."""
        return self._storage.row("select 1 from outcome where key = ?", key) is not None

    def entry(self, key: str, *, settled: bool = False) -> Released | None:
        """Its first entry; None where it was not drawn. settled: of opened noise that of what came of it, if known."""
        row = self._row(key, settled=settled)
        return row[2] if row else None

    def beside(self, key: str) -> str | None:
        """The release that the charge of this one pays for as well; None where there is none yet."""
        row = self._storage.row("select key from release where beside = ?", key)
        return str(row[0]) if row else None

    def new_readers(self, purchase: Purchase) -> set[str]:
        """Who has not read the stored bytes yet; empty where nothing is stored."""
        row = self._storage.row("select readers from release where key = ?", purchase.key)
        return set(purchase.context.recipients) - set(json.loads(row[0])) if row else set()

    def keep(self, purchase: Purchase, values: Int, receipt: Receipt, keys: Keys) -> Noisy:
        """Keep what was drawn."""
        body = self._sealed(values, receipt, keys)
        readers = canonical(list(purchase.context.recipients)).decode()
        row = (purchase.key, receipt.sequence, purchase.beside or None, readers, body)
        self._storage.rows("insert into release values(?, ?, ?, ?, ?)", *row)
        return _noisy(purchase, values, receipt, keys)

    def settle(self, purchase: Purchase, values: Int, receipt: Receipt) -> Noisy:
        """Put what came of opened noise in its place. The noise is overwritten."""
        body = self._sealed(values, receipt, None)
        self._storage.rows("insert into outcome values(?, ?, ?)", purchase.key, receipt.sequence, body)
        self._storage.rows("update release set body = x'' where key = ?", purchase.key)
        return _noisy(purchase, values, receipt)

    def _sealed(self, values: Int, receipt: Receipt, keys: Keys) -> bytes:
        return self._vault.seal(to_bytes(receipt.nonce, keys, values), receipt.key.encode())

    def _row(self, key: str, *, settled: bool) -> tuple[int, bytes, Released] | None:
        """What is kept of a key: its first entry's number, the sealed bytes, "" where they were lost, and the entry."""
        kept = "outcome" if settled and self.settled(key) else "release"
        row = self._storage.row(f"select seq, body, leaf from {kept} left join entry using (seq) where key = ?", key)  # noqa: S608 - one of two names
        return (row[0], row[1], cast(Released, read_leaf(row[2], row[0]))) if row else None


def add_readers(storage: Storage, key: str, names: set[str]) -> None:
    """Remember who has read a release."""
    row = storage.row("select readers from release where key = ?", key)
    known = set(json.loads(row[0])) if row else set()
    storage.rows("update release set readers = ? where key = ?", canonical(sorted(known | names)).decode(), key)


def _noisy(purchase: Purchase, values: Int, receipt: Receipt, keys: Keys = None) -> Noisy:
    spec = purchase.specification
    scale, flip = (0.0, spec.flip / FLIP_UNIT) if spec.flip else (spec.scale / SCALE_UNIT, 0.0)
    return Noisy(values, scale=scale, bits=spec.bits, receipt=receipt, keys=keys, flip=flip)

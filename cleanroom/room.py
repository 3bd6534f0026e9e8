"""A room on disk: the agreed contract, its keys, what was submitted, matched and released, and the ledger.

    contract/    contract.toml and every party's signature, checked again by each command
    keys/        the room's age identity, its note signing key, its storage key (0600)
    datasets/    NAME/current names the newest submission; NAME/DIGEST/ holds its manifest, signature and table
    matches/     one encrypted column of yes and no a pair of submissions
    requests/    the signed jobs, by the digest of their bytes
    releases/    sealed files that have left, or may
    ledger.sqlite

The folder is 0700 and never leaves the operator.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from ..dp.accounting import rho_within
from ..dp.budget import Budget, Rho
from ..dp.ledger import Cap, Ledger
from ..dp.note import BadNote, NoteKey, parse_secret
from ..matching.hashing import Handles
from ..policies.agreement import Agreement, read_agreement, signature_path
from ..policies.check import UNIT, Submitted, account
from ..policies.contract import Contract
from .bundle import Bundle, Manifest
from .files import sweep, write
from .keys import Keys
from .store import Store

Clock = Callable[[], datetime]


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class RoomUnusable(Exception):
    """A folder is no room, or cannot become one. rule, remedy: plain words."""

    def __init__(self, path: Path, rule: str, remedy: str) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy = path, rule, remedy


@dataclass(frozen=True, slots=True)
class Dataset:
    """A submission as the room holds it. digest: SHA-256 of its signed manifest."""

    name: str
    folder: Path
    digest: str
    manifest: Manifest

    @property
    def table(self) -> Path:
        return self.folder / "part-000.parquet"


@dataclass(frozen=True)
class Room:
    """An open room. Every command opens it anew, and with it checks every signature of the contract."""

    path: Path
    agreement: Agreement
    clock: Clock = now

    @property
    def contract(self) -> Contract:
        return self.agreement.contract

    @cached_property
    def store(self) -> Store:
        return Store((self.path / "keys" / "storage").read_bytes())

    @cached_property
    def seal_identity(self) -> str:
        return (self.path / "keys" / "seal").read_text().strip()

    def ledger(self) -> Ledger:
        """The ledger, to be used as a context manager."""
        return Ledger(self.path / "ledger.sqlite", self._checkpoint_key(), self.store, self.clock)

    def _checkpoint_key(self) -> NoteKey:
        try:
            return parse_secret((self.path / "keys" / "checkpoint").read_text().strip())
        except BadNote:
            raise RoomUnusable(self.path, "its checkpoint key is damaged", "restore keys/ from a backup") from None

    # -- data sets -------------------------------------------------------------------------------------------------

    def dataset(self, name: str) -> Dataset | None:
        """The newest submission of a data set, if there is one."""
        current = self.path / "datasets" / name / "current"
        return self._submission(name, current.read_text().strip()) if current.is_file() else None

    def _submission(self, name: str, digest: str) -> Dataset:
        folder = self.path / "datasets" / name / digest
        try:
            manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
        except (ValidationError, FileNotFoundError):
            raise RoomUnusable(folder, "a stored manifest is damaged", "submit the bundle again") from None
        return Dataset(name, folder, digest, manifest)

    def datasets(self) -> dict[str, Dataset]:
        found = {name: self.dataset(name) for name in self.contract.dataset}
        return {name: dataset for name, dataset in found.items() if dataset is not None}

    def submitted(self) -> dict[str, Submitted]:
        """What is public about the data sets in the room."""
        return {name: Submitted(held.digest, held.manifest.rows) for name, held in self.datasets().items()}

    def read(self, dataset: Dataset, columns: list[str] | None = None) -> pa.Table:
        return self.store.read_table(dataset.table, columns)

    def handles(self, dataset: Dataset) -> Handles:
        table = self.read(dataset, ["k", "k2"])
        return Handles(table.column("k").to_numpy(), table.column("k2").to_numpy())

    def keep(self, bundle: Bundle, table: pa.Table) -> Dataset:
        """Store a checked submission, whole or not at all, and make it the newest."""
        home = self.path / "datasets" / bundle.manifest.dataset
        home.mkdir(mode=0o700, exist_ok=True)
        before = self.dataset(bundle.manifest.dataset)
        folder = home / bundle.digest
        if not folder.exists():
            self._fill(home, folder, bundle, table)
        write(home / "current", bundle.digest.encode(), 0o600)
        if before is not None and before.digest != bundle.digest:
            before.table.unlink(missing_ok=True)
        return self._submission(bundle.manifest.dataset, bundle.digest)

    def _fill(self, home: Path, folder: Path, bundle: Bundle, table: pa.Table) -> None:
        temporary = home / f".{secrets.token_hex(6)}.tmp"
        temporary.mkdir(mode=0o700)
        try:
            self.store.write_table(temporary / "part-000.parquet", table)
            write(temporary / "manifest.json", bundle.manifest_bytes)
            write(temporary / "manifest.json.sig", bundle.signature.encode())
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    # -- matches ---------------------------------------------------------------------------------------------------

    def match_path(self, people: Dataset, seed: Dataset) -> Path:
        return self.path / "matches" / f"{people.digest[:16]}-{seed.digest[:16]}.parquet"

    # -- requests --------------------------------------------------------------------------------------------------

    def keep_request(self, digest: str, data: bytes, asker: str, signature: str) -> None:
        """A signed job, kept so that anyone can see that its asker asked."""
        path = self.path / "requests" / f"{digest}.toml"
        write(path, data)
        write(signature_path(path, asker), signature.encode())


def open_room(path: Path, clock: Clock = now) -> Room:
    """The room in a folder. Errors: RoomUnusable, and those of `read_agreement`: a changed contract is refused here."""
    contract = path / "contract" / "contract.toml"
    if not contract.is_file():
        raise RoomUnusable(path, "this is no room", "make one with `passbox room new`")
    for folder in ("datasets", "releases", "requests", "matches"):
        sweep(path / folder)
    return Room(path, read_agreement(contract), clock)


def create_room(path: Path, agreement: Agreement, keys: Keys, clock: Clock = now) -> bool:
    """A new room for an agreed contract; whether it was made, or was there already for the same contract.

    Errors: RoomUnusable where the keys are not those the contract names, or the folder is taken.
    """
    if path.exists():
        return _already(path, agreement)
    _refuse_other_keys(agreement.contract, keys)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    temporary.mkdir(mode=0o700)
    try:
        _lay_out(temporary, agreement, keys)
        store = Store((temporary / "keys" / "storage").read_bytes())
        caps = _caps(agreement)
        Ledger.create(temporary / "ledger.sqlite", keys.room_checkpoint(), store, clock, caps).close()
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return True


def _already(path: Path, agreement: Agreement) -> bool:
    if open_room(path).agreement.digest != agreement.digest:
        raise RoomUnusable(path, "a room for another contract is there", "choose another folder")
    return False


def _refuse_other_keys(contract: Contract, keys: Keys) -> None:
    checkpoint = keys.room_checkpoint()
    if checkpoint.vkey != contract.room.checkpoint:
        raise RoomUnusable(keys.folder, "these are not the keys of the contract's room", "use the operator's folder")


def _lay_out(path: Path, agreement: Agreement, keys: Keys) -> None:
    for folder in ("contract", "keys", "datasets", "matches", "requests", "releases"):
        (path / folder).mkdir(mode=0o700)
    contract = path / "contract" / "contract.toml"
    write(contract, agreement.data)
    for name, signature in agreement.signatures.items():
        write(signature_path(contract, name), signature.encode())
    write(path / "keys" / "seal", keys.room_seal().encode(), 0o600)
    write(path / "keys" / "checkpoint", keys.room_checkpoint().to_secret_text().encode(), 0o600)
    write(path / "keys" / "storage", os.urandom(32), 0o600)


def _caps(agreement: Agreement) -> list[Cap]:
    """One cap per owner and unit: the smallest that any of its data sets allows."""
    caps: dict[str, tuple[Rho, Budget]] = {}
    for rule in agreement.contract.dataset.values():
        budget = rule.budget.budget()
        rho = rho_within(budget)
        if rule.owner not in caps or rho < caps[rule.owner][0]:
            caps[rule.owner] = (rho, budget)
    return [_cap(agreement, owner, rho, budget) for owner, (rho, budget) in sorted(caps.items())]


def _cap(agreement: Agreement, owner: str, rho: Rho, budget: Budget) -> Cap:
    return Cap(
        account(owner), owner, UNIT, repr(float(budget.epsilon)), repr(float(budget.delta)), rho, agreement.digest
    )

"""A room on disk: the agreed contract, its keys, what was submitted, matched and released, and the ledger.

    contract/    contract.toml and every party's signature, checked again by each command
    keys/        the room's age identity, its note signing key, its storage key (0600)
    datasets/    NAME/current names the newest submission; NAME/DIGEST/ holds its manifest, signature and tables
                 (`cleanroom.layout`); NAME/DIGEST.replaced says that another took its place
    matches/     one encrypted column of tiers a pair of submissions; and claims, while they are being matched
    requests/    the signed jobs, by the digest of their bytes
    releases/    sealed files that have left, or may
    before/      copies of the logs of earlier contracts that this one continues
    ledger.sqlite
    lock         held by the command that changes the room

The folder is 0700 and never leaves the operator. Whatever changes it does so inside `Room.changing`: alone, and after
what a killed command left behind was removed. A submission that was replaced keeps its manifest, which the ledger
names; its table and its matches go.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from ..dp.ledger import Ledger
from ..dp.note import BadNote, NoteKey, parse_secret, sign_note
from ..policies.agreement import Agreement, read_agreement, signature_path
from ..policies.contract import Contract
from ..policies.refused import Submitted, refuse_expired
from .bundle import Bundle, Manifest
from .files import sweep, write
from .layout import PART, file_name
from .partition import partitions
from .progress import Progress, quietly
from .shelf import Shelf
from .store import Store

if TYPE_CHECKING:
    from ..policies.request import Request

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

    def parts(self, what: str) -> list[Path]:
        """The files of its rows, or of the handles of one key, in the room's order."""
        return [self.folder / file_name(what, at) for at in range(partitions(self.manifest.rows))]


def public(digest: str, manifest: Manifest) -> Submitted:
    """What everybody may know of a submission. digest: SHA-256 of the signed manifest."""
    return Submitted(digest, manifest.rows, manifest.expires.astimezone(UTC).date())


@dataclass(frozen=True)
class Room:
    """An open room. Every command opens it anew, and with it checks every signature of the contract.

    progress: told how far long work has come.
    """

    path: Path
    agreement: Agreement
    clock: Clock = now
    progress: Progress = quietly

    @property
    def contract(self) -> Contract:
        return self.agreement.contract

    @cached_property
    def store(self) -> Store:
        key = (self.path / "keys" / "storage").read_bytes()
        if len(key) != 32:
            raise RoomUnusable(self.path, "its storage key is damaged", "restore keys/ from a backup")
        return Store(key)

    @cached_property
    def seal_identity(self) -> str:
        return (self.path / "keys" / "seal").read_text().strip()

    def today(self) -> date:
        """The day, in UTC."""
        return self.clock().astimezone(UTC).date()

    def ledger(self) -> Ledger:
        """The ledger, to be used as a context manager."""
        path, key = self.path / "ledger.sqlite", self._checkpoint_key()
        return Ledger(path, key, self.store, self.clock, self.contract.window())

    def sign(self, text: str) -> str:
        """A note signed with the room's key, as its checkpoints are. The first line is never the room's name."""
        return sign_note(text, self._checkpoint_key())

    def _checkpoint_key(self) -> NoteKey:
        try:
            return parse_secret((self.path / "keys" / "checkpoint").read_text().strip())
        except BadNote:
            raise RoomUnusable(self.path, "its checkpoint key is damaged", "restore keys/ from a backup") from None

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Alone in the room until the block ends. Not to be nested."""
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._tidy()
            yield
        finally:
            os.close(handle)

    def refuse_expired(self) -> None:
        """Errors: Refused, after the contract's last day."""
        refuse_expired(self.contract, self.today())

    # -- data sets -------------------------------------------------------------------------------------------------

    def dataset(self, name: str) -> Dataset | None:
        """The newest submission of a data set, if there is one."""
        current = self.path / "datasets" / name / "current"
        return self._submission(name, current.read_text().strip()) if current.is_file() else None

    def _submission(self, name: str, digest: str) -> Dataset:
        folder = self.path / "datasets" / name / digest
        try:
            data = (folder / "manifest.json").read_bytes()
            manifest = Manifest.model_validate_json(data)
        except (ValidationError, FileNotFoundError):
            data = b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise RoomUnusable(folder, "a stored manifest is damaged", "restore the room's folder from a backup")
        return Dataset(name, folder, digest, manifest)

    def datasets(self) -> dict[str, Dataset]:
        found = {name: self.dataset(name) for name in self.contract.dataset}
        return {name: dataset for name, dataset in found.items() if dataset is not None}

    def submitted(self) -> dict[str, Submitted]:
        """What is public about the data sets in the room."""
        return {name: public(held.digest, held.manifest) for name, held in self.datasets().items()}

    def read(self, dataset: Dataset, columns: list[str] | None = None) -> pa.Table:
        """All rows, in the room's order, which ascends by column `k`. Errors: StoreDamaged, OSError."""
        return pa.concat_tables(self.read_part(at, columns) for at in dataset.parts(PART))

    def read_part(self, part: Path, columns: list[str] | None = None) -> pa.Table:
        """One partition of a data set's rows, or of the handles of one of its keys."""
        return self.store.read_table(part, self._place(part), columns)

    def read_pieces(self, part: Path, columns: list[str]) -> Iterator[pa.Table]:
        """The same, as much at once as was written at once."""
        return self.store.read_pieces(part, self._place(part), columns)

    def rows_of(self, part: Path) -> int:
        """How many rows a partition has."""
        return self.store.rows(part, self._place(part))

    def keep(self, bundle: Bundle, fill: Callable[[Shelf], None]) -> Dataset:
        """Store a checked submission, whole or not at all, and make it the newest. fill: writes its tables."""
        home = self.path / "datasets" / bundle.manifest.dataset
        home.mkdir(mode=0o700, exist_ok=True)
        folder = home / bundle.digest
        if folder.exists():  # a killed command got this far, and no further
            shutil.rmtree(folder)
        self._fill(home, folder, bundle, fill)
        current = home / "current"
        if current.is_file():
            write(home / f"{current.read_text().strip()}.replaced", b"")
        write(current, bundle.digest.encode(), 0o600)
        self._tidy()
        return self._submission(bundle.manifest.dataset, bundle.digest)

    def was_replaced(self, bundle: Bundle) -> bool:
        """Whether this very submission was in the room, and made way for another."""
        return (self.path / "datasets" / bundle.manifest.dataset / f"{bundle.digest}.replaced").is_file()

    def _fill(self, home: Path, folder: Path, bundle: Bundle, fill: Callable[[Shelf], None]) -> None:
        temporary = home / f".{secrets.token_hex(6)}.tmp"
        temporary.mkdir(mode=0o700)
        try:
            fill(Shelf(self.store, temporary, self._place(folder)))
            write(temporary / "manifest.json", bundle.manifest_bytes)
            write(temporary / "manifest.json.sig", bundle.signature.encode())
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _place(self, path: Path) -> str:
        """Where in the room a file lies: what its encryption is bound to."""
        return path.relative_to(self.path).as_posix()

    # -- matches ---------------------------------------------------------------------------------------------------

    def match_path(self, people: Dataset, seed: Dataset) -> Path:
        return self.path / "matches" / f"{people.digest}-{seed.digest}.parquet"

    def keep_match(self, people: Dataset, seed: Dataset, tier: NDArray[np.uint8]) -> None:
        """Store by which key each row matched, eight rows a number. The file's size depends on public sizes alone."""
        whole = len(tier) // 8 * 8
        rest = np.zeros(8 if len(tier) > whole else 0, dtype=np.uint8)
        rest[: len(tier) - whole] = tier[whole:]
        eights = [each.view("<u8").astype(np.uint64, copy=False) for each in (tier[:whole], rest)]
        self.keep_plain(self.match_path(people, seed), pa.table({"tiers": pa.chunked_array(eights)}))

    def read_match(self, people: Dataset, seed: Dataset) -> NDArray[np.uint8]:
        stored = self.read_part(self.match_path(people, seed)).column("tiers").to_numpy()
        tier: NDArray[np.uint8] = stored.astype("<u8", copy=False).view(np.uint8)[: people.manifest.rows]
        return tier

    def keep_plain(self, path: Path, table: pa.Table) -> None:
        """Store a table in a file whose size does not depend on its values."""
        self.store.write_table(path, table, self._place(path), plain_size=True)

    # -- requests --------------------------------------------------------------------------------------------------

    def keep_request(self, request: Request) -> None:
        """A signed job, kept so that anyone can see that its asker asked."""
        path = self.path / "requests" / f"{request.digest}.toml"
        write(path, request.data)
        write(signature_path(path, request.asker), request.signature.encode())

    # -- after a crash ---------------------------------------------------------------------------------------------

    def _tidy(self) -> None:
        """Remove what a killed command left half-written, and what a newer submission replaced."""
        newest = {at.parent.name: at.read_text().strip() for at in (self.path / "datasets").glob("*/current")}
        for folder in ("releases", "requests", "matches"):
            sweep(self.path / folder)
        for home in (self.path / "datasets").iterdir():
            for left in home.glob(".*.tmp"):
                shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
            for table in home.glob("*/*.parquet"):
                if table.parent.name != newest.get(home.name):
                    table.unlink(missing_ok=True)
        for match in (self.path / "matches").iterdir():
            if not set(match.name.partition(".")[0].split("-")) <= set(newest.values()):
                match.unlink(missing_ok=True)


def open_room(path: Path, clock: Clock = now) -> Room:
    """The room in a folder; changes nothing. Errors: RoomUnusable, and those of `read_agreement`: a changed contract
    is refused here."""
    contract = path / "contract" / "contract.toml"
    if path.is_file():
        raise RoomUnusable(path, "this is a file, and a room is a folder", "the room's folder is named first")
    if not contract.is_file():
        raise RoomUnusable(path, "this is no room", "make one with `passbox room new`")
    return Room(path, read_agreement(contract), clock)

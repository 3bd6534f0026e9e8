"""A bundle: what a party hands to the room. A zip of three fixed names, opened by ordinary tools.

    manifest.json       what it is, as JSON; signed
    manifest.json.sig   SSHSIG over the manifest, namespace `passbox-bundle`
    data.arrow.age      an Arrow file without compression (`cleanroom.flat`), sealed to the room's age key

The manifest holds the digest of the contract, the room, the data set, its owner, when it was made and until when it
is good, which shares the match key came from (a digest of the sealed shares: data sets keyed with other shares would
match nobody), how many rows it has (public), and the SHA-256 of the sealed data. It digests ciphertext only, and says
no size: how long a table is depends on the people in it, and manifests are shown to everybody. When it was made is
rounded down to the hour; of two that were made within one, the room takes the one that comes last, and never again
what that replaced. Where the owner privatised columns before, `private` says which, and carries their certificates
(`dp.text.statement`); otherwise there is no such key.

Refused: other or further members, a compressed member, a manifest with unknown keys, sizes that do not agree.
Columns of the data: `k`, `k2` (uint64, the handle), `token` (uint64, where the owner keeps its IDs), and the declared
columns, sorted by `k`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Literal

import pyarrow as pa
import pyrage
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ..dp.canonical import named_once
from ..dp.text.statement import PrivateColumn
from ..policies.contract import Name, Origin
from ..policies.sign import Signer
from .files import replacing
from .flat import LARGEST_ROW, NotFlat, flat_pieces, read_batches
from .unseal import NotSealed, OtherBytes, unsealed

MEMBERS = ("manifest.json", "manifest.json.sig", "data.arrow.age")
LARGEST_MANIFEST = 1_000_000
LARGEST_DATA = 64 * 2**30
_PIECE = 2**20

Hex = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class BadBundle(Exception):
    """A bundle cannot be taken in. rule: what is wrong. remedy: what to do. exit 3, or 4 where it was tampered with."""

    def __init__(self, path: Path, rule: str, remedy: str, *, tampered: bool = False) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy, self.tampered = path, rule, remedy, tampered


class Manifest(BaseModel):
    """What the owner signs about its data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["passbox bundle v1"]
    contract: Hex
    room: Origin
    dataset: Name
    owner: Name
    made: AwareDatetime
    expires: AwareDatetime
    shares: Hex
    rows: Annotated[int, Field(ge=0, strict=True)]
    data_sha256: Hex
    private: tuple[PrivateColumn, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's parts as they lie in the zip; nothing but its shape was checked yet."""

    path: Path
    manifest: Manifest
    manifest_bytes: bytes
    signature: str

    @property
    def digest(self) -> str:
        """SHA-256 of the signed manifest: the name of this submission in the ledger."""
        return hashlib.sha256(self.manifest_bytes).hexdigest()


@dataclass(frozen=True, slots=True)
class Label:
    """What a manifest says besides the sizes."""

    contract: str
    room: str
    dataset: str
    owner: str
    made: datetime
    expires: datetime
    shares: str
    private: tuple[PrivateColumn, ...] = ()


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle's parts, not yet at its place. sealed: a file without a name that holds the sealed table."""

    manifest: Manifest
    manifest_bytes: bytes
    signature: str
    sealed: IO[bytes]

    @property
    def digest(self) -> str:
        """As `Bundle.digest`."""
        return hashlib.sha256(self.manifest_bytes).hexdigest()

    def write(self, path: Path) -> None:
        """The zip, as it goes to the room."""
        data = zipfile.ZipInfo(MEMBERS[2])
        data.file_size = self.sealed.seek(0, os.SEEK_END)
        self.sealed.seek(0)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(MEMBERS[0]), self.manifest_bytes)
            archive.writestr(zipfile.ZipInfo(MEMBERS[1]), self.signature)
            with archive.open(data, "w") as member:
                shutil.copyfileobj(self.sealed, member, _PIECE)


@contextmanager
def packed(table: pa.Table, label: Label, seal: str, sign: Signer, folder: Path) -> Iterator[Packed]:
    """Seal a table to the room, a batch at a time, and sign it. folder: where there is room for the sealed table, which
    is gone with the block. Errors: OSError."""
    with tempfile.TemporaryFile(dir=folder) as sealed:
        sink = _Hashed(sealed)
        try:
            pyrage.encrypt_io(_Pieces(flat_pieces(table)), sink, [pyrage.x25519.Recipient.from_str(seal)])
            sealed.flush()
        except pyrage.EncryptError as error:
            raise sink.fault or error from None
        manifest = Manifest(
            format="passbox bundle v1",
            contract=label.contract,
            room=label.room,
            dataset=label.dataset,
            owner=label.owner,
            made=label.made,
            expires=label.expires,
            shares=label.shares,
            rows=table.num_rows,
            data_sha256=sink.digest(),
            private=label.private,
        )
        text = manifest.model_dump_json(indent=2, exclude=None if label.private else {"private"}).encode() + b"\n"
        yield Packed(manifest, text, sign(text, "passbox-bundle"), sealed)


class _Pieces:
    """Pieces, to be read as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        size = len(self._held) if size < 0 else size
        given, self._held = self._held[:size], self._held[size:]
        return bytes(given)


class _Hashed:
    """Writes, and knows the digest of what was written, and a disk that failed."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink, self._hash = sink, hashlib.sha256()
        self.fault: OSError | None = None

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        try:
            return self._sink.write(data)
        except OSError as error:
            self.fault = error
            raise

    def flush(self) -> None:
        self._sink.flush()

    def digest(self) -> str:
        return self._hash.hexdigest()


def write_bundle(path: Path, table: pa.Table, label: Label, seal: str, sign: Signer) -> Manifest:
    """Pack a table, and put the bundle at `path`, whole or not at all."""
    with packed(table, label, seal, sign, path.parent) as bundle, replacing(path) as temporary:
        bundle.write(temporary)
    return bundle.manifest


_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What zipfile raises on bytes that are no archive, or lie about one."""


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, read within the block. Errors: zipfile.BadZipFile, for all its faults; OSError."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _ZIP_FAULTS:
        raise zipfile.BadZipFile from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a member that is said to lie before the beginning
            raise
        raise zipfile.BadZipFile from None


def open_bundle(path: Path) -> Bundle:
    """The outer shape of a bundle. Errors: BadBundle, OSError."""
    try:
        with _archive(path) as archive:
            _refuse_shape(path, archive.infolist())
            manifest, signature = archive.read(MEMBERS[0]), archive.read(MEMBERS[1])
    except zipfile.BadZipFile:
        raise BadBundle(path, "it is not a whole bundle", "ask its owner to send it again") from None
    return Bundle(path, manifest_in(path, manifest), manifest, signature.decode("ascii", "replace"))


def _refuse_shape(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if tuple(member.filename for member in members) != MEMBERS:
        raise BadBundle(path, f"a bundle holds {', '.join(MEMBERS)} and nothing else", "use `passbox prepare`")
    limits = (LARGEST_MANIFEST, LARGEST_MANIFEST, LARGEST_DATA)
    for member, limit in zip(members, limits, strict=True):
        if member.compress_type != zipfile.ZIP_STORED or member.file_size > limit:
            raise BadBundle(path, f"{member.filename} is compressed or too large", "use `passbox prepare`")


def manifest_in(path: Path, data: bytes) -> Manifest:
    """A manifest from its bytes. path: where they lie. Errors: BadBundle."""
    try:
        raw = json.loads(data, object_pairs_hook=named_once)
        return Manifest.model_validate(raw)
    except (ValidationError, ValueError, RecursionError):
        raise BadBundle(path, "its manifest is not one this room reads", "use the same version of passbox") from None


def read_data(bundle: Bundle, identity: str) -> pa.Table:
    """The sealed table, all at once. Errors: as `read_rows`."""
    with read_rows(bundle, identity) as rows:
        batches = list(rows)
    return pa.Table.from_batches(batches[1:], batches[0].schema)


@contextmanager
def read_rows(bundle: Bundle, identity: str) -> Iterator[Iterator[pa.RecordBatch]]:
    """The sealed table, batch by batch, one in memory at a time: first an empty one, for its schema.

    Its digest is checked against the signed manifest before anything is opened, and again as it is read. Nothing that
    was read counts before the block has ended. Errors: BadBundle, OSError.
    """
    refuse_changed(bundle)
    try:
        with (
            _sealed(bundle) as sealed,
            unsealed(sealed, identity, bundle.manifest.data_sha256, _most(bundle)) as plain,
        ):
            yield read_batches(plain, bundle.manifest.rows)
    except NotSealed:
        raise BadBundle(bundle.path, "it is sealed to another room", "prepare it with this contract") from None
    except OtherBytes:
        raise _changed(bundle) from None
    except NotFlat as fault:
        raise BadBundle(bundle.path, fault.rule, "use `passbox prepare`", tampered=True) from None


def refuse_changed(bundle: Bundle) -> None:
    """The sealed table is what the manifest was signed over. Errors: BadBundle, OSError."""
    read, left = hashlib.sha256(), _most(bundle)
    try:
        with _sealed(bundle) as sealed:
            while left and (piece := sealed.read(min(left, _PIECE))):
                read.update(piece)
                left -= len(piece)
    except _ZIP_FAULTS:
        raise _changed(bundle) from None
    if read.hexdigest() != bundle.manifest.data_sha256:
        raise _changed(bundle)


@contextmanager
def _sealed(bundle: Bundle) -> Iterator[IO[bytes]]:
    """The sealed table as it lies in the zip. What fails within the block is not taken for a fault of the zip."""
    with ExitStack() as opened:
        try:
            archive = opened.enter_context(zipfile.ZipFile(bundle.path))
            member = opened.enter_context(archive.open(MEMBERS[2]))
        except _ZIP_FAULTS:
            raise _changed(bundle) from None
        yield member


def _most(bundle: Bundle) -> int:
    """No more bytes are read than so many rows may have."""
    return bundle.manifest.rows * LARGEST_ROW + 2**20


def _changed(bundle: Bundle) -> BadBundle:
    return BadBundle(bundle.path, "its data is not what its manifest signs", "ask for it again", tampered=True)

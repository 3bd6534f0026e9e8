"""Tables at rest in the room: Parquet with modular encryption (AES-GCM), under the room's storage key.

Each file has data keys of its own, wrapped with the storage key by `_Keeper`, the key service that Parquet asks. The
place of the file inside the room is bound to the wrapped keys, so a file moved to another place does not open. Any
reader of encrypted Parquet that is given the storage key opens these files; polars does not, so tables go through
Arrow.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .files import replacing

_MASTER = "room"
_PAGE = 2**16
"""Bytes of a page: what is decrypted and decoded at once stays in the processor's cache."""


class StoreDamaged(Exception):
    """A file of the room does not open under the room's key, or is not where it was written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True)
class Store:
    """Encrypts and opens what rests in one room. key: 32 bytes, not shown."""

    key: bytes = field(repr=False)

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose, such as the split into training and held-out people."""
        return HKDF(hashes.SHA256(), 32, salt=None, info=b"passbox room " + purpose.encode()).derive(self.key)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """AES-256-GCM with a fresh nonce; `context` is authenticated with it."""
        nonce = secrets.token_bytes(12)
        return nonce + AESGCM(self.derive("small things")).encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        try:
            return AESGCM(self.derive("small things")).decrypt(sealed[:12], sealed[12:], context)
        except (InvalidTag, ValueError):
            raise StoreDamaged(Path("ledger.sqlite")) from None

    def write_table(self, path: Path, table: pa.Table, place: str, *, plain_size: bool = False) -> None:
        """Write a table, whole or not at all.

        place: where in the room it will lie; it opens nowhere else.
        plain_size: no compression, dictionary or statistics, so that the size tells nothing of the values.
        """
        with replacing(path, 0o600) as temporary, self.writing(temporary, table.schema, place, plain_size) as file:
            file.write_table(table)

    def writing(self, path: Path, schema: pa.Schema, place: str, plain_size: bool = False) -> pq.ParquetWriter:
        """A table that is written piece by piece, to be used as a context manager. As `write_table`, but that whoever
        calls it flushes the file and takes it away where the block fails."""
        factory = pe.CryptoFactory(lambda _: _Keeper(self.key, place))
        rules = pe.EncryptionConfiguration(footer_key=_MASTER, uniform_encryption=True, data_key_length_bits=256)
        # Handles are random: nothing packs them but the differences between sorted ones, which would save a sixth of
        # the bytes and cost a tenth of the time of a match.
        plain = [name for name in schema.names if plain_size or schema.field(name).type == pa.uint64()]
        packed = [leaf for name in schema.names if name not in plain for leaf in _leaves(schema, name)]
        return pq.ParquetWriter(
            path,
            schema,
            compression={**dict.fromkeys(plain, "NONE"), **dict.fromkeys(packed, "zstd")},
            use_dictionary=packed,
            column_encoding=dict.fromkeys(plain, "PLAIN"),
            write_statistics=False,
            data_page_size=_PAGE,
            encryption_properties=factory.file_encryption_properties(pe.KmsConnectionConfig(), rules),
        )

    def read_table(
        self, path: Path, place: str, columns: list[str] | None = None, group: int | None = None
    ) -> pa.Table:
        """Read a table back, or one of the pieces it was written in. Errors: StoreDamaged, OSError."""
        with self._opened(path, place) as file:
            if group is not None:
                return file.read_row_group(group, columns=columns, use_threads=False)
            return file.read(columns=columns, use_threads=False)

    def read_pieces(self, path: Path, place: str, columns: list[str]) -> Iterator[pa.Table]:
        """All pieces a table was written in, one after the other. Errors: as `read_table`."""
        with self._opened(path, place) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=columns, use_threads=False)

    def rows(self, path: Path, place: str) -> int:
        """How many rows a table has. Errors: as `read_table`."""
        with self._opened(path, place) as file:
            return int(file.metadata.num_rows)

    # One thread reads. A thread of the reader's may be the last to hold `_Keeper`, and drop it when it likes: at exit,
    # that aborts the process. Two columns of handles take a fifth less of the processor's time so, too.
    @contextmanager
    def _opened(self, path: Path, place: str) -> Iterator[pq.ParquetFile]:
        factory = pe.CryptoFactory(lambda _: _Keeper(self.key, place))
        opening = factory.file_decryption_properties(pe.KmsConnectionConfig(), pe.DecryptionConfiguration())
        try:
            with pq.ParquetFile(path, decryption_properties=opening, pre_buffer=False) as file:
                yield file
        except (pa.ArrowException, ValueError, OSError, InvalidTag) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise StoreDamaged(path) from None


def _leaves(schema: pa.Schema, name: str) -> list[str]:
    """A column's path inside Parquet."""
    return [f"{name}.list.element"] if pa.types.is_list(schema.field(name).type) else [name]


class _Keeper(pe.KmsClient):  # type: ignore[misc]
    """Wraps the data keys of one file with the storage key, for one place."""

    def __init__(self, key: bytes, place: str) -> None:
        super().__init__()
        self._cipher, self._place = AESGCM(key), place.encode() + b"\0"

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        nonce = secrets.token_bytes(12)
        wrapped = self._cipher.encrypt(nonce, key_bytes, self._place + master_key_identifier.encode())
        return base64.b64encode(nonce + wrapped).decode()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        raw = base64.b64decode(wrapped_key)
        return self._cipher.decrypt(raw[:12], raw[12:], self._place + str(master_key_identifier).encode())

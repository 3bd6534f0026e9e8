"""A sealed stream, opened as it is read: no more of it is in memory than a pipe holds.

A thread decrypts and writes into a pipe; whoever reads the other end sets the pace. The plain bytes touch no disk.

The code ensures: every byte that is read was authenticated by age, piece by piece; the end was reached and the sealed
bytes had the digest they should have, or the block fails, whatever it made of the beginning.
The caller ensures: nothing that came from the stream counts before the block has ended without an error.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pyrage

_PIECE = 2**20


class NotSealed(Exception):
    """The stream does not open with this key, or breaks off."""


class OtherBytes(Exception):
    """The sealed bytes are not those with the digest."""


@contextmanager
def unsealed(sealed: IO[bytes], identity: str, digest: str, most: int) -> Iterator[IO[bytes]]:
    """The plain stream. identity: an age key. digest: SHA-256 of the sealed bytes, in hex. most: how many there may be.

    Errors: NotSealed, OtherBytes, and OSError of the sealed stream; as the block reads, or as it ends.
    """
    sink, source = _pipe()
    opener = _Opener(_Counted(sealed, most), sink, identity)
    opener.start()
    try:
        yield source
        while source.read(_PIECE):
            pass
    except Exception:
        broke_off = not source.read(1)
        opener.end(source)
        if broke_off and opener.error is not None:  # what the block made of it is no news
            raise opener.error from None
        raise
    finally:
        opener.end(source)
    if opener.error is not None:
        raise opener.error
    if opener.sealed.digest() != digest:
        raise OtherBytes


class _Opener(threading.Thread):
    """Decrypts into the pipe, and keeps what went wrong."""

    def __init__(self, sealed: _Counted, sink: IO[bytes], identity: str) -> None:
        super().__init__(daemon=True)
        self.sealed, self.sink, self.identity = sealed, sink, identity
        self.error: Exception | None = None

    def end(self, source: IO[bytes]) -> None:
        """Nobody reads on: the thread ends at its next write."""
        source.close()
        self.join()

    def run(self) -> None:
        try:
            with self.sink:
                pyrage.decrypt_io(self.sealed, self.sink, [pyrage.x25519.Identity.from_str(self.identity)])
        except (pyrage.DecryptError, ValueError, OSError):  # or nobody reads on
            self.error = self.sealed.fault or NotSealed()


class _Counted:
    """Reads, and remembers the digest of what was read, and a disk that failed."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream, self._left, self._hash = stream, most, hashlib.sha256()
        self.fault: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        try:
            data = self._stream.read(wanted)
        except OSError as error:
            self.fault = error
            raise
        self._left -= len(data)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        while self.read(_PIECE):
            pass
        return self._hash.hexdigest()


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    """The end that is written to, and the end that is read."""
    reading, writing = os.pipe()
    return os.fdopen(writing, "wb", buffering=_PIECE), os.fdopen(reading, "rb", buffering=_PIECE)

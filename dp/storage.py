"""The ledger's file: SQLite behind one lock, changed in whole transactions or not at all.

WAL, synchronous=FULL: what was committed survives a crash and a power cut, as far as the disk tells the truth. Every
open, write and close (which may checkpoint the WAL) happens under an exclusive flock beside the file, because SQLite up
to 3.51.2 can corrupt a WAL that two connections reset at once.

The code ensures: an exception leaves neither a transaction nor the lock behind; a connection that went through a fork
is not used (SQLite forbids it: the child has none of its locks); a file that is no ledger is refused when opened, never
filled in. What is waiting for the lock waits: writers hold it for as long as a draw takes.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

VERSION = 2

# Kept by their keys, so that a release writes fewer pages; the key's columns come first, or SQLite 3.40's own
# integrity_check takes fright. Charges lie in the order of their entries: those since a witness's head are the end.
SCHEMA = (
    """create table account(id text primary key, cap integer not null, spent integer not null default 0,
                            check(spent >= 0), check(spent <= cap)) strict""",
    "create table entry(seq integer primary key, leaf blob not null) strict",
    """create table release(key text primary key, seq integer not null references entry(seq), beside text,
                            readers text not null, body blob not null) strict, without rowid""",
    """create table outcome(key text primary key references release(key), seq integer not null references entry(seq),
                            body blob not null) strict, without rowid""",
    "create unique index beside on release(beside) where beside is not null",
    """create table charge(seq integer not null references entry(seq), account text not null references account(id),
                           key text not null references release(key), rho integer not null check(rho > 0),
                           primary key(seq, account), unique(key, account)) strict, without rowid""",
    """create table lost(account text not null references account(id), rho integer not null check(rho > 0),
                         seq integer not null references entry(seq)) strict""",
    "create table job(digest text primary key, datasets text not null) strict, without rowid",
    "create table frontier(id integer primary key check(id = 0), size integer not null, peaks blob not null) strict",
    "create table checkpoint(size integer primary key, note text not null) strict",
    """create table witness(name text not null, size integer not null, note text not null,
                            primary key(name, size)) strict""",
    "insert into frontier values(0, 0, x'')",
    f"pragma user_version = {VERSION}",
)

PRAGMAS = (
    "synchronous = full",
    "fullfsync = on",  # macOS: flush the disk's own cache as well
    "foreign_keys = on",
    "trusted_schema = off",
    "secure_delete = on",  # noise that was settled is overwritten, and not only let go
    "cell_size_check = on",
    "temp_store = memory",
    "wal_autocheckpoint = 4000",  # folding the WAL in takes two more syncs: one spend in 400 has them, not one in 100
)

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

Row = tuple[Any, ...]


class LedgerDamaged(Exception):
    """What is stored is not what was written. Carries which part."""

    def __init__(self, part: str) -> None:
        super().__init__(part)
        self.part = part


class Storage:
    """One open ledger file. Not to be shared between threads or across a fork: each opens its own.

    Errors, of everything here: LedgerDamaged; OSError and sqlite3.Error where the disk does not answer as it should.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise LedgerDamaged("the ledger file is missing")
        self._lock, self._process = path.with_suffix(".lock"), os.getpid()
        with self._locked():
            self._db = _opened(path)

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new file with empty tables. Errors: FileExistsError."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            with _connection(path) as db:
                db.execute("pragma journal_mode = wal")
                db.execute("begin immediate")
                for statement in SCHEMA:
                    db.execute(statement)
                db.execute("commit")
            return cls(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Also under the lock: the last one out folds the WAL into the file. A forked child has nothing to close."""
        if os.getpid() == self._process:
            with self._locked():
                self._db.close()

    def rows(self, statement: str, *values: object) -> list[Row]:
        """Run one statement. Values are bound, never spelled."""
        self._refuse_other_process()
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            _refuse_damaged(error)
            raise

    def row(self, statement: str, *values: object) -> Row | None:
        return next(iter(self.rows(statement, *values)), None)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One view of the file for several statements, whoever writes meanwhile."""
        self._refuse_other_process()
        with self._transaction("begin"):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All of the block's statements become durable when it ends, or none if it raises or the process dies."""
        self._refuse_other_process()
        with self._locked(), self._transaction("begin immediate"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        try:
            self.rows(begin)
            yield
            self.rows("commit")
        except BaseException:
            if self._db.in_transaction:
                self._db.rollback()
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)  # a child forked meanwhile holds a copy: closing would not release
            os.close(handle)

    def _refuse_other_process(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError("a ledger cannot be used across a fork: open it anew")


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to a file that is a ledger; closed again where it is not."""
    db = sqlite3.connect(_uri(path), uri=True, timeout=60, isolation_level=None)
    try:
        _refuse_other_file(db)
        for pragma in PRAGMAS:
            db.execute(f"pragma {pragma}")
    except BaseException as error:
        db.close()
        _refuse_damaged(error)
        raise
    return db


def _refuse_other_file(db: sqlite3.Connection) -> None:
    """Also the first read, at which SQLite recovers a WAL that a dead process left."""
    if db.execute("pragma user_version").fetchone() != (VERSION,):
        raise LedgerDamaged("the file holds no ledger")
    if db.execute("pragma journal_mode").fetchone() != ("wal",):
        raise LedgerDamaged("its journal is not the one it was made with")


@contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(_uri(path), uri=True, timeout=60, isolation_level=None)
    try:
        yield db
    finally:
        db.close()


def _uri(path: Path) -> str:
    """Open what is there: SQLite must not make a file of its own."""
    return f"{path.absolute().as_uri()}?mode=rw"


def _refuse_damaged(error: BaseException) -> None:
    """A damaged file is a thing of its own; everything else SQLite says stays as it is."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
        raise LedgerDamaged("SQLite cannot read the file") from None

"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path


class FileInTheWay(Exception):
    """A file with other content is already there; it was left as it is. remedy: what to do, where another name for
    this file is not it."""

    def __init__(self, path: Path, remedy: str = "") -> None:
        super().__init__(path, remedy)
        self.path, self.remedy = path, remedy


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """A temporary path in the same folder that becomes `path` when the block succeeds, and is gone when it fails.

    Written through to disk before it is renamed, and the folder after.
    """
    temporary = _temporary(path)
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        yield temporary
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put `data` at `path`, in place of what was there."""
    with replacing(path, mode) as temporary:
        temporary.write_bytes(data)


def write_new(path: Path, data: bytes, *, mode: int = 0o644, same_is_fine: bool = False) -> bool:
    """Put `data` at `path` where nothing was; whether it was written. Errors: FileInTheWay."""
    sweep_of(path)
    if path.exists():
        if same_is_fine and holds(path, data):
            return False
        raise FileInTheWay(path)
    write(path, data, mode)
    return True


def holds(path: Path, data: bytes) -> bool:
    """Whether a file is there and says just this."""
    return path.is_file() and path.read_bytes() == data


def write_all_new(files: Mapping[Path, bytes], mode: int = 0o644) -> None:
    """Put every file where nothing was, or the same. Errors: FileInTheWay, OSError, met before the first is written."""
    for path, data in files.items():
        if not holds(path, data):
            refuse_unwritable(path)
    for path, data in files.items():
        write_new(path, data, mode=mode, same_is_fine=True)


def refuse_unwritable(path: Path, remedy: str = "") -> None:
    """What writing a new file would meet, met before long work begins. Errors: FileInTheWay, OSError."""
    if path.exists():
        raise FileInTheWay(path, remedy)
    refuse_no_place(path)


def refuse_no_place(path: Path) -> None:
    """The same of a file that may be there: a folder that is missing, or not to be written to. Errors: OSError."""
    temporary = _temporary(path)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    temporary.unlink()


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def flush(path: Path) -> None:
    """Write a file, or a folder's list of names, through to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove temporaries that a crash left behind."""
    for left in folder.glob(".*.tmp"):
        left.unlink(missing_ok=True)


def sweep_of(path: Path) -> None:
    """Remove the temporaries of one file that a crash left behind."""
    for left in path.parent.glob(f".{escape(path.name)}.*.tmp"):
        left.unlink(missing_ok=True)

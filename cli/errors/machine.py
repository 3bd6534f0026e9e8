"""The machine: disks, files that are not there, memory."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

from ..explanation import AGAIN, BAD_INPUT, STORAGE, Explanation, Words, simple


def _os_error(error: Any) -> Explanation:
    path, writing = _typed(error.filename)
    code = error.errno or int((_RUST.search(str(error)) or [0, 0])[1])
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        message = "a file would be larger than is allowed here" if code == errno.EFBIG else "the disk is full"
        return Explanation("disk-full", message, f"make room and {AGAIN}", STORAGE)
    if isinstance(error, FileNotFoundError | NotADirectoryError) and writing and not path.parent.is_dir():
        what = "it is not a folder" if path.parent.exists() else "there is no such folder"
        return Explanation("no-such-folder", f"{path.parent}: {what}", "make it, or name another", BAD_INPUT)
    if isinstance(error, FileNotFoundError):
        return Explanation("no-such-file", f"{path}: there is no such file", "check the path", BAD_INPUT)
    if isinstance(error, IsADirectoryError | NotADirectoryError):
        return Explanation("no-such-file", f"{path}: a file was expected", "check the path", BAD_INPUT)
    if code == errno.EROFS or isinstance(error, PermissionError):
        return Explanation("not-writable", f"{path}: not allowed", "check the rights of the folder", STORAGE)
    return Explanation("storage", f"{path}: the disk did not answer as it should", f"check it and {AGAIN}", STORAGE)


_RUST = re.compile(r"\(os error (\d+)\)")
"""Where polars puts the number."""
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp")


def _typed(filename: object) -> tuple[Path, bool]:
    """A path as people know it, without the temporary name it is written under; and whether it was one."""
    path = Path(str(filename)) if filename else Path("a file")
    temporary = _TEMPORARY.fullmatch(path.name)
    return (path.with_name(temporary[1]), True) if temporary else (path, False)


def _sqlite(error: Any) -> Explanation:
    full = "full" in str(error)
    message = "the disk is full" if full else "the ledger could not be written or read"
    show = "`passbox ledger show ROOM` says what was charged"
    look = f"check the disk, and the rights of the room's folder; {show}"
    if full:
        look = f"free some space first; then {show}, and until then an exported ledger can be read"
    hint = f"{look}; {AGAIN}"
    return Explanation("disk-full" if full else "ledger-storage", message, hint, STORAGE)


WORDS: dict[str, Words] = {
    "OSError": _os_error,
    "MemoryError": simple("memory", "there is not enough memory", "use a larger machine or a smaller file", STORAGE),
    "OperationalError": _sqlite,
    "DatabaseError": _sqlite,
}

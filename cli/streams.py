"""stdout and stderr as they are: with an alphabet of their own, and readers who may leave.

The code ensures: no character that a stream cannot write is a fault; nobody reading is none either.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from pathlib import Path

UNREAD = 141
"""Exit code where whoever read stdout has left before all was written: what a shell says of `cat` before `head`."""
_SPELLED = {
    "ε": "epsilon",
    "δ": "delta",
    "ρ": "rho",
    "μ": "mu",
    "σ": "sigma",
    "√": "sqrt ",
    "±": "+-",
    "∞": "inf",
    "≤": "<=",
    "≥": ">=",
    "→": "->",
    "×": "x",
    "·": ".",
    "…": "...",
    "●": "*",
    "█": "#",
    "│": "|",
    "┤": "|",
    "└": "+",
    "─": "-",
}
"""What stands for a character that a stream has not; "?" for any other. The last ones keep their width: plots do."""


def spelled(error: UnicodeError) -> tuple[str, int]:
    """An error handler (PEP 293): what stands for the characters that cannot be written."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SPELLED.get(char, "?") for char in error.object[error.start : error.end]), error.end


codecs.register_error("passbox", spelled)


def written(text: str) -> str:
    """As stdout will have it, for who lays it out: what is spelled is longer."""
    encoding = sys.stdout.encoding or "utf-8"
    return text if encoding.lower().startswith("utf") else text.encode(encoding, "passbox").decode(encoding)


def spell() -> None:
    """From now on stdout and stderr spell what their encoding has not; a stream that is closed takes all in silence."""
    sys.stdout, sys.stderr = (each or Path(os.devnull).open("w") for each in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="passbox")


def flushed() -> bool:
    """Whether all that was written found its reader; what did not is thrown away."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard()
        return False
    return True


def nobody_reads() -> bool:
    """Whether the other end of stdout is closed, after a write that failed; then what is left is thrown away."""
    closed = not flushed() or _is_closed()
    if closed:
        _discard()
    return closed


def _discard() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_closed() -> bool:
    """What could not be written may be lost by now: the system knows all the same."""
    watched = select.poll()
    try:
        watched.register(sys.stdout.fileno(), select.POLLOUT)
    except (OSError, ValueError):  # no file of the system's
        return False
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in watched.poll(0))

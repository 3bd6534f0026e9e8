"""stdout and stderr as they are: with an alphabet of their own, and readers who may leave.

The code ensures: no character that a stream cannot write is a fault; nobody reading is none either.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import sys

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
    """From now on stdout and stderr spell what their encoding has not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="passbox")


def nobody_reads() -> bool:
    """Whether the other end of stdout is closed; then what is left to write is thrown away."""
    try:
        sys.stdout.flush()
        closed = _is_closed()
    except BrokenPipeError:
        closed = True
    if closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return closed


def _is_closed() -> bool:
    """What could not be written may be lost by now: the system knows all the same."""
    watched = select.poll()
    try:
        watched.register(sys.stdout.fileno(), select.POLLOUT)
    except (OSError, ValueError):  # no file of the system's
        return False
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in watched.poll(0))

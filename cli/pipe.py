"""`passbox text privatise -`: lines as they come. A line goes out as soon as it was drawn, so `tail -f` may feed it."""

from __future__ import annotations

import codecs
import fcntl
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from .identifiers import until_nobody_reads
from .progress import counting
from .show import counted, note

if TYPE_CHECKING:
    from ..cleanroom.privatise import Texts

_AT_ONCE = 1 << 20
_LONGEST = 1 << 24
"""Characters of a line: a stream without line ends must not fill the memory."""


class PipeStopped(Exception):
    """Ctrl-C while lines were privatised. Those that went out stay out."""


def pipe(how: Texts, as_json: bool) -> None:
    """Privatise what arrives on stdin, line for line. as_json: one object a line. What was seen is told at the end."""
    from ..cleanroom.privatise import lines

    try:
        _widen(sys.stdin.buffer)
        _in_utf8()
        with until_nobody_reads(), _progress() as progress:
            for block in arriving(sys.stdin.buffer):
                drawn = lines(block, how)
                said = (json.dumps({"text": text}, ensure_ascii=False) for text in drawn) if as_json else drawn
                sys.stdout.write("".join(f"{line}\n" for line in said))
                sys.stdout.flush()
                progress(len(block))
    except KeyboardInterrupt:
        raise PipeStopped from None
    finally:
        seen = ", ".join(f"{count:,} {kind}" for kind, count in how.counts.other.items() if count)
        words = f"{counted(how.counts.tokens, 'word')} drawn at ε {how.certificate.epsilon}"
        note(f"{words}; {seen or 'none'} stood in for")


def _in_utf8() -> None:
    """Lines go out as they came, in UTF-8, whatever the terminal's alphabet: no letter of them is replaced."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="strict")


def _widen(stream: BinaryIO) -> None:
    """As much as is taken at once may wait in a pipe: each block costs something, however few lines it has."""
    with suppress(OSError, ValueError, AttributeError):  # no pipe, no such call on this system, or not so much allowed
        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _AT_ONCE)


def _progress() -> AbstractContextManager[Callable[[int], None]]:
    """A count on stderr, unless the lines themselves go to a screen."""
    return nullcontext(lambda _more: None) if sys.stdout.isatty() else counting("lines")


def arriving(stream: BinaryIO) -> Iterator[list[str]]:
    """Whole lines, as many as have arrived: waits for the first and for no other. Errors: BadSource."""
    from ..cleanroom.source import BadSource

    decoder = codecs.getincrementaldecoder("utf-8")()
    left = ""
    try:
        while data := stream.read1(_AT_ONCE):  # type: ignore[attr-defined]
            *whole, left = (left + decoder.decode(data)).split("\n")
            if len(left) > _LONGEST:
                raise BadSource(Path("-"), f"a line is longer than {_LONGEST:,} characters", "give a text a line")
            if whole:
                yield [line.removesuffix("\r") for line in whole]
        left += decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise BadSource(Path("-"), "a line is not UTF-8", "convert it, such as with `iconv -t utf-8`") from None
    if left:
        yield [left]

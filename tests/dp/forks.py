"""A fork stands for a process that dies, or that finds its disk full."""

from __future__ import annotations

import os
from collections.abc import Callable


def in_a_fork(act: Callable[[], object]) -> tuple[bytes, int]:
    """What a child wrote to its pipe, and how it ended: the signal that killed it, or 0. Errors are told by name."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = act()
            os.write(writing, said if isinstance(said, bytes) else b"")
        except BaseException as error:  # noqa: BLE001 - a child never returns
            os.write(writing, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said_ = pipe.read()
    _, status = os.waitpid(child, 0)
    return said_, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0

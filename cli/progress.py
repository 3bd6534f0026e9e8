"""How far long work has come, on stderr, where a person is looking."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .show import clean, consoles, note


@contextmanager
def measuring(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for work of known length: call it with how much is done, and of how much."""
    if not sys.stderr.isatty():
        yield lambda _done, _of: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=consoles()[1], transient=True) as bar:
        task = bar.add_task(clean(what), total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """A count for work of unknown length: call it with how much was done since."""
    if not sys.stderr.isatty():
        yield lambda _more: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,} {task.description}"))
    with Progress(*columns, console=consoles()[1], transient=True) as bar:
        task = bar.add_task(clean(what), total=None)
        yield lambda more: bar.advance(task, more)


def in_tenths(what: str, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """The same, and a line on stderr at every tenth where no screen shows a bar: for work that takes minutes."""
    told = 0

    def passed(done: int, steps: int) -> None:
        nonlocal told
        progress(done, steps)
        tenth = 10 * done // max(1, steps)
        if tenth > told and not sys.stderr.isatty():
            told = tenth
            note(f"{what}: {10 * tenth} %")

    return passed

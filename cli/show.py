"""Results on the screen: tables, small plots, or one JSON object. Nothing else writes to the terminal.

Results go to stdout, everything else to stderr. `--json` prints the same result as one object. Text from files is
shown literally: no markup is read in it, and control characters, direction marks and invisible characters are replaced.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from .streams import written

if TYPE_CHECKING:
    from rich.console import Console

JsonFlag = Annotated[bool, typer.Option("--json", help="print the result as one JSON object")]

NOT_KNOWN = "not known"
"""In the place of an interval that holds all that is possible."""
ALMOST = 1 - 1e-9
"""Of the largest value there could be: a figure that reaches it reaches that value."""
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean(text: object) -> str:
    """Text that cannot move the cursor, turn the direction of reading or hide, in letters that stdout has."""
    return written("".join("�" if unicodedata.category(char) in _HIDDEN else char for char in str(text)))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header. right: columns set to the right. whole: columns whose cells are never broken.

    keys: how many of the first columns say what a row is. Where the others do not fit beside each other, they stand in
    several tables, each with these before them. 0 for one table, however narrow the terminal. covers: of each column,
    what its intervals account for, which is said beside the title.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""
    right: Sequence[int] = ()
    whole: Sequence[int] = ()
    keys: int = 0
    covers: Sequence[str] = ()

    def titled(self) -> str:
        said = covered(self.covers)
        return f"{self.title}  [95 % interval: {said}]" if said else self.title


def covered(covers: Sequence[str]) -> str:
    """What intervals of several columns account for, in one phrase: noise, and what else there is to some of them."""
    said = list(dict.fromkeys(filter(None, covers)))
    more = [each.removeprefix(_NOISE).lstrip(",; ") for each in said if each != _NOISE]
    if len(said) < 2 or not all(each.startswith((f"{_NOISE};", f"{_NOISE},")) for each in said if each != _NOISE):
        return ", ".join(said)
    return "; some ".join([_NOISE, *more])


_NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A line to be copied, such as a key or a command: never broken, however narrow the terminal."""

    text: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A small horizontal bar chart: label, share of the longest bar, and what is written at its end."""

    title: str
    rows: Sequence[tuple[str, float, str]]


@dataclass(frozen=True, slots=True)
class Curve:
    """A small plot of points from left to right: x, and the low end, estimate and high end of y.

    across, up: what the axes are, both shares; across runs from 0 to 1, up from 0 to `top`. guess: of some x, what a
    guess by chance would be, drawn as dots.
    """

    title: str
    across: str
    up: str
    points: Sequence[tuple[float, float, float, float]]
    guess: Callable[[float], float]
    top: float = 1.0


Part: TypeAlias = str | Verbatim | Table | Bars | Curve


@dataclass(frozen=True, slots=True)
class Result:
    """What a command gives: an object for `--json`, and parts for people.

    then: what to type next, shown on stderr.
    """

    data: Mapping[str, Any]
    parts: Sequence[Part] = ()
    then: str = ""
    warnings: Sequence[str] = field(default=())


@dataclass
class Capture:
    """Collects results instead of printing them."""

    results: list[Result] = field(default_factory=list)


_capture: ContextVar[Capture | None] = ContextVar("capture", default=None)


@contextmanager
def captured() -> Iterator[Capture]:
    """Within the block, `say` keeps its results and prints nothing."""
    capture = Capture()
    token = _capture.set(capture)
    try:
        yield capture
    finally:
        _capture.reset(token)


def say(result: Result, as_json: bool) -> None:
    """Print a result."""
    if (capture := _capture.get()) is not None:
        capture.results.append(result)
        return
    if as_json:
        print_json(result.data)
        return
    console = consoles()[0]
    for part in result.parts:
        draw(console, part)
    warn(result.warnings)
    if result.then:
        note(f"next: {result.then}", "dim")


def print_json(data: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(data, ensure_ascii=True, allow_nan=False, indent=2, default=str) + "\n")


NO_TERMINAL = 10_000
"""Characters of a line where nobody's terminal ends: what reads a pipe wants a row on one line."""


def consoles() -> tuple[Console, Console]:
    """stdout and stderr, as Rich sees them: NO_COLOR, width and pipes are honoured."""
    from .console import Console

    return (
        Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else NO_TERMINAL),
        Console(markup=False, highlight=False, emoji=False, stderr=True),
    )


def note(text: str, style: str = "") -> None:
    """One line on stderr. A command in it is not broken: it is there to be copied."""
    if _capture.get() is None:
        err = consoles()[1]
        err.print(_line(err, text), style=style or None, soft_wrap=not err.is_terminal or "`" in text)


def warn(warnings: Sequence[str]) -> bool:
    """Whether they were heard: not where results are collected."""
    for warning in warnings:
        note(f"warning: {warning}", "yellow")
    return _capture.get() is None


def _line(console: Console, text: str) -> str:
    """Where a person reads it, broken between words, and never within what stands between backticks. What follows of a
    point in a list stands below its first word."""
    said = clean(text)
    if not console.is_terminal or len(said) <= console.width:
        return said
    lines, indent = [""], " " * len(_POINT) if said.startswith(_POINT) else ""
    for word in re.findall(r" *(?:`[^`]*`|[^ `]|`)+", said):
        if lines[-1].strip(_POINT) and len(lines[-1] + word) > console.width:
            lines.append(indent + word.lstrip())
        else:
            lines[-1] += word
    return "\n".join(lines)


_POINT = "- "
"""Before a point in a list."""


def draw(console: Console, part: Part) -> None:
    """One part of a result."""
    if isinstance(part, str):
        console.print(_line(console, part), soft_wrap=True)
    elif isinstance(part, Verbatim):
        console.print(clean(part.text), soft_wrap=True)
    elif isinstance(part, Table):
        for piece in _pieces(part, console.width):
            _draw_table(console, piece)
    elif isinstance(part, Curve):
        for line in _curve(part):
            console.print(clean(line), soft_wrap=True)
    else:
        _draw_bars(console, part)


def _pieces(table: Table, width: int) -> Iterator[Table]:
    """A table, or several that fit."""
    cells = [table.header, *table.rows]
    wide = [max(len(clean(row[at])) for row in cells) + _BETWEEN for at in range(len(table.header))]
    keys, at = list(range(table.keys)), table.keys
    if not keys or sum(wide) + 1 <= width:
        yield table
        return
    while at < len(wide):
        end = at + 1
        while end < len(wide) and sum(wide[each] for each in (*keys, *range(at, end + 1))) + 1 <= width:
            end += 1
        yield _columns(table, [*keys, *range(at, end)])
        at = end


def _widths(table: Table, width: int) -> list[int | None]:
    """Of a table that is too wide, what each column gets so that no word is cut; None where they may choose.

    Each gets its longest word, and of what is left as much as the length of its cells. Where that does not fit, words
    may go on in another line after a mark within them."""
    cells = [[clean(cell) for cell in row] for row in (table.header, *table.rows)]
    places = range(len(table.header))
    most = [max(len(row[at]) for row in cells) for at in places]
    words, parts = (
        [
            most[at] if at in table.whole else max(len(part) for row in cells for part in [*of(row[at]), ""])
            for at in places
        ]
        for of in (str.split, _parts)
    )
    for least, wide in ((words, most), (parts, words)):
        spare, wanted = width - 1 - sum(least) - _BETWEEN * len(least), sum(wide) - sum(least)
        if 0 <= spare < wanted:
            return [few + spare * (many - few) // wanted for few, many in zip(least, wide, strict=True)]
    return [None] * len(most)


def _parts(text: str) -> list[str]:
    """Words, and of long ones what stands between marks, each with the mark after it."""
    return re.findall(r"[^\s._/-]*[._/-]+|[^\s._/-]+", text)


def _broken(text: str, width: int | None) -> str:
    """A cell whose words go on in another line after a mark, where they are longer than its column."""
    if width is None or all(len(word) <= width for word in text.split()):
        return text
    lines = [""]
    for word in text.split():
        for at, part in enumerate(_parts(word) if len(word) > width else [word]):
            gap = " " if at == 0 and lines[-1] else ""
            if len(lines[-1] + gap + part) > width:
                lines.append(part)
            else:
                lines[-1] += gap + part
    return "\n".join(lines)


_BETWEEN = 3
"""Characters that stand between two columns; one more stands at the end."""


def _columns(table: Table, kept: Sequence[int]) -> Table:
    """Some columns of a table."""
    return Table(
        [table.header[at] for at in kept],
        [[row[at] for at in kept] for row in table.rows],
        table.title,
        [place for place, at in enumerate(kept) if at in table.right],
        [place for place, at in enumerate(kept) if at in table.whole],
        covers=[table.covers[at] for at in kept] if table.covers else (),
    )


def _draw_table(console: Console, table: Table) -> None:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(
        title=Text(clean(table.titled())) if table.titled() else None, box=box.SIMPLE_HEAD, title_justify="left"
    )
    widths = _widths(table, console.width)
    for position, name in enumerate(table.header):
        drawn.add_column(
            Text(clean(name)),
            width=widths[position],
            justify="right" if position in table.right else "left",
            overflow="fold",
            no_wrap=position in table.whole,
        )
    for row in table.rows:
        drawn.add_row(*(Text(_broken(clean(cell), width)) for cell, width in zip(row, widths, strict=True)))
    console.print(drawn)


_BLOCKS = " ▏▎▍▌▋▊▉█"


def _draw_bars(console: Console, bars: Bars) -> None:
    from rich.text import Text

    width = 32
    labels = max((len(label) for label, _, _ in bars.rows), default=0)
    console.print(Text(clean(bars.title), style="italic"))
    for label, share, end in bars.rows:
        eighths = round(max(0.0, min(1.0, share)) * width * 8)
        bar = "█" * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")
        console.print(Text(f"  {clean(label):>{labels}} {bar:<{width}} {clean(end)}"))
    console.print()


_ACROSS, _UP = 48, 12
"""Characters and lines of a plot."""


def _curve(curve: Curve) -> Iterator[str]:
    """Lines of a plot: a dot for an estimate, a bar for its interval, small dots for chance."""
    field = [[" "] * (_ACROSS + 1) for _ in range(_UP + 1)]

    def line(y: float) -> int:
        return _UP - round(max(0.0, min(1.0, y / curve.top)) * _UP)

    def place(x: float) -> int:
        return round(max(0.0, min(1.0, x)) * _ACROSS)

    for at in range(0, _ACROSS + 1, 2):
        field[line(curve.guess(at / _ACROSS))][at] = "·"
    for x, low, _, high in curve.points:
        for up in range(line(high), line(low) + 1):
            field[up][place(x)] = "│"
    for x, _, estimate, _ in curve.points:
        field[line(estimate)][place(x)] = "●"
    ends = {0: f"{100 * curve.top:.3g}%", _UP: "0%"}
    yield f"{curve.title}: {curve.up}, by {curve.across}"
    for at, row in enumerate(field):
        yield f"  {ends.get(at, ''):>6} ┤{''.join(row)}".rstrip()
    yield f"  {'':>6} └{'─' * _ACROSS}"
    yield f"  {'':>6}  0%{'100%':>{_ACROSS - 2}}"
    yield ""


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows that something takes a while, on stderr, where a person is looking."""
    if _capture.get() is not None or not sys.stderr.isatty():
        yield
        return
    with consoles()[1].status(clean(what)):
        yield


def _nowhere(done: int, steps: int) -> None:
    """Nobody is looking."""
    del done, steps


@contextmanager
def progressing(what: str) -> Iterator[Callable[[int, int], None]]:
    """The same with a bar, for work that says how far it has come: call it with steps done, and of how many."""
    if _capture.get() is not None or not sys.stderr.isatty():
        yield _nowhere
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=consoles()[1], transient=True) as bar:
        task = bar.add_task(clean(what), total=None)
        yield lambda done, steps: bar.update(task, completed=done, total=steps)


def number(value: float, digits: int = 3) -> str:
    """A number for people."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"  # never -0


def counted(count: int, what: str) -> str:
    """So many of something, for people: 1 row, 2,000 rows."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def interval(estimate: Mapping[str, Any], digits: int = 3) -> str:
    """An estimate with its interval, for people."""
    low, high = (_end(estimate[end], digits) for end in ("low", "high"))
    return f"{number(estimate['estimate'], digits)}  [{low}, {high}]"


def percent(value: float, digits: int = 1) -> str:
    """A share for people."""
    return f"{number(100 * value, digits)}%"


def is_open(share: Mapping[str, float]) -> bool:
    """Whether the interval of a share, or of an auc, holds all that is possible."""
    return share["low"] <= 0 and share["high"] >= ALMOST


def told(auc: Mapping[str, float], digits: int = 3) -> str:
    """An auc with its interval, for people; a word where that leaves all that is possible."""
    return NOT_KNOWN if is_open(auc) else interval(auc, digits)


def percents(share: Mapping[str, float], digits: int = 1) -> str:
    """A share with its interval, for people."""
    if is_open(share):
        return NOT_KNOWN
    estimate, low, high = (percent(share[end], digits) for end in ("estimate", "low", "high"))
    return f"{estimate}  [{low}, {high}]"


def _end(value: float | None, digits: int) -> str:
    return "∞" if value is None else number(value, digits)

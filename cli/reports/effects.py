"""Why the audience is what it is: the columns that matter most, and what their values add to a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..show import Part, Table, interval

MOST_COLUMNS, MOST_EXPLAINED, MOST_LEVELS = 12, 4, 8
WIDTH = 25
FLAT = 0.01
"""Log-odds an axis reaches at least: what a column of one value adds is 0 but for rounding."""
HEARD = (
    "an effect adds to the log-odds, beside the average person: +0.7 doubles the odds. Intervals cover the noise, luck "
    "and shrinkage{}; where one reaches 0, or nearly, the release cannot tell"
)
SILENT = (
    "of columns that were not in the job, and of pairs of columns, the noisy sums say nothing; to learn of a column, "
    "name it in the job: the model leaves aside what does not tell"
)
UNHEARD = (
    "of columns and pairs that the job neither uses nor considers, the noisy sums say nothing; `consider` in a job "
    "ranks some by what they would add"
)


EDGE = 0.1
"""Of an interval's width: an effect so close to an end of it is said to be at its edge."""
SHRUNK = (
    "effects are the model's own, which are shrunk: where one lies at the edge of its interval, what the value adds is "
    "likelier to lie well inside it"
)
WIDE = (
    "which columns matter is not said: the table is too wide for intervals that hold; a job of fewer `columns` says it"
)


def parts(document: Mapping[str, Any]) -> list[Part]:
    """document: a release that says what its model's columns add. Nothing, for one of before it did."""
    effects = document.get("effects")
    if not effects:
        return [WIDE] if document.get("wide") else []
    unheard = SILENT if document["kind"] == "model" else UNHEARD
    alone = ", as if columns were independent" if document["kind"] == "model" else ""
    told = [effect for effect in effects[:MOST_EXPLAINED] if effect["levels"]]  # noise may leave nobody in any
    shrunk = [SHRUNK] if any(_at_edge(level["effect"]) for effect in told for level in _shown(effect)) else []
    return [_matter(effects), *(_levels(effect) for effect in told), HEARD.format(alone), *shrunk, unheard]


def _at_edge(figure: Mapping[str, float]) -> bool:
    """Whether the model's own number, which is shrunk, lies at an end of what is believed of it."""
    width = figure["high"] - figure["low"]
    return width > FLAT and not EDGE * width <= figure["estimate"] - figure["low"] <= (1 - EDGE) * width


def _matter(effects: Sequence[Mapping[str, Any]]) -> Table:
    shown = effects[:MOST_COLUMNS]
    far = max(FLAT, *(effect["matters"]["high"] for effect in shown))
    rows = [
        (effect["column"], interval(effect["matters"], 2), whisker(effect["matters"], (0.0, far))) for effect in shown
    ]
    title = "which columns matter: how much each moves people's log-odds"
    if len(effects) > len(shown):
        title += f" ({len(shown)} of {len(effects)})"
    return Table(("column", "typical move", f"0 to {far:.2g}"), rows, title, right=(1,), whole=(2,))


def _levels(effect: Mapping[str, Any]) -> Table:
    shown = _shown(effect)
    far = max(max(abs(level["effect"]["low"]), abs(level["effect"]["high"])) for level in shown)
    far = max(FLAT, far)
    rows = [
        (
            level["level"],
            f"{level['share']:.1%}",
            interval(level["effect"], 2),
            whisker(level["effect"], (-far, far)),
        )
        for level in shown
    ]
    whole = f", {len(shown)} of its {len(effect['levels'])} values" if len(shown) < len(effect["levels"]) else ""
    header = ("value", "people", "effect", f"-{far:.2g} to {far:.2g}")
    return Table(header, rows, f"{effect['column']}{whole}", right=(1, 2), whole=(3,))


def _shown(effect: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _spaced(effect["levels"]) if effect["ordered"] else _strongest(effect["levels"])


def _strongest(levels: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that speak for it first, those against it last; of many, those that speak loudest."""
    loudest = sorted(levels, key=lambda level: -abs(level["effect"]["estimate"]))[:MOST_LEVELS]
    return sorted(loudest, key=lambda level: -level["effect"]["estimate"])


def _spaced(levels: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """All of a few values; of many, those that about as many people lie between."""
    if len(levels) <= MOST_LEVELS:
        return list(levels)
    total, below, chosen = sum(level["share"] for level in levels), 0.0, dict[int, None]()
    for at, level in enumerate(levels):
        below += level["share"]
        place = int(below / total * (MOST_LEVELS - 1e-9))
        if place >= len(chosen):
            chosen[at] = None
    return [levels[at] for at in chosen]


def whisker(figure: Mapping[str, Any], ends: tuple[float, float]) -> str:
    """An interval and its estimate on a line, with a mark at 0."""
    low, high = ends

    def place(x: float) -> int:
        return min(WIDTH - 1, max(0, round((x - low) / (high - low) * (WIDTH - 1))))

    line = [" "] * WIDTH
    line[place(0.0)] = "│"
    for at in range(place(figure["low"]), place(figure["high"]) + 1):
        line[at] = "─" if line[at] == " " else "┼"
    line[place(figure["estimate"])] = "●"
    return "".join(line)

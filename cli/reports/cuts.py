"""Which numbers of a release bounds may have cut, and how much of them may be missing at most.

An interval is of what counts: it does not hold what bounds cut off. A release has a table of that beside ("cut by
bounds"), by the declared bounds of a person; public numbers of rows say it closer. Both are only shown here: what a
release holds is as its reader recomputes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

CUT, MISSING = "cut by bounds (", " missing at most"
MARK = " *"
MARKED = (
    "* bounds may have cut it: the interval is of what counts, and the truth may be larger by what is missing at most. "
    "A rate or a price of such numbers may be off either way"
)
PUBLIC = "missing at most: no more than the public numbers of rows leave"


def marked(document: Mapping[str, Any]) -> frozenset[str]:
    """Names of the numbers that may be too small by what was cut, and of those that are made of them."""
    cut = {
        column["name"].removesuffix(MISSING)
        for table in document["tables"]
        for column in table["columns"]
        if table["name"].startswith(CUT) and column["name"].endswith(MISSING) and _may_be(within_rows(document, column))
    }
    return frozenset(cut | {name for name, parts in _made_of(document) if cut & set(parts)})


def _may_be(column: Mapping[str, Any]) -> bool:
    """Whether noise leaves it open that something was cut; also where that is not told."""
    return not column["high"] or column["high"][0] is None or column["high"][0] > 0


def _made_of(document: Mapping[str, Any]) -> list[tuple[str, tuple[str, str]]]:
    from ...policies.jobs.campaign import PARTS_OF

    return list(PARTS_OF.items()) if document.get("kind") == "campaign" else []


def within_rows(document: Mapping[str, Any], column: Mapping[str, Any]) -> Mapping[str, Any]:
    """A column of what may be missing, as far as the public numbers of rows leave anything."""
    most = _left(document, column["name"].removesuffix(MISSING))
    if most is None:
        return column
    ends = {end: [None if each is None else min(each, most) for each in column[end]] for end in _ENDS}
    return {**column, **ends}


_ENDS = ("estimate", "low", "high")


def bounded(document: Mapping[str, Any]) -> bool:
    """Whether rows say it closer than bounds do."""
    return any(
        within_rows(document, column) != column
        for table in document["tables"]
        if table["name"].startswith(CUT)
        for column in table["columns"]
    )


def _left(document: Mapping[str, Any], name: str) -> float | None:
    """What all rows hold at most, less what surely counts of it; None where rows say nothing of it."""
    asked, rules = document["asked"], document["declared"]["dataset"]
    dataset, of = _counted(document["kind"], asked, name)
    several = any(_is_set(rules, asked["dataset"], each) for each in asked.get("by", []))
    if dataset is None or several:
        return None
    low, high = rules[dataset]["columns"][of]["bounds"] if of else (0, 1)
    if low < 0:
        return None
    left = max(0.0, float(document["rows"][dataset] * high) - _counts(document, name))
    return left if of else math.ceil(left)


def _counted(kind: str, asked: Mapping[str, Any], name: str) -> tuple[str | None, str | None]:
    """The data set whose rows a number counts, and the column that it adds up; no data set where it is of people."""
    if kind == "campaign":
        late = name in ("conversions", "revenue")
        return asked["conversions" if late else "dataset"], asked[name] if name in ("spend", "revenue") else None
    measure = asked.get("measure", {}).get(name, {})
    if kind != "aggregate" or measure.get("kind") not in ("count", "sum"):
        return None, None
    return asked["dataset"], measure["of"] if measure["kind"] == "sum" else None


def _is_set(rules: Mapping[str, Any], dataset: str, by: str) -> bool:
    """Whether a row counts under several keys of a column."""
    *where, name = by.split(".", 1)
    column = rules[where[0] if where else dataset]["columns"].get(name)
    return column is None or column["kind"] == "set"


def _counts(document: Mapping[str, Any], name: str) -> float:
    """What surely counts of a number in all: the low end of its total, 0 where there is none."""
    ends = [
        column["low"][0]
        for table in document["tables"]
        if not table["by"] and len(table["keys"]) == 1
        for column in table["columns"]
        if column["name"] == name
    ]
    return max(0.0, ends[0] or 0.0) if ends else 0.0

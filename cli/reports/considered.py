"""What columns and pairs that a job considered would add to its model, beside what each used column adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..show import Part, Table, interval
from .effects import FLAT, MOST_COLUMNS, whisker

SAID = (
    "adds: how much it moves people's log-odds, typically, by what the other columns of the model do not say; each is "
    "held beside the columns used alone. Of considered ones that add nothing, a release says of none that it adds "
    "something, nineteen times in twenty. None of them is used by the model"
)
NOTHING, ALREADY = "cannot be told from nothing", "the columns used say all of it"


def parts(document: Mapping[str, Any]) -> list[Part]:
    """document: a release of a lookalike. Nothing, for one of a job that considers nothing."""
    found = document.get("considered")
    return [_table(found), SAID] if found else []


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    """All that was considered, and of the used columns those that add most."""
    compared = [each["column"] for each in found if each["used"]][:MOST_COLUMNS]
    shown = [each for each in found if not each["used"] or each["column"] in compared]
    far = max(FLAT, *(each["adds"]["high"] for each in shown))
    rows = [
        (
            each["column"],
            "used" if each["used"] else "considered",
            interval(each["adds"], 2),
            whisker(each["adds"], (0.0, far)),
            _word(each),
        )
        for each in shown
    ]
    title = "what would add most: how much each says that the others do not"
    return Table(("column or pair", "", "adds", f"0 to {far:.2g}", ""), rows, title, right=(2,), whole=(3,))


def _word(each: Mapping[str, Any]) -> str:
    if each.get("already_said"):
        return ALREADY
    return "" if each["told"] else NOTHING

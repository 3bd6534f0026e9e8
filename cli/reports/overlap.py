"""What an overlap says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..show import Part, Table, interval

BELOW_ZERO = (
    "a count is not below 0: what is below it here is noise, and left as it is because a figure that was cut off at 0 "
    "would be too large on average"
)


def parts(document: Mapping[str, Any]) -> list[Part]:
    """The count and the rate, with their intervals."""
    rows = [("matched", interval(document["matched"], 0)), ("match rate", interval(document["match_rate"]))]
    table = Table(("number", "estimate  [95 % interval]"), rows, right=(1,))
    return [table, BELOW_ZERO] if document["matched"]["low"] < 0 else [table]

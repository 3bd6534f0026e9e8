"""What an overlap says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..show import Bars, Part, Table, interval

BELOW_ZERO = (
    "a count is not below 0: what is below it here is noise, and left as it is because a figure that was cut off at 0 "
    "would be too large on average"
)


NEXT_TO_NOBODY = 0.05
"""A share of the seed: where no more than this may match, something may be wrong with the lists."""


def next_to_nobody(document: Mapping[str, Any]) -> bool:
    """Whether the released count allows that nobody matches, or says that few do: by any key, or by the best one."""
    counts = [document, *(document.get("tiers") or [])[:1]]
    return any(each["matched"]["low"] <= 0 or each["match_rate"]["high"] <= NEXT_TO_NOBODY for each in counts)


def parts(document: Mapping[str, Any]) -> list[Part]:
    """The count and the rate, with their intervals; by key where the job asked so."""
    rows = [("matched", interval(document["matched"], 0)), ("match rate", interval(document["match_rate"]))]
    made: list[Part] = [Table(("number", "estimate  [95 % interval]"), rows, right=(1,))]
    tiers = document.get("tiers") or []
    if tiers:
        header = ("matched by", "records  [95 % interval]", "share of the seed  [95 % interval]")
        each = [(tier["key"], interval(tier["matched"], 0), interval(tier["match_rate"])) for tier in tiers]
        made.append(Table(header, each, right=(1, 2)))
    bars = [(tier["key"], tier["match_rate"]) for tier in tiers] or [("matched", document["match_rate"])]
    made.append(Bars("share of the seed", [(name, rate["estimate"], interval(rate)) for name, rate in bars]))
    if (most := document.get("rows_a_seed") or 1) > 1:
        made.append(f"under the contract's rule one seed may match up to {most} records, so the rate may pass 1")
    low = any(part["matched"]["low"] < 0 for part in (document, *tiers))
    return [*made, BELOW_ZERO] if low else made

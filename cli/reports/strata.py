"""What a lookalike or a model says by how much is known of people: how right its scores are, and where they are worth
nothing. In a model's release sizes are noisy, and it has no audience.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..show import Part, Table, interval, is_open, percent, percents, told

COIN = 0.5
"""AUC of who ranks people by chance."""
DRAWN = (
    "by its own seeds: what a group alone says. Shrunk: drawn, as far as noise leaves it open, to what the model's own "
    "probabilities make expect of the group, as far as they are right for all groups together; such intervals hold on "
    "average over groups, the others for each"
)


def parts(document: Mapping[str, Any]) -> list[Part]:
    """Quality of each stratum; among the best of all people; and of whom chance would say as much."""
    known: Sequence[Mapping[str, Any]] = document.get("by_known") or []
    if not known:
        return []
    drawn = [DRAWN] if len(known) > 1 else []
    tops = _tops(document, known) if "audience" in document else []
    return [_aucs(known), _rates(known), *drawn, *tops, *_chance(known, "audience" in document)]


def _aucs(known: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (_columns(each), _people(each["people"]), told(each["auc"]), told(each["shrunk_auc"] or each["auc"]))
        for each in known
    ]
    header = ("columns known", "people", "auc by its own seeds", "auc, shrunk")
    title = "how right, by how much is known of people held out  [95 % interval]"
    return Table(header, rows, title, right=(1, 2, 3), whole=(1, 2, 3), keys=2)


def _people(many: int | Mapping[str, float]) -> str:
    """How many: exactly, or as noise leaves it open, which is 0 at least."""
    if isinstance(many, int):
        return f"{many:,}"
    return interval({name: max(0.0, many[name]) for name in ("estimate", "low", "high")}, 0)


def _rates(known: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (_columns(each), percent(_said(each)), percents(each["rate"]), percents(each["shrunk_rate"] or each["rate"]))
        for each in known
    ]
    said = "model says, about" if "said" in known[0] else "model says"
    header = ("columns known", said, "rate of seeds", "rate, shrunk")
    title = "what the model says, and what came true  [95 % interval]"
    return Table(header, rows, title, right=(1, 2, 3), whole=(2, 3), keys=2)


def _columns(each: Mapping[str, Any]) -> str:
    return f"{each['fewest']}" if each["fewest"] == each["most"] else f"{each['fewest']} to {each['most']}"


def _said(each: Mapping[str, Any]) -> float:
    """The mean of what the model says of a stratum's people."""
    if "said" in each:
        return float(each["said"])
    return float(sum(cell["people"] * cell["predicted"] for cell in each["cells"]) / each["people"])


def _tops(document: Mapping[str, Any], known: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Of each stratum those who are among about as large a share of the best as the audience is."""
    audience = document["audience"]
    share = audience.get("reach") or audience["size"] / max(1, document["people"])
    ends = {top["share"] for each in known for top in each["tops"]}
    if not ends:
        return []
    nearest = min(ends, key=lambda end: abs(end - share))
    found = [(each, top) for each in known for top in each["tops"] if top["share"] == nearest]
    rows = [
        (_columns(each), f"{top['people']:,}", percents(top["rate"]), interval(top["lift"], 2)) for each, top in found
    ]
    header = ("columns known", "of them", "rate of seeds", "lift over their own rate")
    title = f"among the best {nearest:.1%} of all people held out  [95 % interval]"
    return [Table(header, rows, title, right=(1, 2, 3), whole=(2, 3), keys=1)]


def _chance(known: Sequence[Mapping[str, Any]], chosen: bool) -> list[Part]:
    """A plain word on every stratum whose scores nothing shows to be better than a coin. chosen: whether the release
    has an audience, of which they may be left out."""
    found: list[Part] = []
    for at, each in enumerate(known):
        if not each["auc"]["low"] <= COIN <= each["auc"]["high"]:
            continue
        if is_open(each["auc"]):
            found.append(f"where {_columns(each)} columns are known noise hides what scores are worth")
            continue
        above = known[at + 1 :]
        out = (
            f", or leave them out: `audience` with `least_known = {above[0]['fewest']}`, which costs nothing more"
            if above and chosen
            else ""
        )
        found.append(
            f"where {_columns(each)} columns are known the scores cannot be told from chance: ask for more columns of "
            f"these people{out}"
        )
    return found

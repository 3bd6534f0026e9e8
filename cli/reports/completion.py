"""What a completion says: how many of the reader's people get an answer, and how right such answers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..show import Bars, Part, Table
from ..show import told as said

NOBODY = "nobody is sure enough"
MOST_DETAILED = 6
"""Questions that are told in detail on the screen; `--json` holds them all."""


def parts(document: Mapping[str, Any]) -> list[Part]:
    """One row a question; then, of the first ones, who is answered at which sureness, and by how much is known."""
    both = list(zip(document["questions"], document["quality"], strict=True))
    rows = [_summary(asked, told, document["confident"]) for asked, told in both]
    header = ("attribute", "answered", "right, of those", "usual value's share", "auc")
    title = f"answers at least {document['confident']:g} sure, for your {document['people']:,} people"
    found: list[Part] = [Table(header, rows, title, right=(1, 2, 3, 4), whole=(1, 2, 3, 4), keys=1)]
    for asked, told in both[:MOST_DETAILED]:
        found += [_levels(asked, told), _strata(asked, told)]
    found += [Bars(f"answered of your people, at {document['confident']:g}", [_bar(asked) for asked, _ in both])]
    if len(both) > MOST_DETAILED:
        found.append(f"{len(both) - MOST_DETAILED} more in detail: `--json`")
    found.append(
        "answered: of your own people, exactly. Right: of people held out whose attribute the other party knows, with "
        "a 95 % interval for noise and sampling; not known where that leaves all that is possible. Always saying the "
        "usual value is right as often as its share says. "
        "Whoever is not answered stands in the file as abstained, with the likeliest value beside"
    )
    return found


def _summary(asked: Mapping[str, Any], told: Mapping[str, Any], confident: float) -> tuple[str, ...]:
    level = next(each for each in told["levels"] if each["confident"] == confident)
    usual = max(told["usual"], key=lambda share: share["estimate"])
    right = said(level["right"], 2) if asked["answered"] else NOBODY
    return asked["name"], f"{asked['answered']:.1%}", right, said(usual, 2), said(told["auc"], 2)


def _levels(asked: Mapping[str, Any], told: Mapping[str, Any]) -> Table:
    rows = [
        (f"{each['confident']:g}", f"{own:.1%}", said(each["right"], 2) if own else NOBODY)
        for own, each in zip(asked["levels"], told["levels"], strict=True)
    ]
    header = ("`confident`", "answered, of your people", "right, of those answered")
    title = f"{asked['name']}: what another `confident` gives, free of charge"
    return Table(header, rows, title, right=(0, 1, 2), whole=(2,), keys=1)


def _strata(asked: Mapping[str, Any], told: Mapping[str, Any]) -> Table:
    header = ("known columns", "your people", "answered", "right, of those answered")
    both = zip(asked["strata"], told["strata"], strict=True)
    rows = [_stratum(own, held) for own, held in both if own["people"]]
    title = f"{asked['name']}: by how much is known of a person"
    return Table(header, rows, title, right=(0, 1, 2, 3), whole=(3,), keys=1)


def _stratum(own: Mapping[str, Any], held: Mapping[str, Any]) -> Sequence[str]:
    known = f"{own['fewest']}" if own["fewest"] == own["most"] else f"{own['fewest']} to {own['most']}"
    right = said(held["right"], 2) if own["answered"] else NOBODY
    return known, f"{own['people']:,}", f"{own['answered']:.1%}", right


def _bar(asked: Mapping[str, Any]) -> tuple[str, float, str]:
    return asked["name"], asked["answered"], f"{asked['answered']:.0%}"

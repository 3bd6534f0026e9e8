"""What a model says: how well its columns tell the seed from other people, held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..show import ALMOST, NOT_KNOWN, Bars, Part, Table, interval, percent, percents, told
from . import curves, effects, strata
from .lookalike import chance

PEOPLE = "held-out people  [95 % interval: noise and sampling]"
NOBODY = "there may be no seed among the people held out: what follows says little"
MOST_SHOWN = 8
"""Score bins in the table of calibration, about; `--json` has all."""


def parts(document: Mapping[str, Any]) -> list[Part]:
    """AUC, and what those who score best would give as an audience."""
    numbers = [
        ("auc", told(document["auc"])),
        ("people held out", interval(_people(document["held_out"]), 0)),
        ("seeds held out", interval(_people(document["positives"]), 0)),
    ]
    header = ("best share", "rate of seeds in it", "lift", "gain: share of seeds in it")
    rows = [
        (percents(cut["share"]), percents(cut["precision"]), _lift(cut), percents(cut["gain"], 0))
        for cut in document["cuts"][::2]
    ]
    shown = [cut for cut in document["cuts"] if not lift_is_open(cut)]
    highest = max((cut["lift"]["estimate"] for cut in shown), default=1.0) or 1.0
    best = [(cut["share"]["estimate"], cut["lift"]["estimate"]) for cut in shown]
    bars = [(f"{share:.1%}", max(0.0, lift / highest), f"{lift:.2f}") for share, lift in best]
    rate = max(0.0, document["positives"]["estimate"]) / max(1.0, document["held_out"]["estimate"])
    return [
        Table(("number", "estimate  [95 % interval: noise and sampling]"), numbers, right=(1,)),
        *([NOBODY] if document["positives"]["low"] <= 0 else []),
        *chance(document, "model"),
        Table(header, rows, PEOPLE, right=(0, 1, 2, 3), whole=(0, 1, 2, 3), keys=1),
        *([Bars("lift by best share of people", bars)] if bars else []),
        *(curves.parts([_point(cut, rate) for cut in document["cuts"]], rate) if shown else []),
        *_calibration(document),
        *strata.parts(document),
        *effects.parts(document),
    ]


def _calibration(document: Mapping[str, Any]) -> list[Part]:
    """What the model says of people in some score bins, best bins first, and what came true. Where a bin's people are
    within it nobody is told."""
    ends = document.get("ends") or []
    if not ends:
        return []
    told = _apart(ends)
    said = [f"above {told[0]}", *(f"{low} to {high}" for high, low in pairwise(told)), f"below {told[-1]}"]
    rows = list(zip(said, map(percents, document["rates"]), strict=True))
    title = "calibration, some score bins from best to worst"
    shown = rows[:: max(1, len(rows) // MOST_SHOWN)]
    return [Table(("model says", "came true  [95 % interval]"), shown, title, right=(0, 1))]


def _apart(ends: Sequence[float]) -> list[str]:
    """Ends of bins in as many digits as tell them apart, five at most."""
    written = [[percent(end, digits) for end in ends] for digits in range(1, 6)]
    return next((each for each in written if len({*each}) == len(ends)), written[-1])


def _people(figure: Mapping[str, float]) -> dict[str, float]:
    """A noisy number of people, which is at least 0."""
    return {name: max(0.0, figure[name]) for name in ("estimate", "low", "high")}


def lift_is_open(cut: Mapping[str, Any]) -> bool:
    """Whether noise leaves open how large a lift is: up to the largest there could be, of those alone who are in the
    cut, and from 0 on, or with nobody known to be in the cut. As `modelling.evaluate_noisy`."""
    from ...modelling.evaluate_noisy import SMALLEST_SHARE

    share = float(cut["share"]["low"])
    reached = cut["lift"]["high"] >= ALMOST / max(share, SMALLEST_SHARE)
    return bool(reached and (cut["lift"]["low"] <= 0 or share <= SMALLEST_SHARE))


def _lift(cut: Mapping[str, Any]) -> str:
    return NOT_KNOWN if lift_is_open(cut) else interval(cut["lift"], 2)


def _point(cut: Mapping[str, Any], rate: float) -> curves.Point:
    """rate: of seeds among all. Who is in the cut and no seed follows from its share and its gain."""
    others = (cut["share"]["estimate"] - cut["gain"]["estimate"] * rate) / max(1e-9, 1 - rate)
    return curves.Point(min(1.0, max(0.0, others)), cut["gain"], cut["precision"])

"""What a lookalike says: which learner was best where several were compared, and how good it is on people held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..show import Bars, Part, Table, interval, number
from . import effects

COIN = 0.5
"""AUC of who ranks people by chance."""
SHOWN = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Audience shares in the table; the release holds more."""


def parts(document: Mapping[str, Any]) -> list[Part]:
    """How good the model is on people held out: lift, gain and calibration."""
    cuts = document["cuts"]
    shown = [cut for cut in cuts if any(abs(cut["share"] - share) < 0.003 for share in SHOWN)]
    rows = [
        (f"{cut['share']:.1%}", f"{cut['people']:,}", interval(cut["lift"], 2), interval(cut["gain"], 2))
        for cut in shown
    ]
    highest = max((cut["lift"]["estimate"] for cut in cuts), default=1.0) or 1.0
    bars = [
        (f"{cut['share']:.1%}", cut["lift"]["estimate"] / highest, f"{cut['lift']['estimate']:.2f}") for cut in cuts
    ]
    return [
        Table(
            ("number", "estimate  [95 % interval: noise and sampling]"),
            [
                ("auc", interval(document["auc"])),
                ("seeds held out", interval(document["positives"], 0)),
                ("audience", f"{document['audience']['size']:,} people"),
            ],
            right=(1,),
        ),
        *chance(document, "audience"),
        Table(
            ("best share", "people", "lift", "gain: share of seeds in it"),
            rows,
            right=(0, 1, 2, 3),
            title="held-out people",
        ),
        Bars("lift by best share of people", bars),
        _calibration(document),
        *_compared(document["learners"]),
        *effects.parts(document),
    ]


def chance(document: Mapping[str, Any], what: str) -> list[Part]:
    """That nothing shows the audience, or the model, to be better than a coin: what a reader must not overlook."""
    auc = document["auc"]
    if not auc["low"] <= COIN <= auc["high"]:
        return []
    return [f"the auc's interval holds {COIN:g}: the release cannot tell this {what} from chance"]


def _compared(learners: Sequence[Mapping[str, Any]]) -> list[Part]:
    """How each learner did on the noisy counts by group, and why one of them won."""
    if not learners:
        return []
    rows = [
        (
            f"{each['name']}{'  won' if each['won'] else ''}",
            interval(each["gain"], 1),
            interval(each["lead"], 1) if each["lead"] else "named first",
        )
        for each in learners
    ]
    title = "learners, on people they trained on  [95 % interval: noise and sampling]"
    return [
        Table(
            ("learner", "gain over one rate for all, nats", "lead over the best before it"),
            rows,
            right=(1, 2),
            title=title,
        ),
        "a learner wins over those named before it where its lead is more than one standard error; nobody held out was "
        "looked at for it",
    ]


def _calibration(document: Mapping[str, Any]) -> Table:
    """What the model said of people, best bins first, and what came true."""
    bins = document["calibration"]
    rows = [
        (f"{row['people']:,}", number(row["predicted"]), interval(row["rate"]))
        for row in bins[:: max(1, len(bins) // 5)]
        if row["predicted"] is not None
    ]
    title = "calibration, some score bins from best to worst"
    return Table(("people", "model says", "came true  [95 % interval]"), rows, right=(0, 1, 2), title=title)

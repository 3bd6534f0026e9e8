"""What a lookalike says: which learner was best where several were compared, and how good it is on people held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..show import NOT_KNOWN, Bars, Part, Table, interval, is_open, number, percent, percents, told
from . import considered, curves, effects, strata

STRATA = (
    "this is what the model says of its own scores, and not how right they were. A missing value counts as a value of "
    "its own"
)
TREELESS = "boosting grew no tree, as none helped: it says of everybody what glm says"
COIN = 0.5
"""AUC of who ranks people by chance."""
SHOWN = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Audience shares in the table, or the nearest there are; the release holds more."""
RATE = (
    "rate of seeds in it: what to expect of an audience of that share; a click or conversion rate, where the seeds are "
    "those who clicked or bought; another size is free"
)


def parts(document: Mapping[str, Any]) -> list[Part]:
    """How good the model is on people held out: lift, gain and calibration."""
    cuts = document["cuts"]
    wanted = (*SHOWN, _share(document))
    nearest = {min(range(len(cuts)), key=lambda at: abs(cuts[at]["share"] - share)) for share in wanted if cuts}
    shown = [cuts[at] for at in sorted(nearest)]
    rows = [
        (
            percent(cut["share"]),
            f"{cut['people']:,}",
            percents(cut["precision"]),
            _lift(cut),
            percents(cut["gain"], 0),
        )
        for cut in shown
    ]
    lifts = [(cut["share"], cut["lift"]["estimate"]) for cut in cuts if not is_open(cut["gain"])]
    highest = max((lift for _, lift in lifts), default=1.0) or 1.0
    bars = [(percent(share), lift / highest, f"{lift:.2f}") for share, lift in lifts]
    return [
        Table(
            ("number", "estimate  [95 % interval: noise and sampling]"),
            [
                ("auc", told(document["auc"])),
                ("seeds held out", interval(document["positives"], 0)),
                ("audience", _audience(document["audience"])),
            ],
            right=(1,),
        ),
        *chance(document, "audience"),
        Table(
            ("best share", "people", "rate of seeds in it", "lift", "gain: share of seeds in it"),
            rows,
            right=(0, 1, 2, 3, 4),
            whole=(2, 3, 4),
            keys=2,
            title="held-out people  [95 % interval: noise and sampling]",
        ),
        RATE,
        *([Bars("lift by best share of people", bars)] if bars else []),
        *curves.parts([_point(cut) for cut in cuts], document["positives"]["estimate"] / max(1, document["held_out"])),
        _calibration(document),
        *strata.parts(document),
        *_strata(document.get("strata") or []),
        *_compared(document["learners"]),
        *effects.parts(document),
        *considered.parts(document),
    ]


def _share(document: Mapping[str, Any]) -> float:
    """About which share of the best people the audience is."""
    audience = document["audience"]
    return float(audience.get("reach") or audience["size"] / max(1, document["people"]))


def _lift(cut: Mapping[str, Any]) -> str:
    """A share of the seeds over a share of the people, which is known."""
    return NOT_KNOWN if is_open(cut["gain"]) else interval(cut["lift"], 2)


def _audience(said: Mapping[str, Any]) -> str:
    """How many are in it, and of whom too little is known."""
    if said.get("least_known") is None:
        return f"{said['size']:,} people"
    out = f"{said['left_out']:,} people are left out, of whom fewer than {said['least_known']} columns are known"
    if said["size"]:
        asked = f" of {said['asked']:,} asked" if said["size"] < said["asked"] else ""
        return f"{said['size']:,} people{asked}; {out}"
    return f"nobody: {out}, and fewer remain than the contract's smallest audience; another least_known costs nothing"


def _point(cut: Mapping[str, Any]) -> curves.Point:
    return curves.Point(cut["false_positives"]["estimate"], cut["gain"], cut["precision"])


def chance(document: Mapping[str, Any], what: str) -> list[Part]:
    """That nothing shows the audience, or the model, to be better than a coin: what a reader must not overlook."""
    auc = document["auc"]
    if not auc["low"] <= COIN <= auc["high"]:
        return []
    why = "auc is not known" if is_open(auc) else f"auc's interval holds {COIN:g}"
    return [f"the {why}: the release cannot tell this {what} from chance"]


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
        *([TREELESS] if _treeless(learners) else []),
    ]


def _treeless(learners: Sequence[Mapping[str, Any]]) -> bool:
    """Whether boosting is its additive model: only without a tree are both as good to the last bit."""
    gains = {each["name"]: each["gain"] for each in learners}
    return "glm" in gains and gains.get("boosting") == gains["glm"]


def _strata(strata: Sequence[Mapping[str, Any]]) -> list[Part]:
    """How sure scores are by how much is known of a person."""
    if not strata:
        return []
    rows = [
        (
            f"{each['fewest']}" if each["fewest"] == each["most"] else f"{each['fewest']} to {each['most']}",
            f"{each['people']:,}",
            number(each["spread"], 2),
            number(each["doubt"], 2),
            "hardly: chance would order them as well" if each["doubt"] >= each["spread"] else "",
        )
        for each in strata
    ]
    header = ("known columns", "people", "scores differ by", "each may be off by", "told apart")
    shown = header if any(row[-1] for row in rows) else header[:-1]
    title = "held-out people by how much is known of them: log-odds, standard deviations"
    return [Table(shown, [row[: len(shown)] for row in rows], title, right=(0, 1, 2, 3), keys=1), STRATA]


def _calibration(document: Mapping[str, Any]) -> Table:
    """What the model said of people, best bins first, and what came true."""
    bins = document["calibration"]
    rows = [
        (f"{row['people']:,}", percent(row["predicted"]), percents(row["rate"]))
        for row in bins[:: max(1, len(bins) // 5)]
        if row["predicted"] is not None
    ]
    title = "calibration, some score bins from best to worst"
    return Table(("people", "model says", "came true  [95 % interval]"), rows, right=(0, 1, 2), title=title)

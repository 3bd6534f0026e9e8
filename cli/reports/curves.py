"""ROC and precision by recall, as small plots of the cuts that a release holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..show import Curve

ROOM = 1.25
"""How far above the highest precision its plot reaches; the best few people's intervals may go on beyond."""


class Point(NamedTuple):
    """One cut. others: share of those who are no seeds that is in it. gain, precision: figures with intervals."""

    others: float
    gain: Mapping[str, Any]
    precision: Mapping[str, Any]


def parts(points: Sequence[Point], rate: float) -> list[Curve]:
    """rate: of seeds among all who were held out. Nothing, where a release has no cuts."""
    if not points:
        return []
    top = min(1.0, max(1e-3, ROOM * max(rate, *(point.precision["estimate"] for point in points))))
    return [
        Curve("ROC", "share of the others in it", "share of seeds", [_roc(each) for each in points], lambda x: x),
        Curve(
            "precision and recall",
            "share of seeds in it",
            "rate of seeds",
            [_recall(each) for each in points],
            lambda _: rate,
            top,
        ),
    ]


def _roc(point: Point) -> tuple[float, float, float, float]:
    return point.others, *_ends(point.gain)


def _recall(point: Point) -> tuple[float, float, float, float]:
    return point.gain["estimate"], *_ends(point.precision)


def _ends(figure: Mapping[str, Any]) -> tuple[float, float, float]:
    return figure["low"], figure["estimate"], figure["high"]

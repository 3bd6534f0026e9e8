"""One job of each kind about the sample campaign, with much ε so that what is wrong shows through the noise."""

from __future__ import annotations

from typing import Any

KINDS = ("aggregate", "reach", "frequency", "campaign", "topics")

JOBS: dict[str, dict[str, Any]] = {
    "aggregate": {
        "dataset": "exposures",
        "by": ["campaign"],
        "totals": True,
        "measure": {
            "people": {"kind": "people"},
            "ads": {"kind": "count", "at_most": 20},
            "cost": {"kind": "sum", "of": "cost", "at_most": 0.2},
            "depth": {"kind": "mean", "of": "depth", "rows_per_key": 5},
            "seen": {"kind": "quantiles", "of": "depth", "bins": 20, "shares": [0.5], "at_most": 5},
        },
    },
    "reach": {"dataset": "exposures", "by": ["campaign"], "households": True},
    "frequency": {"dataset": "exposures", "most": 6},
    "campaign": {
        "dataset": "exposures",
        "by": ["campaign"],
        "clicks": "clicked",
        "starts": "started",
        "completes": "completed",
        "deep": {"column": "depth", "at_least": 50},
        "spend": "cost",
        "conversions": "purchases",
        "revenue": "price",
        "credit_days": 30,
        "recipients": ["publisher", "advertiser"],
    },
    "topics": {
        "dataset": "visitors",
        "topics": "topics",
        "response": "exposures.campaign",
        "where": {"exposures.clicked": ["yes"]},
        "topics_per_person": 3,
        "responses_per_person": 1,
    },
}


def asked(kind: str, **changes: Any) -> dict[str, Any]:
    """A job of a kind, with changes."""
    return {"epsilon": 8.0} | JOBS[kind] | changes

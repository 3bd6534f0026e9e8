"""Cover: when one charge pays for two releases, because they look at disjoint parts of the same people.

Where one record moves one row, that row lies in one of the two parts, so one of the releases is touched: together they
cost the larger (parallel composition, McSherry 2009, theorem 4). Where it moves up to K rows, a of them lie in one
part and b in the other, a + b <= K. Each release is priced as if all K lay in its part: μ1 and μ2. A sum over rows
moves with their number, so what this record can move is worth (a/K) μ1 and (b/K) μ2, and the two together, the second
in the light of the first, at most √((a/K)² μ1² + (b/K)² μ2²). Since (a/K)² + (b/K)² <= a/K + b/K <= 1, that is at most
the larger of the two as well: nothing is added. (How many of its rows lie in either part is decided by the records and
the split, not by what was released.)

The code ensures: both name the same data sets, unit and readers, under the same match rule, one of those that bound how
many rows one record moves; one is of the part "train", the other of "held-out"; every charge of the first is at least
the price of the second.
The ledger ensures: a release covers one other, once, and a covered release covers none.
The caller ensures: the parts are split by a keyed hash that does not depend on who matched; both are sums over matched
rows; the sensitivity of each is that of all the rows that one record moves, as if all lay in that part.
"""

from __future__ import annotations

from .budget import Rho
from .entry import Charge, Purchase, Released

_PARTS = frozenset({"train", "held-out"})
_BOUNDED = frozenset({"own-best", "fall-through", "any"})
"""Match rules under which one record moves no more rows than its sensitivity says, in both parts together."""


class UnpaidPart(Exception):
    """A release that nobody would pay for. Nothing was drawn. Carries the rule that was broken."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def refuse_unpaid(purchase: Purchase) -> None:
    """A release is charged to somebody, or covered by another; not both, not neither. Errors: UnpaidPart."""
    if purchase.charges and purchase.beside:
        raise UnpaidPart("a release is charged or covered, not both")
    if not purchase.charges and not purchase.beside:
        raise UnpaidPart("a release must be charged to somebody")


def refuse_uncovered(purchase: Purchase, other: Released) -> None:
    """What must hold for `other` to pay for this release as well. Errors: UnpaidPart."""
    mine, theirs = purchase.specification.as_json(), other["specification"]
    cost = purchase.specification.cost
    if list(purchase.context.recipients) != other["recipients"]:
        raise UnpaidPart("both parts must have the same readers")
    if any(mine[name] != theirs[name] for name in ("datasets", "unit", "rule")):
        raise UnpaidPart("both parts must look at the same data sets under the same rule")
    if mine["rule"] not in _BOUNDED:
        raise UnpaidPart("under this match rule one record may move any number of rows in both parts")
    if mine["mechanism"] != theirs["mechanism"]:
        raise UnpaidPart("what flips labels is paid for in ε, and what adds noise in ρ")
    if {mine["part"], theirs["part"]} != _PARTS:
        raise UnpaidPart("the two parts must be disjoint")
    if not other["charges"] or any(charge["rho"] < cost for charge in other["charges"]):
        raise UnpaidPart("the charge beside it is smaller than this release costs")


def refuse_other_cover(purchase: Purchase, first: Released) -> None:
    """What must hold to hand out stored bytes that cost nothing: cover and readers as when they were drawn.

    New readers of a charged release pay what is newly exposed; of a covered one the ledger cannot tell what that
    would be. Errors: UnpaidPart.
    """
    if not purchase.beside:
        return
    if first["beside"] != purchase.beside:
        raise UnpaidPart("it was paid for in another way")
    if not set(purchase.context.recipients) <= set(first["recipients"]):
        raise UnpaidPart("both parts must have the same readers")


def charges_of(other: Released) -> tuple[Charge, ...]:
    """What the covering release was charged."""
    return tuple(Charge(paid["account"], paid["dataset"], Rho(paid["rho"])) for paid in other["charges"])

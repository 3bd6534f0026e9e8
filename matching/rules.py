"""How matches are settled where people are known by several keys, and how far one record can move the answer.

Keys are ranked, best first: `keys = ["email", "phone"]`. A seed *claims* a row of the people when both hold the same
handle under one key. A handle stands once on either side, so a seed has at most one claim a key, and a row at most one
a key. Which claims count is the rule:

    own-best      a seed claims by the best key it has, whether or not that hits
    fall-through  a seed claims by its best key that hits
    any           a seed claims by every key it has

A row matches when a claim on it counts, and its tier is the best key by which one does. The bounds are rows whose
answer (whether, and by which tier) one record can move when a dummy takes its place; K is the number of keys:

    rule          one seed   one person   because
    own-best      1          1            a seed has one claim, and it depends on that seed alone
    fall-through  1          K            a seed has one claim; of the K seeds that claim a person the one that does so
                                          by the last key has nowhere to go, the others fall to a row each
    any           K          1            a seed has K claims, each on its own row; no claim depends on other people

docs/matching.md has the argument in full; tests/matching/test_stability.py replays it on all neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Rule: TypeAlias = Literal["own-best", "fall-through", "any"]
HOUSEHOLD = frozenset({"ip", "ctv"})
"""Kinds of identifiers that several people share: they rank behind those of one person."""
Repeats: TypeAlias = Literal["merge", "drop"]
"""What becomes of rows of one party that repeat an identifier: one person; or the first row keeps it, the others lose
it."""
Fingerprint: TypeAlias = Literal["passbox@1", "c3r@1", "c3r@2"]
"""How hashes are keyed (`matching.fingerprint`)."""
Side: TypeAlias = Literal["seed", "people"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Rows of the people whose answer one record can move: a record of the seed, or of the people."""

    seed: int
    person: int

    def of(self, side: Side) -> int:
        """The bound of the side whose records are protected."""
        return self.seed if side == "seed" else self.person


def bounds(rule: Rule, keys: int) -> Bounds:
    """What a rule over so many keys declares. keys: at least 1."""
    if keys < 1:
        raise ValueError("people are matched on one key or more")
    return {"own-best": Bounds(1, 1), "fall-through": Bounds(1, keys), "any": Bounds(keys, 1)}[rule]


def tiers_l2_squared(rule: Rule, keys: int, side: Side) -> int:
    """The squared L2 move of the vector of rows a tier, when one record of that side is replaced by a dummy.

    A row that moves leaves one tier and may enter another: at most √2. So many rows as the bound says move at most
    √2 of them together. Where a person can move its own row alone, that row leaves its tier and enters none: 1; and
    with one key there is no other tier to enter.
    """
    moved = bounds(rule, keys).of(side)
    own_row_only = keys == 1 or (side == "people" and rule != "fall-through")
    return 1 if own_row_only else 2 * moved * moved

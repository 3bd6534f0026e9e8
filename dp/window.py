"""The window: how far spending may run ahead of what witnesses have cosigned.

A ledger that only its operator signs can be rolled back, copied or shown in two versions, and nobody who looks at one
of them can tell. A witness that has cosigned a checkpoint remembers it: from then on that history is the published one,
and a ledger that does not continue it is refused.

The code ensures: a charge that would leave the window is refused before a draw; a ledger that is shorter than what
some witness cosigned pays for nothing any more; a cosigned head that is not a head of this log is named a fork.
What it does not see: copies. Each copy of a room, made with its keys, can spend what the window still allows, in
private, and k copies can spend it k times; code that was changed is not bound by it at all. Of those histories only one
can ever be cosigned, so who wants to rely on a release asks for an export in which its entries are cosigned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from .budget import Rho


class WindowFull(Exception):
    """Too much would be spent since the last cosigned checkpoint. Nothing was drawn or charged. Public figures."""

    def __init__(self, account: str, asked: Rho, left: Rho) -> None:
        super().__init__(account, asked, left)
        self.account, self.asked, self.left = account, asked, left


class RolledBack(Exception):
    """A witness has seen more of this log than is here. size: entries here. seen: entries it cosigned."""

    def __init__(self, witness: str, size: int, seen: int) -> None:
        super().__init__(witness, size, seen)
        self.witness, self.size, self.seen = witness, size, seen


class Forked(Exception):
    """A witness has cosigned another log under the same name. seen: the size at which the two differ, or before."""

    def __init__(self, witness: str, seen: int) -> None:
        super().__init__(witness, seen)
        self.witness, self.seen = witness, seen


@dataclass(frozen=True, slots=True)
class Window:
    """need: how many witnesses must have cosigned a head for it to count. ahead: share of a cap, more than 0."""

    need: int
    ahead: Fraction

    def witnessed(self, seen: Mapping[str, int]) -> int:
        """How many entries `need` witnesses vouch for: who cosigned a head vouches for all before it."""
        sizes = sorted(seen.values(), reverse=True)
        return sizes[self.need - 1] if len(sizes) >= self.need else 0

    def most(self, cap: Rho) -> Rho:
        """What may be spent of a cap since the last head that counts, rounded down."""
        return Rho(int(cap * self.ahead))

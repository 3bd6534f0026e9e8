"""What a plan promised of a statistic, held against what the code made of people, before anything is drawn."""

from __future__ import annotations

import numpy as np

from .aggregate import Statistic
from .entry import Purchase
from .scale import price
from .selection import Candidates


class SpecificationMismatch(Exception):
    """A statistic is not what its purchase says: the plan and the code disagree, so nothing is released."""


def refuse_mismatch(purchase: Purchase, exact: Statistic | Candidates) -> None:
    """What a plan promised of a statistic holds, and its charges are whole. Errors: SpecificationMismatch."""
    spec, cost = purchase.specification, price(purchase.specification.l2_squared, purchase.specification.scale)
    statistic, cells = (exact, spec.cells) if isinstance(exact, Statistic) else (exact.statistic, exact.cells)
    many = cells if isinstance(exact, Statistic) else cells * len(exact.keys)
    holds = (
        statistic.values.dtype == np.int64
        and statistic.values.shape == (many,)
        and cells == spec.cells
        and statistic.bits == spec.bits
        and statistic.l2_squared <= spec.l2_squared
        and all(charge.rho >= cost for charge in purchase.charges)
        and len({charge.account for charge in purchase.dues}) == len(purchase.dues)
        and _is_selected(purchase)
    )
    if not holds:
        raise SpecificationMismatch


def _is_selected(purchase: Purchase) -> bool:
    """Keys that nobody listed are paid for in δ by whoever pays for their noise; of listed ones there is no δ."""
    selection, delta = purchase.selection, purchase.specification.selection
    if selection is None:
        return not delta and not purchase.selecting
    paid = all(charge.rho >= delta for charge in purchase.selecting)
    return selection.delta == delta and paid and len(purchase.selecting) == len(purchase.charges) > 0

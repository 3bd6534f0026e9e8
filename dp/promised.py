"""What a plan promised of a statistic, held against what the code made of people, before anything is drawn."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from .aggregate import Statistic
from .entry import Purchase
from .flip import ACCOUNTS
from .labels import Labels
from .selection import Candidates

Exact: TypeAlias = Statistic | Candidates | Labels
"""What noise is drawn for."""


class SpecificationMismatch(Exception):
    """A statistic is not what its purchase says: the plan and the code disagree, so nothing is released."""


def refuse_mismatch(purchase: Purchase, exact: Exact) -> None:
    """What a plan promised of a statistic holds, and its charges are whole. Errors: SpecificationMismatch."""
    spec = purchase.specification
    if isinstance(exact, Labels) is not bool(spec.flip):
        raise SpecificationMismatch
    paid = all(charge.rho >= spec.cost for charge in purchase.charges)
    paid = paid and all(charge.account.endswith(f"/{ACCOUNTS}") is bool(spec.flip) for charge in purchase.charges)
    once = len({charge.account for charge in purchase.dues}) == len(purchase.dues)
    if not (paid and once and _is_selected(purchase) and _is_shaped(purchase, exact)):
        raise SpecificationMismatch


def _is_shaped(purchase: Purchase, exact: Exact) -> bool:
    spec = purchase.specification
    if isinstance(exact, Labels):
        shaped = exact.values.dtype == np.bool_ and exact.values.ndim == 1
        return shaped and (spec.cells, spec.bits) == (1, 0) and exact.moved <= spec.moved
    statistic, cells = (exact, spec.cells) if isinstance(exact, Statistic) else (exact.statistic, exact.cells)
    many = cells if isinstance(exact, Statistic) else cells * len(exact.keys)
    return (
        statistic.values.dtype == np.int64
        and statistic.values.shape == (many,)
        and cells == spec.cells
        and statistic.bits == spec.bits
        and statistic.l2_squared <= spec.l2_squared
    )


def _is_selected(purchase: Purchase) -> bool:
    """Keys that nobody listed are paid for in δ by whoever pays for their noise; of listed ones there is no δ."""
    selection, delta = purchase.selection, purchase.specification.selection
    if selection is None:
        return not delta and not purchase.selecting
    paid = all(charge.rho >= delta for charge in purchase.selecting)
    return selection.delta == delta and paid and len(purchase.selecting) == len(purchase.charges) > 0

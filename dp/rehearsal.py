"""A purchase's own noise without a ledger, for people who do not exist: audits see what the real code would draw.

The code ensures: shape, sensitivity, noise and price are held against each other as `Ledger.pay` does; the draw is the
one that a ledger makes; what comes back holds no receipt, so that nothing which asks for one accepts it.
The caller ensures: the statistic is of people made up from declared domains. Nothing here is charged: of real people
this would be an unpaid release. Only `cleanroom.canary` may import it.
"""

from __future__ import annotations

from .aggregate import Statistic
from .entry import Purchase
from .flip import FLIP_UNIT
from .labels import Labels, packed
from .mechanisms import gaussian, randomised
from .noisy import Noisy, Receipt
from .promised import refuse_mismatch
from .scale import SCALE_UNIT, price

NO_RECEIPT = Receipt("", -1, b"", "")


def rehearsed(purchase: Purchase, statistic: Statistic | Labels) -> Noisy:
    """What a ledger would give for this statistic. Errors: SpecificationMismatch, PriceTooLow."""
    refuse_mismatch(purchase, statistic)
    spec = purchase.specification
    if isinstance(statistic, Labels):
        words = packed(randomised(statistic.values, spec.moved, spec.flip, min(each.rho for each in purchase.charges)))
        return Noisy(words, 0.0, 0, NO_RECEIPT, flip=spec.flip / FLIP_UNIT)
    charged = price(spec.l2_squared, spec.scale)
    values = gaussian(statistic.values, spec.l2_squared, spec.scale, charged)
    return Noisy(values, spec.scale / SCALE_UNIT, spec.bits, NO_RECEIPT)

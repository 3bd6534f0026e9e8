"""An account: what one owner allows to be spent on its people, and what was spent of it."""

from __future__ import annotations

from dataclasses import dataclass

from .budget import Rho
from .canonical import Leaf


class BudgetExceeded(Exception):
    """An account does not hold what a release costs. Nothing was drawn or charged. All figures are public."""

    def __init__(self, account: str, asked: Rho, left: Rho, cap: Rho) -> None:
        super().__init__(account, asked, left, cap)
        self.account, self.asked, self.left, self.cap = account, asked, left, cap


@dataclass(frozen=True, slots=True)
class Cap:
    """What an owner allows per unit, as its signed contract says it.

    epsilon, delta: as written in the contract, so that a verifier can recompute ρ.
    """

    account: str
    owner: str
    unit: str
    epsilon: str
    delta: str
    rho: Rho
    contract: str

    def as_json(self) -> Leaf:
        return {
            "account": self.account,
            "owner": self.owner,
            "unit": self.unit,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "rho": self.rho,
            "contract": self.contract,
        }


@dataclass(frozen=True, slots=True)
class Account:
    """What one owner has allowed and spent, in whole units of 10^-12.

    ahead: what may still be spent before the next head is cosigned; None where no witness is asked for.
    """

    id: str
    cap: Rho
    spent: Rho
    ahead: Rho | None = None

    @property
    def left(self) -> Rho:
        return Rho(self.cap - self.spent)

    @property
    def now(self) -> Rho:
        """What may be spent at once: what is left, as far as it may run ahead of the witnesses."""
        return self.left if self.ahead is None else Rho(min(self.left, self.ahead))

    def refuse_above(self, rho: Rho) -> None:
        """Errors: BudgetExceeded where this much is not left, or is no price."""
        if not 0 < rho <= self.left:
            raise BudgetExceeded(self.id, rho, self.left, self.cap)

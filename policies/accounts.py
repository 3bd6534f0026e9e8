"""The accounts that releases are paid from, and what their owners' contracts let be spent of each.

An owner has one account, in ρ, for all of its data sets; and one in δ, and one in ε, where it keeps any for that.
"""

from __future__ import annotations

from ..dp.account import Cap
from ..dp.accounting import rho_within
from ..dp.budget import Rho, delta_units, epsilon_units
from ..dp.flip import ACCOUNTS as RESPONSES
from .agreement import Agreement
from .contract import AllowedBudget, Contract

SELECTION = "selection"
"""Accounts of this name count δ, in whole units of 10^-18; those of `UNIT` count ρ."""
UNIT = "record"
"""What is protected: one submitted record, which its owner has made one person as well as it can."""


def account(owner: str) -> str:
    """One account per owner and unit."""
    return f"{owner}/{UNIT}"


def selection_account(owner: str) -> str:
    """What one owner allows to be spent in δ on showing keys that nobody listed."""
    return f"{owner}/{SELECTION}"


def responses_account(owner: str) -> str:
    """What one owner allows to be spent in ε on labels by randomised response."""
    return f"{owner}/{RESPONSES}"


def counts_epsilon(name: str) -> bool:
    """Whether an account of this name counts ε, and not ρ."""
    return name.endswith(f"/{RESPONSES}")


def counts_delta(name: str) -> bool:
    """Whether an account of this name counts δ, and not ρ."""
    return name.endswith(f"/{SELECTION}")


def binding(contract: Contract, owner: str) -> AllowedBudget:
    """What is written for that one of an owner's data sets which lets least be spent: it holds for all of them, since
    they have one account."""
    budgets = [rule.budget for rule in contract.dataset.values() if rule.owner == owner]
    return min(budgets, key=lambda each: rho_within(each.budget()))


def caps(agreement: Agreement) -> list[Cap]:
    """One cap per owner, by owner: the smallest that any of its data sets allows; and one in δ, and one in ε, where it
    allows any."""
    return caps_of(agreement.contract, agreement.digest)


def caps_of(contract: Contract, digest: str) -> list[Cap]:
    """As `caps`, of a contract that is not signed yet. digest: SHA-256 of its bytes, in hex."""
    found = []
    for owner in sorted({rule.owner for rule in contract.dataset.values()}):
        b = binding(contract, owner).budget()
        cap = Cap(account(owner), owner, UNIT, repr(float(b.epsilon)), repr(float(b.delta)), rho_within(b), digest)
        found.append(cap)
        budgets = [rule.budget for rule in contract.dataset.values() if rule.owner == owner]
        if kept := min(budget.selection or 0.0 for budget in budgets):
            units = Rho(delta_units(kept))
            found.append(Cap(selection_account(owner), owner, UNIT, "0.0", repr(kept), units, digest))
        if kept := min(budget.responses or 0.0 for budget in budgets):
            units = Rho(epsilon_units(kept))
            found.append(Cap(responses_account(owner), owner, UNIT, repr(kept), "0.0", units, digest))
    return found

"""How one contract goes on with the accounts of another: what an owner's people lost before is not forgotten.

An owner is the same owner where it signs with the same key, whatever it is called. What was spent of its account under
the earlier contract is charged to its account under the later one before anything else. The later contract states its
own cap, which its owner signs; where it puts several accounts into one, it may not state more than the smallest of
their caps. An owner that kept nothing for labels, or for keys that nobody listed, kept 0 of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal

from ..dp.accounting import epsilon_of
from ..dp.budget import DELTA_UNIT, EPSILON_UNIT, Delta, Rho
from ..dp.carry import Carried
from .accounts import account, caps, caps_of, responses_account, selection_account
from .agreement import Agreement
from .contract import Contract
from .sign import parse_public_key


class NotContinued(Exception):
    """A contract cannot go on with the accounts of another. rule, remedy: plain words."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(rule, remedy)
        self.rule, self.remedy = rule, remedy


@dataclass(frozen=True, slots=True)
class Ended:
    """The verified ledger of an earlier contract.

    spent: by account. size, root: of its whole log, root in hex. following: the contract it was closed for, or "".
    """

    agreement: Agreement
    spent: Mapping[str, Rho]
    size: int
    root: str
    following: str


def carried(agreement: Agreement, ended: Mapping[str, Ended]) -> list[Carried]:
    """What the ledger of this contract begins with, in the contract's order. ended: by digest. Errors: NotContinued."""
    continued = agreement.contract.continues
    for name in continued:
        if name not in ended:
            raise NotContinued("the ledger of a contract that it continues is missing", _EXPORT)
    before = [ended[name] for name in continued]
    _refuse_open(agreement, before)
    refuse_unfit(agreement, before)
    return [_carried(agreement, each) for each in before]


def refuse_unfit(agreement: Agreement, before: Sequence[Ended]) -> None:
    """No room of this contract could go on with these accounts, whatever else is brought. Errors: NotContinued."""
    _refuse_same_log(agreement.contract, before)
    _refuse_raised(agreement, before)
    _refuse_spent(agreement, before)


_EXPORT = "`passbox ledger export` of the earlier room, then `room new --continues EXPORT`"


def _carried(agreement: Agreement, ended: Ended) -> Carried:
    heirs = heirs_of(ended.agreement.contract, agreement.contract)
    charges = {later: ended.spent[earlier] for earlier, later in heirs.items() if earlier in ended.spent}
    return Carried(agreement.digest, charges, ended.agreement.digest, ended.size, ended.root)


def heirs_of(earlier: Contract, later: Contract) -> dict[str, str]:
    """Account under the earlier contract to that of the same owner under the later one."""
    owners = {parse_public_key(later.party[name].sign): name for name in later.data_parties}
    found = {name: owners.get(parse_public_key(earlier.party[name].sign)) for name in earlier.data_parties}
    heirs = {name: heir for name, heir in found.items() if heir is not None}
    kinds = (account, selection_account, responses_account)
    return {of(name): of(heir) for name, heir in heirs.items() for of in kinds}


def _refuse_open(agreement: Agreement, before: Sequence[Ended]) -> None:
    """What is still open could spend on, beside this contract."""
    for each in before:
        if each.following != agreement.digest:
            elsewhere = "went on under another contract" if each.following else "is still open"
            raise NotContinued(
                f"the ledger of {each.agreement.contract.name} {elsewhere}",
                "its operator types `passbox room close ROOM --next contract.toml`, then exports its ledger",
            )


def _refuse_same_log(contract: Contract, before: Sequence[Ended]) -> None:
    """Two logs under one name would look like a fork to whoever witnesses them."""
    if any(each.agreement.contract.room.name == contract.room.name for each in before):
        raise NotContinued(
            f"the earlier ledger is called {contract.room.name} as well",
            "the operator makes keys for a room of another name: `passbox keys new NAME --room ORIGIN`",
        )


def _refuse_raised(agreement: Agreement, before: Sequence[Ended]) -> None:
    """An account that an owner of an earlier contract did not have there had a cap of 0."""
    allowed = {cap.account: cap.rho for cap in caps(agreement)}
    merged: dict[str, list[Rho]] = {}
    for each in before:
        theirs = {cap.account: cap.rho for cap in caps(each.agreement)}
        for earlier, later in heirs_of(each.agreement.contract, agreement.contract).items():
            merged.setdefault(later, []).append(theirs.get(earlier, Rho(0)))
    for name, earlier_caps in merged.items():
        least = min(earlier_caps)
        if len(earlier_caps) > 1 and allowed.get(name, 0) > least:
            raise NotContinued(
                f"it puts {len(earlier_caps)} accounts of {name} into one, with a larger cap than the smallest of them",
                "agree on the smallest cap" if least else "one of the earlier contracts keeps none of it: keep none",
            )


def _refuse_spent(agreement: Agreement, before: Sequence[Ended]) -> None:
    """What was spent already must fit under the cap that goes on."""
    left = {cap.account: int(cap.rho) for cap in caps(agreement)}
    for each in before:
        for earlier, later in heirs_of(each.agreement.contract, agreement.contract).items():
            left[later] = left.get(later, 0) - each.spent.get(earlier, 0)
    for name, rho in left.items():
        if rho < 0:
            raise NotContinued(f"more of {name} was spent than this contract allows", "agree on a larger budget")


# -- what an owner allows in all -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Together:
    """What an owner allows over several contracts. contracts: names of the others.

    delta: what the contract states of it. selecting: how much of that all of them keep for showing keys that nobody
    listed; others: without this one. epsilon: of all, at what is left of delta, labels by randomised response included;
    infinite where nothing is. stated: what the contract says of it.
    """

    contracts: tuple[str, ...]
    epsilon: float
    delta: Delta
    selecting: Delta
    others: Delta
    stated: float | None

    @property
    def said(self) -> bool:
        """Whether the contract states at least the sum, or there is none to state."""
        return not self.contracts or (self.stated is not None and self.stated >= self.epsilon)


def together(contract: Contract, party: str, signed: Mapping[str, Contract], data: str) -> Together:
    """What an owner allows with this contract and those it signed before, by digest. data: this contract's digest.

    A contract that another of them continues counts once, with the one that goes on. Noise adds up in ρ, and δ of
    selections and ε of labels beside it: all together are (ε(ρ, δ - selections) + labels, δ)-private (`dp.selection`,
    `dp.flip`).
    """
    known = {**signed, data: contract}
    gone_on = {name for each in known.values() for name in each.continues}
    before = {name: each for name, each in signed.items() if name not in gone_on and name != data}
    mine = parse_public_key(contract.party[party].sign)
    shares = {name: _allowed_to(each, mine) for name, each in before.items()}
    own = _allowed_by(contract, {party})
    others = sum(share.selecting for share in shares.values())
    labels = (own.responding + sum(share.responding for share in shares.values())) / EPSILON_UNIT
    total = Rho(own.rho + sum(share.rho for share in shares.values()))
    rules = [rule.budget for rule in contract.dataset.values() if rule.owner == party]
    delta = min(budget.delta for budget in rules)
    left = _less(delta, own.selecting + others)
    stated = [budget.together for budget in rules if budget.together is not None]
    return Together(
        tuple(sorted(before[name].name for name, share in shares.items() if share.rho)),
        epsilon_of(total, left) + labels if left > 0 else math.inf,
        Delta(delta),
        Delta((own.selecting + others) / DELTA_UNIT),
        Delta(others / DELTA_UNIT),
        min(stated) if stated else None,
    )


def _less(delta: float, units: int) -> Delta:
    """A δ as it is written, less so many units of 10^-18: small differences of float64 would lose digits."""
    return Delta(float(Decimal(repr(delta)) - Decimal(units) / DELTA_UNIT))


@dataclass(frozen=True, slots=True)
class _Share:
    """What an owner allows under one contract. selecting: δ, in whole units of 10^-18. responding: ε of labels, in
    whole units of 10^-12."""

    rho: int
    selecting: int
    responding: int


def _allowed_to(contract: Contract, key: object) -> _Share:
    """What the holder of a key allows under a contract."""
    return _allowed_by(contract, {n for n in contract.data_parties if parse_public_key(contract.party[n].sign) == key})


def _allowed_by(contract: Contract, owners: Set[str]) -> _Share:
    found = caps_of(contract, "")
    kinds = (account, selection_account, responses_account)
    return _Share(*(sum(cap.rho for cap in found if cap.account in map(of, owners)) for of in kinds))

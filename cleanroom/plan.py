"""What a job would cost and how exact it would be, before anything is paid or touched.

Read are the contract, public sizes and the ledger's totals; no table, no match.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..dp.account import Account
from ..dp.accounting import attack_auc, epsilon_of, largest_job, rho_within
from ..dp.budget import DELTA_UNIT, EPSILON_UNIT, Budget, Epsilon, Rho, said_down
from ..dp.entry import Charge
from ..dp.ledger import Ledger
from ..dp.scale import smallest_scale
from ..policies.accounts import binding, counts_epsilon
from ..policies.check import Allowed, Refused, check
from ..policies.jobs.lookalike import GROUPS
from ..policies.price import delta_of_job
from ..policies.request import Request
from ..policies.sentences import names
from .few import warned
from .measure.kinds import measure_of, shape_of
from .measure.measure import Planned
from .room import Room

EXPLAINED_EPSILONS = (1.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job means for one data set. Figures in ε at the δ of its owner's account, but for `largest_after`: the
    largest job of this kind that would still fit. rho: still to be paid, in whole units of 10^-12; left: of the cap,
    now: of it, what may be spent before the next cosigning. fits_cosigned: whether it fits once a witness has cosigned
    all there is. labels: whether it is of what is kept for labels by randomised response, counted in ε alone."""

    dataset: str
    owner: str
    rho: Rho
    spent: float
    spent_after: float
    cap: float
    largest_after: float
    left: Rho
    now: Rho
    fits_cosigned: bool
    labels: bool = False

    @property
    def fits(self) -> bool:
        return self.rho <= self.now

    @property
    def window(self) -> bool:
        """What binds is not the cap, but how far spending may run ahead of the witnesses."""
        return self.now < self.left


class Unaffordable(Exception):
    """The budget does not hold a job. Decided from public figures, before data is touched; nothing was charged.

    largest: the largest ε of such a job that fits now. cosigned: the same once a witness has cosigned, or 0.
    """

    def __init__(self, cost: Cost, asked: float, largest: float, cosigned: float) -> None:
        super().__init__(cost, asked, largest, cosigned)
        self.dataset, self.largest, self.cosigned = cost.dataset, largest, cosigned
        window = " before the next head of the ledger is cosigned" if cosigned > largest else ""
        window = window or (" by the share of the cap that a contract lets run ahead" if cost.window else "")
        kept = f"{cost.cap:g} for labels" if cost.labels else f"{cost.cap:g}"
        self.message = (
            f"{cost.dataset} has spent ε {cost.spent:.4g} of {kept}; this job asks ε {asked:g}, "
            f"the largest that still fits{window} is ε {largest:g}"
        )
        first = f"ask epsilon = {largest:g}, or " if largest > 0 else ""
        self.hint = first + self._else(cost)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}"

    def _else(self, cost: Cost) -> str:
        """Cosigning is offered where it helps."""
        if cost.window and self.cosigned <= self.largest:
            return "ask twice, with a cosigning between; only another contract's `room.cosign.ahead` makes it larger"
        if not cost.window:
            return "agree on a larger budget; `passbox ledger show` lists what was spent"
        if cost.fits_cosigned:
            return f"let a witness cosign, then it fits: {_COSIGN}"
        return f"at most {self.cosigned:g} once a witness has cosigned: {_COSIGN}"


@dataclass(frozen=True, slots=True)
class SelectionCost:
    """What a job means for the δ that an owner keeps for keys that nobody listed. Whole units of 10^-18.

    asked: still to be paid. now: what of the rest may be spent before the next cosigning.
    """

    dataset: str
    owner: str
    asked: int
    spent: int
    cap: int
    now: int

    @property
    def fits(self) -> bool:
        return self.asked <= self.now


class SelectionSpent(Exception):
    """What is kept for keys that nobody listed does not hold a job's δ. Public figures alone; nothing was charged.

    largest: the largest δ of six digits that fits now.
    """

    def __init__(self, cost: SelectionCost) -> None:
        super().__init__(cost)
        self.dataset, self.largest = cost.dataset, said_down(cost.now / DELTA_UNIT)
        self.message = (
            f"{cost.dataset} keeps δ {cost.cap / DELTA_UNIT:g} for keys that nobody listed, and has spent "
            f"{cost.spent / DELTA_UNIT:g} of it; this job asks {cost.asked / DELTA_UNIT:g}"
        )
        window = ", and more once a witness has cosigned" if cost.now < cost.cap - cost.spent else ""
        first = f"write selection = {self.largest:g} in the job{window}; or " if cost.now else ""
        self.hint = f"{first}list the values in a contract, or agree on one that keeps more"

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}"


_COSIGN = "`passbox ledger export`, `ledger cosign`, `ledger accept`"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job would cost and how exact it would be. paid: every part was paid before, so it costs nothing.

    precision: of each number, under an assumption, the half width of a 95 % interval. worst_case: the best test for one
    person's presence, as its AUC, at this job's ε and at others. largest: the largest ε at which a job of this kind
    fits now; largest_cosigned: the same once a witness has cosigned all there is; None where the contract names no
    witness. notes: what the numbers leave out, by the bounds that were declared and asked. selections: what showing
    keys that nobody listed costs, of the accounts that pay. warnings: what deserves a second look before it is run.
    """

    allowed: Allowed
    costs: tuple[Cost, ...]
    precision: tuple[Planned, ...]
    worst_case: tuple[tuple[float, float], ...]
    largest: float
    largest_cosigned: float | None
    paid: bool
    notes: tuple[str, ...] = ()
    selections: tuple[SelectionCost, ...] = ()
    warnings: tuple[str, ...] = ()

    def unaffordable(self) -> Unaffordable | SelectionSpent | None:
        """Why it does not fit, first by what no cosigning would mend; None where it fits."""
        short = sorted((cost for cost in self.costs if not cost.fits), key=lambda cost: cost.fits_cosigned)
        if short:
            asked = self.allowed.request.job.epsilon
            return Unaffordable(short[0], asked, self.largest, self.largest_cosigned or 0.0)
        return next((SelectionSpent(cost) for cost in self.selections if not cost.fits), None)

    def refuse_unaffordable(self) -> None:
        """Errors: Unaffordable, SelectionSpent."""
        if (error := self.unaffordable()) is not None:
            raise error


def plan(room: Room, request: Request) -> Plan:
    """What a job would cost and how exact it would be. Charges nothing, changes nothing. Errors: Refused."""
    allowed = check(room.agreement, request, room.submitted(), shape_of, room.today())
    with room.ledger() as ledger:
        _refuse_used(ledger, allowed)
        _refuse_other_readers(ledger, allowed)
        _refuse_other_learners(ledger, allowed)
        accounts = ledger.accounts()
        due, selections = _due(ledger, allowed), _selections(room, ledger, allowed, accounts)
        paid = all(ledger.paid(purchase) is not None for purchase in allowed.purchases)
    charged = [accounts[charge.account] for charge, _ in due]
    cosigned = min(_cosigned(room, account) for account in charged)
    return Plan(
        allowed,
        tuple(_cost(room, allowed, charge, rho, accounts[charge.account]) for charge, rho in due),
        measure_of(allowed.request.job.kind).precision(room, allowed),
        _worst_case(room, allowed),
        _largest(room, allowed, min(account.now for account in charged)),
        _largest(room, allowed, cosigned) if room.contract.window() else None,
        paid,
        measure_of(allowed.request.job.kind).said(room, allowed),
        selections,
        warned(room, allowed),
    )


def _refuse_used(ledger: Ledger, allowed: Allowed) -> None:
    """A signed job is for the submissions it was first paid for on. Errors: Refused."""
    bound = ledger.bound(allowed.request.digest)
    if bound not in (None, allowed.purchases[0].specification.datasets):
        serial = allowed.request.job.serial + 1
        raise Refused(
            "serial", "this signed job was run on earlier submissions", f"write serial = {serial} in it and sign again"
        )


def _refuse_other_readers(ledger: Ledger, allowed: Allowed) -> None:
    """Two parts that one charge pays for have the same readers, from the first time on. Errors: Refused."""
    for purchase in allowed.purchases:
        asked = purchase.context.recipients
        first = ledger.first_readers(purchase.beside) if purchase.beside else None
        if first is None or asked == first or set(asked) <= set(ledger.first_readers(purchase.key) or ()):
            continue
        raise Refused(
            "recipients",
            f"this was asked for {names(first)} before, and one charge pays for both of its parts for the same readers",
            f"ask another epsilon for all of {names({*first, *asked})} together",
        )


def _refuse_other_learners(ledger: Ledger, allowed: Allowed) -> None:
    """One charge pays for one look at those held out: of the model that was best then. Errors: Refused."""
    for purchase in allowed.purchases:
        looked = ledger.covered_by(purchase.beside) if purchase.beside else None
        if looked not in (None, purchase.key):
            raise _looked_at(allowed)


def _looked_at(allowed: Allowed) -> Refused:
    """Learners share their sums with others that are compared; one that is not, with its own other evaluation."""
    once = "and one charge pays for one look at the held out"
    if any(purchase.specification.statistic == GROUPS for purchase in allowed.purchases):
        rule = f"other learners were compared, or others evaluated, at this epsilon before, {once}"
        return Refused(
            "learners", rule, "name the same learners in the same order, strata as then, or ask another epsilon"
        )
    rule = f"this was evaluated at this epsilon before, with strata or without them, {once}"
    return Refused("strata", rule, "leave strata as it was then, or ask another epsilon")


def _due(ledger: Ledger, allowed: Allowed) -> list[tuple[Charge, Rho]]:
    """What of a job is still to be paid by each account: a new reader pays only for what is newly exposed."""
    due: dict[str, tuple[Charge, Rho]] = {}
    for purchase in allowed.purchases:
        owed = ledger.due(purchase)
        for charge in purchase.charges:
            before = due.get(charge.account, (charge, Rho(0)))[1]
            due[charge.account] = charge, Rho(before + (charge.rho if charge in owed else 0))
    return list(due.values())


def _selections(
    room: Room, ledger: Ledger, allowed: Allowed, accounts: Mapping[str, Account]
) -> tuple[SelectionCost, ...]:
    """What every account of selections is still charged."""
    found = []
    for purchase in allowed.purchases:
        due = ledger.due(purchase)
        for charge in purchase.selecting:
            account, owner = accounts[charge.account], room.contract.dataset[charge.dataset].owner
            asked = charge.rho if charge in due else 0
            found.append(SelectionCost(charge.dataset, owner, asked, account.spent, account.cap, account.now))
    return tuple(found)


def _cost(room: Room, allowed: Allowed, charge: Charge, rho: Rho, account: Account) -> Cost:
    rule, after = room.contract.dataset[charge.dataset], Rho(account.spent + rho)
    budget = binding(room.contract, rule.owner).budget()
    if counts_epsilon(charge.account):
        figures = (account.spent / EPSILON_UNIT, after / EPSILON_UNIT, account.cap / EPSILON_UNIT)
    else:
        figures = (epsilon_of(account.spent, budget.delta), epsilon_of(after, budget.delta), budget.epsilon)
    return Cost(
        charge.dataset,
        rule.owner,
        rho,
        *figures,
        largest_after=_largest(room, allowed, Rho(max(0, account.now - rho))),
        left=account.left,
        now=account.now,
        fits_cosigned=rho <= _cosigned(room, account),
        labels=counts_epsilon(charge.account),
    )


def _cosigned(room: Room, account: Account) -> Rho:
    """What could be spent at once if a witness had just cosigned the newest head."""
    window = room.contract.window()
    return min(account.left, window.most(account.cap)) if window else account.left


def _largest(room: Room, allowed: Allowed, left: Rho) -> float:
    """The largest ε, as it is said, at which a job of this kind costs no more than what is left; 0 where none does."""
    if allowed.purchases[0].specification.flip:
        return said_down(left / EPSILON_UNIT)
    epsilon = largest_job(left, delta_of_job(room.contract, allowed.request.job))
    if epsilon <= 0:
        return 0.0
    try:
        smallest_scale(allowed.purchases[0].specification.l2_squared, _rho(room, allowed, epsilon))
    except ValueError:
        return 0.0
    return epsilon


def _rho(room: Room, allowed: Allowed, epsilon: float) -> Rho:
    return rho_within(Budget(Epsilon(epsilon), delta_of_job(room.contract, allowed.request.job)))


def _worst_case(room: Room, allowed: Allowed) -> tuple[tuple[float, float], ...]:
    """How well a feature crafted for one person would tell whether that person is on the list."""
    epsilons = sorted({allowed.request.job.epsilon, *EXPLAINED_EPSILONS})
    if allowed.purchases[0].specification.flip:
        return tuple((epsilon, attack_auc(Rho(0), epsilon)) for epsilon in epsilons)
    return tuple((epsilon, attack_auc(_rho(room, allowed, epsilon))) for epsilon in epsilons)

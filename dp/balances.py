"""Balances: what every account of a ledger holds, what was charged to it for which release, and what may be spent now.

The code ensures: no account goes above its cap: integers, checked here and again by SQLite; nothing is spent further
ahead of the witnesses than the window allows; no account is charged twice for one release.
The caller ensures: what changes a balance is called inside a transaction (`dp.storage`), in which the entry that says
so is logged; `seen` was read in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .account import Account, Cap
from .budget import Rho
from .canonical import Json
from .entry import Charge, Purchase
from .storage import Storage
from .window import Window, WindowFull


class Balances:
    """window: how far spending may run ahead of witnesses; None where none is asked for.

    seen, throughout: witness to the size of the largest head that it cosigned. Errors, of everything here: as of
    `Storage`.
    """

    def __init__(self, storage: Storage, window: Window | None) -> None:
        self._storage, self._window = storage, window

    def all(self, seen: Mapping[str, int]) -> dict[str, Account]:
        """Every account, by its name."""
        names = [name for (name,) in self._storage.rows("select id from account order by id")]
        return {name: self.of(name, seen) for name in names}

    def of(self, name: str, seen: Mapping[str, int]) -> Account:
        """One account, as empty as can be where there is none."""
        row = self._storage.row("select cap, spent from account where id = ?", name)
        cap, spent = row or (0, 0)
        return Account(name, Rho(cap), Rho(spent), self._ahead(name, Rho(cap), seen))

    def _ahead(self, account: str, cap: Rho, seen: Mapping[str, int]) -> Rho | None:
        """What may still be spent ahead of the entries that witnesses vouch for."""
        if self._window is None:
            return None
        row = self._storage.row(
            """select sum(rho) from (select account, rho, seq from charge union all select account, rho, seq from lost)
               where account = ? and seq >= ?""",
            account,
            self._window.witnessed(seen),
        )
        return Rho(max(0, self._window.most(cap) - (int(row[0] or 0) if row else 0)))

    def due(self, purchase: Purchase) -> tuple[Charge, ...]:
        """The charges of a purchase that were not yet paid for its key."""
        paid = {account for (account,) in self._storage.rows("select account from charge where key = ?", purchase.key)}
        return tuple(charge for charge in purchase.dues if charge.account not in paid)

    def open(self, cap: Cap) -> None:
        """A new account, of which nothing is spent."""
        self._storage.rows("insert into account(id, cap) values(?, ?)", cap.account, cap.rho)

    def charge(self, charge: Charge, seen: Mapping[str, int]) -> dict[str, Json]:
        """Spend; the charge as an entry holds it. Errors: BudgetExceeded, WindowFull."""
        account, rho = self.of(charge.account, seen), charge.rho
        account.refuse_above(rho)
        if account.ahead is not None and rho > account.ahead:
            raise WindowFull(account.id, rho, account.ahead)
        self._spend(account.id, rho)
        return {"account": account.id, "dataset": charge.dataset, "rho": rho, "before": account.spent}

    def record(self, key: str, charges: Sequence[Charge], seq: int) -> None:
        """What was charged for a release, by which entry."""
        for charge in charges:
            self._storage.rows("insert into charge values(?, ?, ?, ?)", seq, charge.account, key, charge.rho)

    def carry(self, charges: Mapping[str, Rho], seen: Mapping[str, int]) -> dict[str, Rho]:
        """Spend what was spent elsewhere; what each account had spent before. Errors: BudgetExceeded."""
        before = dict[str, Rho]()
        for name, rho in charges.items():
            if rho:
                account = self.of(name, seen)
                account.refuse_above(rho)
                self._spend(name, rho)
                before[name] = account.spent
        return before

    def lose(self, charges: Mapping[str, Rho], seq: int) -> None:
        """What of that may have been spent by entries that were lost counts as spent ahead of the witnesses."""
        for account, rho in charges.items():
            if rho:
                self._storage.rows("insert into lost values(?, ?, ?)", account, rho, seq)

    def _spend(self, account: str, rho: Rho) -> None:
        self._storage.rows("update account set spent = spent + ? where id = ?", rho, account)

"""What a job computes of people, seen on its way into the ledger, with the noise of a first run held for the next."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from passbox.dp.aggregate import Statistic
from passbox.dp.entry import Purchase
from passbox.dp.ledger import Ledger
from passbox.dp.noisy import Noisy


@dataclass
class Drawn:
    """What went into `Ledger.pay`, exact, and what came out; later runs get the same noise again."""

    exact: dict[str, list[tuple[Purchase, Statistic]]] = field(default_factory=dict)
    noisy: dict[str, Noisy] = field(default_factory=dict)


@contextlib.contextmanager
def spying(monkeypatch: pytest.MonkeyPatch, drawn: Drawn, *, anew: bool = False) -> Iterator[None]:
    """Pays as usual, and keeps the exact statistic; where one was drawn before, its noisy bytes are held fixed.

    anew: nothing counts as paid before, so that a job asks for all of it again.
    """
    honest = Ledger.pay

    def pay(ledger: Ledger, purchase: Purchase, statistic: Statistic) -> Noisy:
        name = purchase.specification.statistic
        drawn.exact.setdefault(name, []).append((purchase, statistic))
        return drawn.noisy.setdefault(name, honest(ledger, purchase, statistic))

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "pay", pay)
        if anew:
            patch.setattr(Ledger, "paid", lambda *_: None)
        yield

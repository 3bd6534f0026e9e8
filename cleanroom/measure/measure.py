"""What a kind of job is in the room: what it computes from people, what its release holds, how exact it will be.

The other half, what may be asked and what is drawn, is the job's class in `policies.jobs`. A kind is a file here with
one `Measure`, listed in `measure.kinds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from ...dp.aggregate import Statistic
from ...dp.entry import Purchase
from ...dp.ledger import Ledger
from ...dp.noisy import Noisy
from ...policies.check import Allowed
from ...policies.contract import Contract
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from ..document import Document
from ..room import Room

Precision: TypeAlias = tuple[str, str, float]
"""What, under which assumption, and the half width of its 95 % interval."""


class Planned(NamedTuple):
    """The same, and of which table; "" where there is one. open_from: the half width from which on it is not known at
    all: all that is possible, or as good as that, lies in the interval."""

    number: str
    given: str
    half: float
    table: str = ""
    open_from: float = math.inf

    @property
    def open(self) -> bool:
        return self.half >= self.open_from


OPEN_SHARE = 0.5 - 1e-9
"""`open_from` of a share whose interval ends at 0 and at 1."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a release: JSON-able values, and files by name."""

    values: Mapping[str, object]
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Made:
    """What a job gave. noisy: the paid statistics, in the order of the job's draws."""

    noisy: tuple[Noisy, ...]
    contents: Contents


Pay: TypeAlias = Callable[[Purchase, Callable[[], Statistic]], Noisy]
"""Finds a paid statistic, or makes the exact one and pays for its noisy twin."""


def paying(ledger: Ledger) -> Pay:
    def pay(purchase: Purchase, exact: Callable[[], Statistic]) -> Noisy:
        return ledger.paid(purchase) or ledger.pay(purchase, exact())

    return pay


class Measure(Protocol):
    """document: the shape of its release.json. files: what a release holds beside that."""

    @property
    def document(self) -> type[Document]: ...

    @property
    def files(self) -> frozenset[str]: ...

    def statistics(self, document: Mapping[str, Any]) -> Sequence[str]:
        """The statistics that a release's receipt must hold, in order."""

    def shape(self, contract: Contract, job: Job, statistic: str) -> Shape:
        """One of its statistics as the contract alone fixes it."""

    def make(self, room: Room, allowed: Allowed, ledger: Ledger) -> Made:
        """Pay for its statistics, or find them paid, and make of them what the release holds.

        The exact aggregate goes into `Ledger.pay` and no further; what follows sees only what came back noisy.
        Killed in between and typed again, it goes on from what was stored.
        """

    def figures(self, document: Mapping[str, Any], noisy: Sequence[Noisy]) -> Mapping[str, object]:
        """The figures of a release once more, from its noisy integers: what its reader compares them with."""

    def said(self, room: Room, allowed: Allowed) -> tuple[str, ...]:
        """What its numbers leave out, in sentences."""

    def precision(self, room: Room, allowed: Allowed) -> tuple[Planned, ...]:
        """How exact its numbers will be: one row for a number of fixed noise, a table of assumptions for others."""

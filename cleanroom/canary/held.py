"""Noise that is held: what a job gives, and what it hands in, in worlds that get the same noisy numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ...dp.aggregate import Statistic
from ...dp.entry import Purchase
from ...dp.labels import Labels
from ...dp.noisy import Noisy
from ...dp.rehearsal import rehearsed

Exact = TypeVar("Exact", Statistic, Labels)
World = TypeVar("World")


class Held:
    """Pays as a room does, once: later worlds are told what the first was. exact: handed in last, by statistic."""

    def __init__(self) -> None:
        self._noisy: dict[str, Noisy] = {}
        self.exact: dict[str, bytes] = {}

    def pay(self, purchase: Purchase, exact: Callable[[], Exact]) -> Noisy:
        statistic = exact()
        self.exact[purchase.specification.statistic] = statistic.values.tobytes()
        return self._noisy.setdefault(purchase.key, rehearsed(purchase, statistic))


def follows(given: Callable[[World, Held], bytes], worlds: Sequence[World]) -> bool:
    """Whether what is given follows from the noisy numbers alone: the same in all worlds, to the last byte."""
    held = Held()
    first, *others = [given(world, held) for world in worlds]
    return all(other == first for other in others)


def moves(given: Callable[[World, Held], object], one: World, other: World) -> set[str]:
    """Which statistics differ between two worlds."""
    held = Held()
    given(one, held)
    before = dict(held.exact)
    given(other, held)
    return {name for name, exact in held.exact.items() if exact != before[name]}

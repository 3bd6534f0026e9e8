"""Any order of everything: the machine of tests/dp/test_ledger_orders.py, with crashes and restored copies besides.

    python tests/torture/orders.py --steps 100000

A crash is a copy of the ledger's files as they lie there, with the connection open, and between any two statements of a
payment; the ledger goes on from the copy. A restored copy is one that was put away and brought back later. Its own
books are in order, and nobody who has only the copy can tell: that is what cosigning is for. Who remembers what readers
saw, or a head of the log, can tell at once; both are checked here. Told of a head that a witness cosigned, the copy
itself refuses.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import rig
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from passbox.dp.account import BudgetExceeded
from passbox.dp.ledger import Ledger
from passbox.dp.note import Checkpoint, verify_checkpoint
from passbox.dp.storage import Storage
from passbox.dp.tree import leaf_hash, root_of
from passbox.dp.window import Forked, RolledBack

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where ledgers lie here, whose disk is not what is tried."""


def beside(name: str) -> ModuleType:
    """A module of tests/dp, where modules name their neighbours by a dot."""
    package = sys.modules.setdefault("dp_tests", ModuleType("dp_tests"))
    package.__path__ = [str(Path(__file__).parents[1] / "dp")]
    return importlib.import_module(f"dp_tests.{name}")


AnyOrder: Any = beside("test_ledger_orders").AnyOrder
holds_together: Any = beside("reading").holds_together
Desk: Any = beside("conftest").Desk


class Crash(BaseException):
    """The process is no more."""


class Orders(AnyOrder):  # type: ignore[misc]
    """seen: what readers were shown, by statistic. heads: every head that the log had, and somebody saw. cosigned: the
    newest one that a witness has cosigned, and the ledger was told of."""

    steps = crashes = restores = 0
    seen: dict[str, str]
    heads: list[Checkpoint]
    kept: tuple[Path, int] | None = None
    cosigned: Checkpoint | None = None

    place: Path
    new_desk = staticmethod(lambda folder: Desk(folder / "ledger.sqlite"))
    folders = staticmethod(lambda: Path(tempfile.mkdtemp(dir=Orders.place)))

    def copied(self) -> Path:
        """The ledger's files as they lie there."""
        folder = self.folders()
        for path in self.desk.path.parent.iterdir():
            if path.is_file() and not path.name.endswith("-shm"):
                shutil.copy(path, folder)
        return folder / self.desk.path.name

    def go_on_from(self, path: Path) -> None:
        self.ledger.close()
        for made in self.desk.opened:
            made.close()
        self.desk.opened.clear()
        self.desk.path = path
        self.ledger = self.desk.open()

    def shown(self, ledger: Ledger, name: str) -> str:
        noisy = ledger.paid(self.desk.purchase(name, accounts=tuple(sorted(self.payers[name]))))
        return rig.what(noisy) if noisy else ""

    @rule(point=st.integers(0, 40), name=st.sampled_from("abcde"))
    def crash_while_paying(self, point: int, name: str) -> None:
        """Before the given statement; past the last one it does not crash."""
        Orders.crashes += 1
        real, copies = Storage.rows, list[Path]()

        def deadly(storage: Storage, statement: str, *values: object) -> Any:
            nonlocal point
            if point == 0:
                copies.append(self.copied())
                point = -1
                raise Crash
            point -= 1
            return real(storage, statement, *values)

        Storage.rows = deadly  # type: ignore[assignment,method-assign]
        try:
            self.ledger.pay(self.desk.purchase(name), self.desk.count())
        except (Crash, BudgetExceeded):
            pass
        finally:
            Storage.rows = real  # type: ignore[method-assign]
        if copies:
            self.go_on_from(copies[0])
        else:
            self.pay(name, ("advertiser",), again=True)

    @rule()
    def crash(self) -> None:
        Orders.crashes += 1
        self.go_on_from(self.copied())

    @rule()
    def put_a_copy_away(self) -> None:
        self.kept = (self.copied(), self.entries)

    @precondition(lambda self: self.kept is not None)
    @rule()
    def bring_the_copy_back(self) -> None:
        """Alone it is in order; what was seen since it was made gives it away; and it draws anew what it forgot."""
        Orders.restores += 1
        assert self.kept is not None
        path, entries = self.kept
        self.kept = None
        with Ledger(path, self.desk.key, self.desk.vault, lambda: self.desk.now) as copy:
            holds_together(copy, self.desk.key.vkey)
            leaves = copy.leaves()
            behind = [
                h for h in self.heads if h.size > len(leaves) or root_of(map(leaf_hash, leaves[: h.size])) != h.root
            ]
            lost = [name for name in self.seen if self.shown(copy, name) == ""]
            assert bool(behind) == (self.entries > entries)
            assert behind or not lost
            for name in lost:
                if not copy.paid(self.desk.purchase(name, accounts=("advertiser",))):
                    self.draws_anew(copy, name)
            self.meets_its_witness(copy)

    def meets_its_witness(self, copy: Ledger) -> None:
        """Refused as soon as the copy learns what was cosigned: it is behind, or another log."""
        if self.cosigned is None:
            return
        leaves, told = copy.leaves(), self.cosigned
        name = "never asked before"
        if told.size > len(leaves):
            with pytest.raises(RolledBack):
                copy.witness("officer", told.size, told.root, "")
            with pytest.raises(RolledBack):
                copy.pay(self.desk.purchase(name), self.desk.count())
            assert copy.leaves() == leaves
        elif root_of(map(leaf_hash, leaves[: told.size])) != told.root:
            with pytest.raises(Forked):
                copy.witness("officer", told.size, told.root, "")
        else:
            copy.witness("officer", told.size, told.root, "")

    @rule(at=st.integers(0, 100))
    def cosign(self, at: int) -> None:
        """A witness cosigns some head, perhaps late, and the ledger is told."""
        head = self.heads[min(at, len(self.heads) - 1)]
        self.ledger.witness("officer", head.size, head.root, "")
        if self.cosigned is None or head.size > self.cosigned.size:
            self.cosigned = head

    @rule(name=st.sampled_from("abcde"), pays=st.booleans())
    def roll_back(self, name: str, pays: bool) -> None:
        """All of it in a row, which chance alone would seldom do."""
        self.put_a_copy_away()
        if pays:
            self.pay(name, ("advertiser",))
        else:
            self.deny()
        self.look()
        self.cosign(100)
        self.bring_the_copy_back()

    def draws_anew(self, copy: Ledger, name: str) -> None:
        known = copy._storage.row("select 1 from release where key = ?", self.desk.purchase(name).key)
        try:
            noisy = copy.pay(self.desk.purchase(name), self.desk.count())
        except BudgetExceeded:
            return
        assert known or rig.what(noisy) != self.seen[name]

    @rule(name=st.sampled_from("abcde"), owners=st.sampled_from([("advertiser",), ("shop",), ("advertiser", "shop")]))
    def pay(self, name: str, owners: tuple[str, ...], again: bool = False) -> None:
        """again: it may be paid for already, without the model's knowing."""
        if again:
            self.learn(name)
        AnyOrder.pay(self, name, owners)
        if self.payers.get(name):
            assert self.seen.setdefault(name, self.shown(self.ledger, name)) == self.shown(self.ledger, name)

    def learn(self, name: str) -> None:
        """Bring the model up to date after a payment that did not crash."""
        if self.ledger.paid(self.desk.purchase(name)) and "advertiser" not in self.payers.get(name, set()):
            self.payers.setdefault(name, set()).add("advertiser")
            self.spent["advertiser"] += self.desk.cost
            self.entries += 1

    @invariant()
    def is_seen(self) -> None:
        Orders.steps += 1
        self.look()

    def look(self) -> None:
        """Somebody sees the newest head."""
        if not hasattr(self, "heads"):
            self.heads, self.seen = [], {}
        head = verify_checkpoint(self.ledger.checkpoint(), self.desk.key.vkey)
        if not self.heads or head.size > self.heads[-1].size:
            self.heads.append(head)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            super().teardown()
        for folder in self.place.iterdir():
            shutil.rmtree(folder, ignore_errors=True)


def torture(steps: int, *, shrink: bool = True, fixed: bool = False, say: Callable[..., Any] = print) -> None:
    """Errors: whatever does not hold. fixed: the same orders in every run."""
    Orders.steps = Orders.crashes = Orders.restores = 0
    with tempfile.TemporaryDirectory(prefix="passbox-orders-", dir=MEMORY) as place:
        Orders.place = Path(place)
        while Orders.steps < steps:
            run_state_machine_as_test(Orders, settings=_settings(steps - Orders.steps, shrink, fixed))
            say(f"{Orders.steps} steps, {Orders.crashes} crashes, {Orders.restores} restored copies", flush=True)


def _settings(steps: int, shrink: bool, fixed: bool) -> settings:
    return settings(
        max_examples=max(5, min(200, steps // 50)),
        stateful_step_count=50,
        deadline=None,
        database=None,
        derandomize=fixed,
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        suppress_health_check=list(HealthCheck),
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=int, default=100_000)
    chosen = options.parse_args()
    started = time.monotonic()
    torture(chosen.steps)
    print(
        f"{Orders.steps} steps, {Orders.crashes} crashes, {Orders.restores} copies restored: no violation; "
        f"{time.monotonic() - started:.0f} s"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Many processes, let go at once: a budget that fits five pays for five, and one statistic is drawn once.

python tests/torture/races.py --racers 64 --times 20
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import rig

FITS = 5


def let_go(racers: int, act: Callable[[int], object], plant: rig.Plant) -> int:
    """Do something in so many processes at once; how many of them failed."""
    gate, hold = os.pipe()

    def runner(number: int) -> Callable[[], None]:
        def run() -> None:
            os.close(hold)
            os.read(gate, 1)
            act(number)

        return run

    children = [rig.child(runner(number), plant) for number in range(racers)]
    os.close(gate)
    os.close(hold)
    return sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children)


def for_a_budget(racers: int, plant: rig.Plant = rig.nothing) -> list[str]:
    """All ask for something else, at a moment of their own within some milliseconds; five fit."""

    def act(path: Path, journal: Path, number: int) -> None:
        time.sleep(random.Random(number).uniform(0, 0.02))
        with rig.open_ledger(path) as ledger:
            rig.try_to_spend(ledger, number, rig.journal_at(journal))

    return raced(racers, act, plant, expected=min(racers, FITS))


def for_one_statistic(racers: int, plant: rig.Plant = rig.nothing) -> list[str]:
    """All ask for the same."""

    def act(path: Path, journal: Path, number: int) -> None:
        with rig.open_ledger(path) as ledger:
            rig.spend(ledger, 7, rig.journal_at(journal))

    return raced(racers, act, plant, expected=1)


def raced(racers: int, act: Callable[[Path, Path, int], object], plant: rig.Plant, expected: int) -> list[str]:
    """What is wrong after a race."""
    with tempfile.TemporaryDirectory(prefix="passbox-race-") as folder:
        path, journals = Path(folder) / "ledger.sqlite", [Path(folder) / f"seen-{n}" for n in range(racers)]
        if rig.done(lambda: rig.create(path, FITS), plant):
            return ["no ledger could be made"]
        failed = let_go(racers, lambda number: act(path, journals[number], number), plant)
        verdict = rig.judge(path, [journal for journal in journals if journal.exists()])
    wrong = [f"{failed} racers failed"] if failed else []
    if (verdict.seen, verdict.releases) != (expected, expected):
        wrong.append(f"{verdict.seen} won and {verdict.releases} are in the ledger, not {expected}")
    return wrong if verdict.clean else [*wrong, str(verdict)]


def naive(racers: int) -> int:
    """How many win where each looks at the balance before it locks: the negative control."""
    with tempfile.TemporaryDirectory(prefix="passbox-race-") as folder:
        path, won = Path(folder) / "ledger.sqlite", Path(folder) / "won"
        rig.create(path, FITS)

        def act(number: int) -> None:
            with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as db:
                (before,) = db.execute("select spent from account where id = ?", (rig.ACCOUNT,)).fetchone()
                if before + rig.COST <= FITS * rig.COST:
                    _look(Path(folder) / "looked", FITS + 1)  # and draw
                    db.execute("update account set spent = ? where id = ?", (before + rig.COST, rig.ACCOUNT))
                    os.write(rig.journal_at(won), b"1")

        let_go(racers, act, rig.nothing)
        return len(won.read_bytes())


def _look(at: Path, many: int) -> None:
    """Wait until so many processes have come this far, however slow the machine is."""
    os.write(rig.journal_at(at), b"1")
    while at.stat().st_size < many:
        time.sleep(0.01)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--racers", type=int, default=64)
    options.add_argument("--times", type=int, default=20)
    chosen = options.parse_args()
    started, wrong = time.monotonic(), list[str]()
    for _ in range(chosen.times):
        wrong += [*for_a_budget(chosen.racers), *for_one_statistic(chosen.racers)]
    for said in wrong:
        print(said)
    overspent, took = naive(chosen.racers), time.monotonic() - started
    print(
        f"{chosen.times} races of {chosen.racers} processes for a budget of {FITS}, as many for one statistic: "
        f"{len(wrong)} violations; naive control: {overspent} won; {took:.0f} s"
    )
    return int(bool(wrong) or overspent <= FITS)


if __name__ == "__main__":
    raise SystemExit(main())

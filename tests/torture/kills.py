"""Random SIGKILLs of concurrent spenders: nothing lost, doubled, unpaid or drawn anew.

    python tests/torture/kills.py --kills 10000

Four processes spend through the real ledger, in one file, on new statistics and on old ones; one after the other is
killed at a random moment and replaced. Every so often the books are checked. Before that, a spender is killed before
every SQL statement of a payment.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import rig

from passbox.dp.storage import Storage

SPENDERS = 4
OFTEN, NAMES = 20, 20_000
"""Statistics that are asked again and again, and others: a third of what is asked is a replay."""
ROUND = 500
"""Kills after which the books are checked and a new ledger is begun, so that the log stays short."""
PATIENCE = 120
"""Seconds for the first payment of all."""


@dataclass
class Tally:
    """failed: spenders that ended by themselves, which none should."""

    kills: int = 0
    seen: int = 0
    failed: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def violations(self) -> int:
        return len(self.wrong) + self.failed


def spender(path: Path, journal: Path, seed: int) -> None:
    """Spend until killed: open, pay a few, close, again."""
    chosen, handle = random.Random(seed), rig.journal_at(journal)
    while True:
        with rig.open_ledger(path) as ledger:
            for _ in range(chosen.randint(1, 8)):
                rig.try_to_spend(ledger, chosen.randrange(chosen.choice((OFTEN, NAMES, NAMES))), handle)


def one_round(folder: Path, kills: int, seed: int, tally: Tally, plant: rig.Plant) -> None:
    """So many kills on a fresh ledger."""
    chosen = random.Random(seed)
    path, journals = folder / "ledger.sqlite", [folder / f"seen-{slot}" for slot in range(SPENDERS)]
    if rig.done(lambda: rig.create(path, fits=kills * 5), plant):  # now and then all is spent before the last kill
        tally.wrong.append("no ledger could be made")
        return

    def born(slot: int) -> int:
        one = chosen.getrandbits(32)
        return rig.child(lambda: spender(path, journals[slot], one), plant)

    for journal in journals:
        journal.touch()
    alive = [born(slot) for slot in range(SPENDERS)]
    for _ in range(kills):
        time.sleep(chosen.uniform(0, 0.03))
        slot = chosen.randrange(SPENDERS)
        os.kill(alive[slot], signal.SIGKILL)
        tally.failed += os.waitstatus_to_exitcode(os.waitpid(alive[slot], 0)[1]) == 3
        alive[slot] = born(slot)
    _until_something_is_seen(journals)
    for process in alive:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    verdict = rig.judge(path, journals)
    tally.kills, tally.seen = tally.kills + kills, tally.seen + verdict.seen
    if not verdict.clean:
        tally.wrong.append(str(verdict))


def _until_something_is_seen(journals: list[Path]) -> None:
    """The last spenders live so long: on a slow machine all others may have been killed before they paid."""
    last = time.monotonic() + PATIENCE
    while time.monotonic() < last and not any(journal.stat().st_size for journal in journals):
        time.sleep(0.05)


def at_every_statement(plant: rig.Plant = rig.nothing) -> list[str]:
    """Killed before each SQL statement of opening a ledger, three payments of which one is a replay, and closing it.

    What is wrong after any of them. The last run is not killed, and counts the statements.
    """
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="passbox-kills-") as folder:
        path, journal = Path(folder) / "ledger.sqlite", Path(folder) / "seen"
        if rig.done(lambda: rig.create(path, 10_000), plant):
            return ["no ledger could be made"]
        journal.touch()
        for at in range(1000):
            ended = rig.done(lambda at=at: die_at(path, journal, at), plant)  # type: ignore[misc]
            verdict = rig.judge(path, [journal])
            if not verdict.clean:
                return [*wrong, f"killed before statement {at}: {verdict}"]
            if ended >= 0:
                return [f"not killed, it ended with {ended}"] if ended else wrong
    return ["it never ended"]


def die_at(path: Path, journal: Path, at: int) -> None:
    done, real, handle = 0, Storage.rows, rig.journal_at(journal)

    def deadly(storage: Storage, statement: str, *values: object) -> object:
        nonlocal done
        if done == at:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return real(storage, statement, *values)

    Storage.rows = deadly  # type: ignore[assignment,method-assign]
    with rig.open_ledger(path) as ledger:
        for name in (3 * at, 3 * at + 1, 3 * at):
            rig.spend(ledger, name, handle)


def torture(kills: int, seed: int, plant: rig.Plant = rig.nothing, *, loud: bool = False) -> Tally:
    tally, left = Tally(), kills
    while left > 0:
        with tempfile.TemporaryDirectory(prefix="passbox-kills-") as folder:
            one_round(Path(folder), min(ROUND, left), seed + left, tally, plant)
        left -= ROUND
        if loud:
            print(f"{tally.kills} kills, {tally.seen} seen, {tally.failed} failed spenders, {tally.wrong}", flush=True)
        if tally.wrong and not tally.kills:
            break
    return tally


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=int(time.time()))
    chosen = options.parse_args()
    started = time.monotonic()
    statements = at_every_statement()
    print(f"killed before every SQL statement: {statements or 'all in order'}", flush=True)
    tally = torture(chosen.kills, chosen.seed, loud=True)
    took = time.monotonic() - started
    print(
        f"{tally.kills} kills, {tally.seen} releases seen by readers; {tally.violations} violations; "
        f"{took:.0f} s, seed {chosen.seed}"
    )
    return int(bool(tally.violations or statements))


if __name__ == "__main__":
    raise SystemExit(main())

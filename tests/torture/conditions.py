"""Bad conditions: clocks ten years wrong, a disk that is full or may not be written, a verifier that is killed.

    python tests/torture/conditions.py

The first is tried on the ledger itself as well; all of them with the real commands (`script.py`), in every state that
a room goes through. What is asked of a command: it does its work or refuses, and when the condition is over the same
command typed again leads to where it would have led without it, with the same figures charged.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import faults
import rig
import script

from passbox.dp.account import BudgetExceeded
from passbox.dp.ledger import Ledger
from passbox.dp.note import verify_checkpoint
from passbox.dp.window import Window, WindowFull

REFUSED = 5
FITS = 8
SIZES = (0, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
"""KiB that a full disk still has."""


def clocks(plant: rig.Plant = rig.nothing) -> list[str]:
    """Pay, replay, refuse and overspend while the clock jumps; what is wrong then."""
    with tempfile.TemporaryDirectory(prefix="passbox-clocks-") as folder:
        path, journal = Path(folder) / "ledger.sqlite", Path(folder) / "seen"
        journal.touch()

        def act() -> None:
            handle, chosen = rig.journal_at(journal), random.Random(1)
            rig.create(path, FITS, lambda: rig.clock() + timedelta(days=chosen.choice((-3653, 0, 3653))))
            for name in (0, 1, 0, 2, 3, 3, 4, 5, 6, 0, 7, 8, 9, 8, 2):
                years = chosen.choice((-10, 0, 10))
                with rig.open_ledger(path, lambda years=years: rig.clock() + timedelta(days=365 * years)) as ledger:  # type: ignore[misc]
                    rig.try_to_spend(ledger, name, handle)
                    ledger.deny(rig.purchase(name).context, "rules.allow")

        failed, verdict = rig.done(act, plant), rig.judge(path, [journal])
    wrong = ["it failed"] if failed else []
    if (verdict.seen, verdict.releases) != (FITS, FITS):
        wrong.append(f"{verdict.seen} were seen and {verdict.releases} are in the ledger, not {FITS}")
    return wrong if verdict.clean else [*wrong, str(verdict)]


def unwitnessed(plant: rig.Plant = rig.nothing) -> list[str]:
    """Spend under a window of a quarter: of eight that fit, two before each cosignature. What is wrong then."""
    with tempfile.TemporaryDirectory(prefix="passbox-window-") as folder:
        path, journal, paid = Path(folder) / "ledger.sqlite", Path(folder) / "seen", Path(folder) / "paid"
        journal.touch()

        def act() -> None:
            rig.create(path, FITS)
            handle, counts = rig.journal_at(journal), []
            for turn in range(3):
                with rig.open_ledger(path, window=Window(1, Fraction(1, 4))) as ledger:
                    counts.append(sum(within(ledger, 4 * turn + name, handle) for name in range(4)))
                    head = verify_checkpoint(ledger.checkpoint(), rig.KEY.vkey)
                    ledger.witness("officer", head.size, head.root, "")
            paid.write_text(f"{counts}")

        failed, verdict = rig.done(act, plant), rig.judge(path, [journal])
        counts = "" if failed else paid.read_text()
    if counts != "[2, 2, 2]":
        return [f"between cosignatures {counts or 'it failed, and nothing'} was paid for, not [2, 2, 2]"]
    return [] if verdict.clean else [str(verdict)]


def within(ledger: Ledger, name: int, journal: int) -> bool:
    try:
        rig.spend(ledger, name, journal)
    except (WindowFull, BudgetExceeded):
        return False
    return True


# -- the real commands -------------------------------------------------------------------------------------------------


def commands_with_wrong_clocks(one: faults.Helper, steps: list[faults.Step], *, in_turn: bool = False) -> list[str]:
    """Ten years ahead, and behind. in_turn: every other command the one, and the others the other."""
    wrong = []
    for at, years in enumerate((10, -10)):
        for step in steps[at::2] if in_turn else steps:
            one.put_back(step.before)
            code = one.do(step.words, years=years)[0]
            refused = code == REFUSED
            said = faults.judged(one, step, ended=1) if refused else faults.wrong_after(one, step, code << 8)
            wrong += [f"{step.name} {years} years off: {said}"] if said else []
    return wrong


def commands_on_a_full_disk(
    one: faults.Helper, steps: list[faults.Step], sizes: Sequence[int] = SIZES
) -> tuple[list[str], str]:
    """What is wrong, and how the disk was filled."""
    with mounted(one.home / "small") as disk:
        small = replace(one, disk=disk or one.home)
        wrong = []
        for step in steps:
            for size in sizes:
                small.put_back(step.before)
                if disk:
                    _fill(disk, size)
                    code = small.do(step.words)[0]
                    (disk / "filler").unlink()
                else:
                    code = small.do(step.words, largest=size * 1024)[0]
                if said := faults.wrong_after(small, step, code << 8):
                    wrong.append(f"{step.name} with {size} KiB left: {said}")
    return wrong, "a tmpfs" if disk else "RLIMIT_FSIZE"


def commands_on_a_disk_that_may_not_be_written(one: faults.Helper, steps: list[faults.Step]) -> tuple[list[str], str]:
    with mounted(one.home / "locked") as disk:
        if not disk:
            return [], "not tried: no file system can be mounted here"
        locked, wrong = replace(one, disk=disk), []
        for step in steps:
            locked.put_back(step.before)
            before = faults.fingerprint(locked.place)
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            code = locked.do(step.words)[0]
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
            if faults.fingerprint(locked.place) != before:
                wrong.append(f"{step.name}: it was written all the same")
            if said := faults.wrong_after(locked, step, code << 8):
                wrong.append(f"{step.name} on a disk that may not be written: {said}")
    return wrong, "a tmpfs mounted read-only"


@contextmanager
def mounted(at: Path) -> Iterator[Path | None]:
    """A small disk of its own, where this process may mount one."""
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(at)]
    done = shutil.which("mount") and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield at if done else None
    finally:
        if done:
            subprocess.run(["umount", str(at)], check=True)


def _fill(disk: Path, left: int) -> None:
    """Take all but so many KiB."""
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(65536))
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    os.truncate(disk / "filler", max(0, (disk / "filler").stat().st_size - max(0, left * 1024 - free)))


def killed_verifiers(one: faults.Helper, step: faults.Step, kills: int, seed: int = 1) -> list[str]:
    """Verifiers of a room and of an export, killed at random moments: nothing in the room or the export is another."""
    chosen, wrong = random.Random(seed), []
    one.put_back(step.before)
    before, files = one.do("look")[0], _kept(one)
    contract = ["--contract", "contract.toml"]
    for _ in range(kills):
        where = chosen.choice(("spring", "spring.ledger"))
        process = one.ask(do=[["ledger", "verify", where, *contract]], **{"in": str(one.place)})
        time.sleep(chosen.uniform(0, 0.15))
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        one.said()
        if _kept(one) != files:
            wrong.append("a killed verifier changed a file")
    if one.do("look")[0] | {"files": []} != before | {"files": []} or one.do(script.verify("spring")) != [0]:
        wrong.append("after killed verifiers the room is another")
    return wrong


def _kept(one: faults.Helper) -> dict[str, bytes]:
    """Every file but what SQLite shares between processes."""
    files = (path for path in one.place.rglob("*") if path.is_file() and not path.name.startswith("ledger.sqlite-"))
    return {str(path): path.read_bytes() for path in files if path.name != "ledger.lock"}


def torture(
    one: faults.Helper,
    steps: list[faults.Step],
    kills: int,
    sizes: Sequence[int] = SIZES,
    say: Callable[..., Any] = print,
    *,
    in_turn: bool = False,
) -> list[str]:
    """All of it. steps: as `faults.steps_of` gives them. in_turn: as of `commands_with_wrong_clocks`."""
    wrong = clocks()
    say(f"clocks 10 years off, ledger: {len(wrong)} violations", flush=True)
    found = unwitnessed()
    say(f"nobody cosigns: {len(found)} violations", flush=True)
    wrong += found
    found = commands_with_wrong_clocks(one, steps, in_turn=in_turn)
    say(f"clocks 10 years off, {len(steps) * (2 - in_turn)} commands: {len(found)} violations", flush=True)
    wrong += found
    found, how = commands_on_a_full_disk(one, steps, sizes)
    say(f"full disk ({how}), {len(steps) * len(sizes)} commands: {len(found)} violations", flush=True)
    wrong += found
    found, how = commands_on_a_disk_that_may_not_be_written(one, steps)
    say(f"read-only disk ({how}), {len(steps)} commands: {len(found)} violations", flush=True)
    wrong += found
    verifying = next(step for step in steps if step.name == "ledger verify")
    found = killed_verifiers(one, verifying, kills)
    say(f"killed verifiers, {kills}: {len(found)} violations", flush=True)
    return wrong + found


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=200, help="verifiers that are killed")
    chosen = options.parse_args()
    with faults.scratch() as home:
        operator, reader = faults.demo(home)
        with faults.helper(home / "worker", reader) as one:
            wrong = torture(one, faults.steps_of(one, operator, home), chosen.kills)
    for said in wrong:
        print(said)
    print(f"bad conditions: {len(wrong)} violations")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())

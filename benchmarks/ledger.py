"""How fast the ledger spends, against the rate at which this very disk syncs, in the same run.

    python benchmarks/ledger.py [--seconds 2] [--json]

A spend is durable: alone it cannot be faster than one fdatasync of the disk. So the figures are ratios to that rate, at
1, 4, 16 and 64 processes: the median of some rounds, their least and largest beside it, the disk measured before and
after each round in the same folder. Also: fdatasyncs a spend, by strace, its CPU time, and what it takes to plan and
check one release. Machines are noisy: quote ratios.

Disks differ by a factor of a hundred, and what a spend computes does not: the rates are taken again with each sync made
to last 1 and 3 ms longer (strace holds it up, in the ledger and in the measure it is held against).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.context import ForkProcess
from multiprocessing.sharedctypes import SynchronizedArray
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from passbox.dp.account import Cap
from passbox.dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED, Statistic
from passbox.dp.budget import Rho
from passbox.dp.entry import Charge, Context, Purchase, Specification
from passbox.dp.ledger import Ledger
from passbox.dp.note import NoteKey
from passbox.dp.scale import price, smallest_scale

SCALE = smallest_scale(COUNT_L2_SQUARED, Rho(1_000_000))
COST = price(COUNT_L2_SQUARED, SCALE)
PROCESSES = (1, 4, 16, 64)
SLOWER = (0, 1, 3)
"""Milliseconds that a sync lasts longer."""
ROUNDS = 5


class Vault:
    """Seals as a room does."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        return self._cipher.decrypt(sealed[:12], sealed[12:], context)


def clock() -> datetime:
    return datetime.now(UTC)


def purchase(name: str) -> Purchase:
    spec = Specification(
        statistic="matched-count@1",
        datasets={"visitors": "aa" * 32, "buyers": "bb" * 32},
        unit="record",
        rule="own-best",
        part="all",
        columns=(name,),
        cells=1,
        bits=COUNT_BITS,
        l2_squared=COUNT_L2_SQUARED,
        scale=SCALE,
    )
    context = Context("cc" * 32, "dd" * 32, "publisher", ("publisher",), "benchmark")
    return Purchase(spec, (Charge("advertiser/record", "buyers", COST),), context)


def statistic() -> Statistic:
    return Statistic(np.array([500 << COUNT_BITS], dtype=np.int64), bits=COUNT_BITS, l2_squared=COUNT_L2_SQUARED)


def new_ledger(folder: Path) -> tuple[Path, NoteKey]:
    key, path = NoteKey.new("bench.example/room"), folder / "ledger.sqlite"
    cap = Cap("advertiser/record", "advertiser", "record", "64.0", "1e-06", Rho(10**17), "cc" * 32)
    Ledger.create(path, key, Vault(bytes(32)), clock, [cap]).close()
    return path, key


def sync_rate(folder: Path, seconds: float) -> float:
    """fdatasyncs a second of one writer that appends 4 KiB, as a write-ahead log does."""
    handle = os.open(folder / "sync", os.O_WRONLY | os.O_CREAT, 0o600)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        os.pwrite(handle, b"x" * 4096, count * 4096)
        os.fdatasync(handle)
        count += 1
    took = time.perf_counter() - began
    os.close(handle)
    (folder / "sync").unlink()
    return count / took


@dataclass(frozen=True)
class Race:
    """Spenders that spend at once, and rest at once. counts: what each spent in the round under way."""

    processes: int
    seconds: float
    barrier: Barrier
    counts: SynchronizedArray[int]

    @classmethod
    def of(cls, processes: int, seconds: float) -> Race:
        context = multiprocessing.get_context("fork")
        return cls(processes, seconds, context.Barrier(processes + 1), context.Array("q", processes))

    def count(self, spend: Callable[[int], object]) -> int:
        """In a spender: one round; how often it spent. `spend` is told how many came before."""
        self.barrier.wait()
        until, count = time.perf_counter() + self.seconds, 0
        while time.perf_counter() < until:
            spend(count)
            count += 1
        return count

    def run(self, workers: list[ForkProcess], disk: Callable[[], float]) -> list[tuple[float, float]]:
        """Round for round, what the disk syncs a second and what the workers spend; they take turns.

        The disk's rate is the mean of before and after the round. The round ends with the last spend.
        """
        for worker in workers:
            worker.start()
        syncs, spends = [], []
        for _ in range(ROUNDS):
            syncs.append(disk())
            self.barrier.wait()
            began = time.perf_counter()
            self.barrier.wait()
            spends.append(sum(self.counts) / (time.perf_counter() - began))
        syncs.append(disk())
        for worker in workers:
            worker.join()
        return [((syncs[at] + syncs[at + 1]) / 2, spends[at]) for at in range(ROUNDS)]


def spender(path: Path, key: NoteKey, number: int, race: Race) -> None:
    """Open and pay once, so that what a process does once is not measured; then spend in each round."""
    with Ledger(path, key, Vault(bytes(32)), clock) as ledger:
        ledger.pay(purchase(f"{number}-first"), statistic())
        for turn in range(ROUNDS):
            race.counts[number] = race.count(lambda at: ledger.pay(purchase(f"{number}-{turn}-{at}"), statistic()))  # noqa: B023
            race.barrier.wait()


def spend_rates(folder: Path, processes: int, seconds: float) -> list[tuple[float, float]]:
    """Round for round, what the disk syncs a second and what the ledger spends."""
    path, key = new_ledger(folder)
    race = Race.of(processes, seconds)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=spender, args=(path, key, number, race)) for number in range(processes)]
    return race.run(workers, lambda: sync_rate(folder, seconds / 2))


def cpu_a_spend(folder: Path, spends: int = 500) -> float:
    """Milliseconds of CPU that one spend takes, the kernel's included."""
    path, key = new_ledger(folder)
    with Ledger(path, key, Vault(bytes(32)), clock) as ledger:
        ledger.pay(purchase("first"), statistic())
        began = time.process_time()
        for name in range(spends):
            ledger.pay(purchase(str(name)), statistic())
        return (time.process_time() - began) / spends * 1000


def syncs_per_spend(folder: Path, spends: int = 100) -> float:
    """Counted by strace over a process that spends so often, less the syncs of one that spends once."""

    def syncs(count: int) -> int:
        trace = folder / f"trace-{count}"
        place = folder / f"spends-{count}"
        place.mkdir()
        command = [sys.executable, __file__, "--spend", str(count), "--folder", str(place)]
        subprocess.run(["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(trace), *command], check=True)
        return len(re.findall(r"f(?:data)?sync\(", trace.read_text()))

    return (syncs(spends + 1) - syncs(1)) / spends


def milliseconds(work: Callable[[], object], times: int = 50) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def plan_and_check(folder: Path) -> float:
    """Plan one lookalike in a real, small room: contract signatures checked beforehand, as within one command."""
    import passbox

    command = [Path(sys.executable).parent / "passbox", "demo", "--people", "2000", "--seeds", "200"]
    subprocess.run([*command, "--json", "--out", folder / "demo"], check=True, capture_output=True)
    room = passbox.open_room(folder / "demo" / "operator" / "spring")
    request = passbox.read_request(room, folder / "demo" / "operator" / "lookalike.toml")
    return milliseconds(lambda: passbox.plan(room, request))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=2.0, help="that a round takes")
    options.add_argument("--json", action="store_true")
    options.add_argument("--spend", type=int, help=argparse.SUPPRESS)
    options.add_argument("--rates", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.spend:
        path, key = new_ledger(chosen.folder)
        with Ledger(path, key, Vault(bytes(32)), clock) as ledger:
            for name in range(chosen.spend):
                ledger.pay(purchase(str(name)), statistic())
        return
    if chosen.rates:
        print(json.dumps(rates(chosen.folder, chosen.seconds)))
        return
    home = Path(tempfile.mkdtemp(prefix="passbox-bench-", dir=Path.cwd()))
    try:
        found = measure(home, chosen.seconds)
    finally:
        shutil.rmtree(home)
    print(
        json.dumps(found, indent=2) if chosen.json else "\n".join(f"{name:36} {value}" for name, value in found.items())
    )


def rates(home: Path, seconds: float) -> dict[str, str]:
    """For each number of processes the ratio to the disk's rate, and the two rates a second."""
    found = {}
    for processes in PROCESSES:
        folder = home / str(processes)
        folder.mkdir(parents=True)
        rounds = spend_rates(folder, processes, seconds)
        ratio = spread([spends / syncs for syncs, spends in rounds], 2)
        spends, syncs = (spread([each[at] for each in rounds], 0) for at in (1, 0))
        found[f"{processes} processes"] = f"{ratio} of fdatasync: {spends} spends/s, {syncs} syncs/s"
    return found


def slower(home: Path, seconds: float, milliseconds: int) -> dict[str, str]:
    """The same on a disk whose every sync lasts longer."""
    held = ["-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:delay_exit={milliseconds * 1000}"]
    tracer = ["strace", "-f", "--seccomp-bpf", "-qq", *held, "-o", "/dev/null"] if milliseconds else []
    command: list[str] = [
        *tracer,
        sys.executable,
        __file__,
        "--rates",
        "--seconds",
        str(seconds),
        "--folder",
        str(home),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def measure(home: Path, seconds: float) -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    for milliseconds in SLOWER if shutil.which("strace") else (0,):
        disk = "this disk" if milliseconds == 0 else f"syncs {milliseconds} ms longer"
        for processes, figures in slower(home / f"slower-{milliseconds}", seconds, milliseconds).items():
            found[f"{disk}, {processes}"] = figures
    (home / "cpu").mkdir()
    found["CPU a spend, ms"] = round(cpu_a_spend(home / "cpu"), 3)
    if shutil.which("strace"):
        found["fdatasyncs a spend"] = syncs_per_spend(home)
    found["plan and check, ms"] = round(plan_and_check(home), 2)
    return found


def spread(figures: list[float], digits: int) -> str:
    low, middle, high = (f"{f:.{digits}f}" for f in (min(figures), statistics.median(figures), max(figures)))
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    main()

"""Power cuts: what the disk would hold if unsynced writes were lost, kept, torn or reordered.

    python tests/torture/power.py --images 10000            # the ledger as it is: 0 violations
    python tests/torture/power.py --images 2000 --control   # synchronous = normal: must lose releases

A real spender makes a ledger and spends under strace, which writes down every byte it hands to the kernel and every
sync. From that record disks are made, cut off at any moment, by the strictest reading of POSIX:

    contents    a file holds all that was written before its last sync, and of what was written since any part; a write
                may be torn at a sector
    names       a folder holds the names it had at its own last sync, and of what was made and removed since any part:
                a file whose folder was not synced may be gone, one that was removed may be back
    -shm        is mapped memory that no sync covers: it holds noise, or is gone

Every disk is opened and judged against what a reader had seen before the cut.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import rig

SECTOR = 512
CALLS = "openat,pwrite64,write,writev,pwritev,ftruncate,fallocate,fsync,fdatasync,unlink,unlinkat,rename,renameat2"
LINE = re.compile(r"^\d+\s+(?P<call>\w+)\((?P<rest>.*)\)\s+=\s+(?P<result>-?\d+)")
FILE = re.compile(r"^\d+<(?P<path>[^>]*)>")
MADE = "made"
"""What the spender writes into its journal once the ledger is there."""


@dataclass(frozen=True)
class Step:
    """One thing the spender did: write bytes at a place, cut to a size, sync, make a name, remove a name."""

    kind: str
    path: str
    data: bytes = b""
    at: int = 0


def spend_traced(home: Path, spends: int, seed: int, plant: str) -> list[Step]:
    """Run a spender under strace; what it did to the ledger's files and to its journal."""
    folder, trace = home / "room", home / "trace"
    folder.mkdir()
    command = [sys.executable, __file__, "--spend", str(spends), "--seed", str(seed), "--folder", str(folder)]
    strace = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(trace)]
    subprocess.run([*strace, *command, *(["--plant", plant] if plant else [])], check=True)
    steps = list(parsed(trace, str(folder)))
    trace.unlink()
    return steps


def parsed(trace: Path, folder: str) -> Iterator[Step]:
    """What of a trace happened in a folder. Calls that this model of a disk does not know end it."""
    place: dict[str, int] = {}
    for line in trace.read_text(errors="replace").splitlines():
        found = LINE.match(line)
        if not found or int(found["result"]) < 0:
            continue
        call, rest = found["call"], found["rest"]
        if call in ("openat", "unlink", "unlinkat", "rename", "renameat2"):
            names = [unhex(name) for name in re.findall(r'"((?:\\x..)*)"', rest)]
            if names and names[0].startswith(folder):
                yield from named(call, names[0], rest)
        elif (path := FILE.match(rest)) and unhex(path["path"]).startswith(folder):
            yield changed(call, unhex(path["path"]), rest, place)


def unhex(text: str) -> str:
    """strace -xx spells paths in hexadecimal too."""
    return bytes.fromhex(text.replace("\\x", "")).decode() if text.startswith("\\x") else text


def named(call: str, name: str, rest: str) -> Iterator[Step]:
    if call == "unlink":
        yield Step("remove", name)
    elif call == "openat":
        if "O_CREAT" in rest:
            yield Step("make", name)
        if "O_TRUNC" in rest:
            yield Step("cut", name)
    else:
        raise SystemExit(f"this model of a disk does not know {call}")


def changed(call: str, name: str, rest: str, place: dict[str, int]) -> Step:
    if call in ("fsync", "fdatasync"):
        return Step("sync", name)
    if call == "ftruncate":
        return Step("cut", name, at=int(rest.rsplit(",", 1)[1]))
    data = bytes.fromhex("".join(re.findall(r'"((?:\\x..)*)"', rest)).replace("\\x", ""))
    if call == "pwrite64":
        return Step("write", name, data, int(rest.rsplit(",", 1)[1]))
    if call == "write":
        at = place.get(name, 0)
        place[name] = at + len(data)
        return Step("write", name, data, at)
    raise SystemExit(f"this model of a disk does not know {call}")


@dataclass
class File:
    """Content that is surely on the disk, and what was done to it since."""

    sure: bytes = b""
    loose: list[Step] = field(default_factory=list)


@dataclass
class Disk:
    """One folder. live: names as the running system sees them. sure: names as of the folder's last sync. loose: names
    made (with their file) or removed (None) since."""

    folder: str
    live: dict[str, File] = field(default_factory=dict)
    sure: dict[str, File] = field(default_factory=dict)
    loose: list[tuple[str, File | None]] = field(default_factory=list)

    def take(self, step: Step) -> None:
        if step.kind == "make":
            if step.path not in self.live:
                self.live[step.path] = File()
                self.loose.append((step.path, self.live[step.path]))
        elif step.kind == "remove":
            del self.live[step.path]
            self.loose.append((step.path, None))
        elif step.kind == "sync" and step.path == self.folder:
            self.sure, self.loose = dict(self.live), []
        elif step.kind == "sync":
            file = self.live[step.path]
            for loose in file.loose:
                file.sure = applied(file.sure, loose)
            file.loose = []
        else:
            self.live[step.path].loose.append(step)

    def image(self, chosen: random.Random) -> dict[str, bytes]:
        names: dict[str, File | None] = dict(self.sure)
        keep = chosen.choice((0.0, 0.5, 1.0))
        names.update((name, file) for name, file in self.loose if chosen.random() < keep)
        return {name: content(file, chosen) for name, file in names.items() if file is not None}


def content(file: File, chosen: random.Random) -> bytes:
    keep = chosen.choice((0.0, 0.2, 0.5, 0.8, 1.0))
    kept = [step for step in file.loose if chosen.random() < keep]
    if chosen.random() < 0.3:
        chosen.shuffle(kept)
    data = file.sure
    for step in kept:
        data = applied(data, torn(step, chosen))
    return data


def torn(step: Step, chosen: random.Random) -> Step:
    """Now and then only some sectors of a write arrive, the first or the last ones."""
    if step.kind != "write" or len(step.data) <= SECTOR or chosen.random() > 0.2:
        return step
    end = chosen.randrange(1, len(step.data) // SECTOR + 1) * SECTOR
    if chosen.random() < 0.5:
        return Step("write", step.path, step.data[:end], step.at)
    return Step("write", step.path, step.data[-end:], step.at + len(step.data) - end)


def applied(content: bytes, step: Step) -> bytes:
    if step.kind == "cut":
        return content[: step.at].ljust(step.at, b"\0")
    padded = content.ljust(step.at, b"\0")
    return padded[: step.at] + step.data + padded[step.at + len(step.data) :]


def images(folder: str, steps: list[Step], count: int, chosen: random.Random) -> Iterator[tuple[dict[str, bytes], str]]:
    """Disks at random moments, each with the journal as the outside had seen it by then."""
    disk, seen, at = Disk(folder), b"", 0
    for cut in sorted(chosen.choices(range(1, len(steps) + 1), k=count)):
        while at < cut:
            step = steps[at]
            at += 1
            if step.path.endswith("/seen"):
                seen = applied(seen, step) if step.kind == "write" else seen
            elif not step.path.endswith((".lock", "-shm")):
                disk.take(step)
        made = disk.image(chosen)
        if chosen.random() < 0.5:
            made[f"{folder}/ledger.sqlite-shm"] = chosen.randbytes(32768)
        yield made, seen.decode()


def judged(files: dict[str, bytes], seen: str, scratch: Path) -> str:
    """What is wrong with a disk, or "". Until its maker was told that it is there, a ledger may be missing or half."""
    if MADE not in seen:
        return ""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name, data in files.items():
        (scratch / Path(name).name).write_bytes(data)
    (scratch / "seen").write_text(seen)
    verdict = rig.judge(scratch / "ledger.sqlite", [scratch / "seen"])
    return "" if verdict.clean else str(verdict)


def spender(folder: Path, spends: int, seed: int) -> None:
    """What runs under strace. Now and then one connection spends so much that SQLite folds the WAL meanwhile."""
    handle, chosen, name = rig.journal_at(folder / "seen"), random.Random(seed), 0
    rig.create(folder / "ledger.sqlite", fits=spends + 10)
    os.write(handle, f"{MADE}\n".encode())
    while name < spends:
        with rig.open_ledger(folder / "ledger.sqlite") as ledger:
            for _ in range(min(spends - name, chosen.choice((1, 3, 12, 200)))):
                rig.spend(ledger, name if chosen.random() < 0.8 else max(0, name - 1), handle)
                name += 1


@dataclass
class Tally:
    images: int = 0
    made: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def torture(count: int, spends: int, seed: int, plant: str = "") -> Tally:
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="passbox-power-") as temporary:
        home = Path(temporary)
        steps = spend_traced(home, spends, seed, plant)
        tally.made.update(step.kind for step in steps)
        for files, seen in images(str(home / "room"), steps, count, random.Random(seed)):
            tally.images += 1
            if wrong := judged(files, seen, home / "scratch"):
                tally.wrong.append(wrong)
    return tally


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", type=int, default=10_000)
    options.add_argument("--spends", type=int, default=60)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--control", action="store_true", help="synchronous = normal, which must fail")
    options.add_argument("--plant", default="", help="a planted fault (`planted.py`), which must be found")
    options.add_argument("--spend", type=int, help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.spend:
        if chosen.plant:
            import planted

            planted.PLANTS[chosen.plant].plant()
        spender(chosen.folder, chosen.spend, chosen.seed)
        return 0
    started, plant = time.monotonic(), "synchronous = normal" if chosen.control else chosen.plant
    total, made, wrong = 0, Counter[str](), Counter[str]()
    while total < chosen.images:  # another spender every 1,000 disks; each fourth spends enough to fold the WAL
        spends = chosen.spends * (4 if total % 4000 == 3000 else 1)
        tally = torture(min(1000, chosen.images - total), spends, chosen.seed + total, plant)
        total += tally.images
        made.update(tally.made)
        wrong.update(tally.wrong)
        print(f"{total} disks, {sum(wrong.values())} violations", flush=True)
    for said, count in wrong.most_common(5):
        print(f"  {count} x {said}")
    took = time.monotonic() - started
    what = f"with {plant} planted: " if plant else ""
    print(f"{what}{total} disks made of {dict(made)}; {sum(wrong.values())} violations; {took:.0f} s")
    return int((not wrong) if plant else bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())

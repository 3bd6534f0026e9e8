"""Power cuts: what the disk would hold if unsynced writes were lost, kept, torn or reordered.

    python tests/torture/power.py --images 10000            # the ledger as it is: 0 violations
    python tests/torture/power.py --images 2000 --control   # synchronous = normal: must lose releases

A real spender runs under strace, which writes down every byte it hands to the kernel and every sync. From that record
images of the disk are made: cut at any moment, each file holds all that was synced before, and of what was written since
a random subset, in which a write may be torn at a sector. Every image is opened and judged against what a reader had
seen before the cut.
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
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import rig

SECTOR = 512
CALLS = "openat,pwrite64,write,ftruncate,fsync,fdatasync,unlink,rename"
LINE = re.compile(r"^\d+\s+(?P<call>\w+)\((?P<rest>.*)\)\s+=\s+(?P<result>-?\d+)")
FILE = re.compile(r"^\d+<(?P<path>[^>]*)>")


@dataclass(frozen=True)
class Step:
    """One thing the spender did to a file: write bytes at a place, cut it to a size, sync it, make it, remove it."""

    kind: str
    path: str
    data: bytes = b""
    at: int = 0


def spend_traced(folder: Path, spends: int, control: bool) -> list[Step]:
    """Run a spender under strace; its steps on the ledger's files, and on its journal."""
    rig.create(folder / "ledger.sqlite", fits=spends + 10)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.copytree(folder, folder.with_name(folder.name + "-before"))
    command = [sys.executable, __file__, "--spend", str(spends), "--folder", str(folder), *(["--control"] * control)]
    trace = folder.with_name(folder.name + ".trace")
    strace = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(trace)]
    subprocess.run([*strace, *command], check=True)
    assert before
    steps = list(parsed(trace, str(folder)))
    trace.unlink()
    return steps


def parsed(trace: Path, folder: str) -> Iterator[Step]:
    place: dict[str, int] = {}
    for line in trace.read_text(errors="replace").splitlines():
        found = LINE.match(line)
        if not found or int(found["result"]) < 0:
            continue
        call, rest = found["call"], found["rest"]
        if call in ("openat", "unlink", "rename"):
            names = [bytes.fromhex(name.replace("\\x", "")).decode() for name in re.findall(r'"((?:\\x..)*)"', rest)]
            if names and names[0].startswith(folder):
                yield from opened(call, names, rest)
            continue
        path = FILE.match(rest)
        name = undo(path["path"]) if path else ""
        if not name.startswith(folder):
            continue
        yield from changed(call, name, rest, place)


def undo(path: str) -> str:
    """strace -xx spells paths in hexadecimal too."""
    return bytes.fromhex(path.replace("\\x", "")).decode() if path.startswith("\\x") else path


def opened(call: str, names: list[str], rest: str) -> Iterator[Step]:
    if call == "unlink":
        yield Step("remove", names[0])
    elif call == "openat" and "O_CREAT" in rest:
        yield Step("make", names[0])
    elif call == "rename":
        raise SystemExit("the ledger renames nothing: this model of a disk does not know it")


def changed(call: str, name: str, rest: str, place: dict[str, int]) -> Iterator[Step]:
    if call in ("fsync", "fdatasync"):
        yield Step("sync", name)
        return
    if call == "ftruncate":
        yield Step("cut", name, at=int(rest.rsplit(",", 1)[1]))
        return
    data = bytes.fromhex("".join(re.findall(r'"((?:\\x..)*)"', rest)).replace("\\x", ""))
    if call == "pwrite64":
        yield Step("write", name, data, int(rest.rsplit(",", 1)[1]))
    else:
        at = place.get(name, 0)
        place[name] = at + len(data)
        yield Step("write", name, data, at)


@dataclass
class Disk:
    """What is surely on the disk, and what may be. A new file may be missing until it is synced."""

    sure: dict[str, bytes]
    loose: dict[str, list[Step]] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        if step.kind == "sync":
            if Path(step.path).is_dir() or step.path in self.loose or step.path in self.sure:
                for name in [step.path]:
                    content = self.sure.get(name, b"")
                    for loose in self.loose.pop(name, []):
                        content = applied(content, loose)
                    self.sure[name] = content
        elif step.kind == "remove":
            self.sure.pop(step.path, None)
            self.loose.pop(step.path, None)
        elif step.kind != "make" or (step.path not in self.sure and step.path not in self.loose):
            self.loose.setdefault(step.path, []).append(step)

    def image(self, chosen: random.Random) -> dict[str, bytes]:
        files = dict(self.sure)
        for name, steps in self.loose.items():
            keep = chosen.choice((0.0, 0.2, 0.5, 0.8, 1.0))
            kept = [step for step in steps if chosen.random() < keep]
            if chosen.random() < 0.3:
                chosen.shuffle(kept)
            content = files.get(name)
            for step in kept:
                content = applied(content or b"", torn(step, chosen))
            if content is not None:
                files[name] = content
        return files


def torn(step: Step, chosen: random.Random) -> Step:
    """Now and then only some sectors of a write arrive."""
    if step.kind != "write" or len(step.data) <= SECTOR or chosen.random() > 0.2:
        return step
    end = chosen.randrange(1, len(step.data) // SECTOR + 1) * SECTOR
    return Step("write", step.path, step.data[:end], step.at)


def applied(content: bytes, step: Step) -> bytes:
    if step.kind == "cut":
        return content[: step.at].ljust(step.at, b"\0")
    if step.kind == "write":
        padded = content.ljust(step.at, b"\0")
        return padded[: step.at] + step.data + padded[step.at + len(step.data) :]
    return content


def images(
    folder: Path, steps: list[Step], count: int, chosen: random.Random
) -> Iterator[tuple[dict[str, bytes], str]]:
    """Disks at random moments, each with the journal as the outside had seen it by then."""
    before = folder.with_name(folder.name + "-before")
    start = {str(folder / path.name): path.read_bytes() for path in before.iterdir()}
    journal = str(folder / "seen")
    cuts = sorted(chosen.choices(range(len(steps) + 1), k=count))
    disk, seen, at = Disk(start), b"", 0
    for cut in cuts:
        while at < cut:
            step = steps[at]
            at += 1
            if step.path == journal:
                seen = applied(seen, step)
            elif not step.path.endswith((".lock", "-shm")) and not Path(step.path).is_dir():
                disk.take(step)
        yield disk.image(chosen), seen.decode()


def judged(files: dict[str, bytes], seen: str, scratch: Path) -> rig.Verdict | None:
    """None where the ledger does not even open: a violation as well."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name, content in files.items():
        (scratch / Path(name).name).write_bytes(content)
    (scratch / "seen").write_text(seen)
    try:
        return rig.judge(scratch / "ledger.sqlite", [scratch / "seen"])
    except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
        print(f"does not open: {type(error).__name__}", flush=True)
        return None


def spender(folder: Path, spends: int, control: bool) -> None:
    """What runs under strace."""
    if control:
        from passbox.dp import storage

        storage.PRAGMAS = tuple(p.replace("synchronous = full", "synchronous = normal") for p in storage.PRAGMAS)
    handle = os.open(folder / "seen", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    chosen = random.Random(1)
    name = 0
    while name < spends:
        with rig.open_ledger(folder / "ledger.sqlite") as ledger:
            for _ in range(chosen.randint(1, 12)):
                rig.spend(ledger, name if chosen.random() < 0.8 else max(0, name - 1), handle)
                name += 1


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=10_000)
    options.add_argument("--spends", type=int, default=60)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--control", action="store_true", help="synchronous = normal, which must fail")
    options.add_argument("--spend", type=int, help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.spend:
        spender(chosen.folder, chosen.spend, chosen.control)
        return 0
    home = Path(tempfile.mkdtemp(prefix="passbox-power-"))
    folder = home / "room"
    folder.mkdir()
    steps = spend_traced(folder, chosen.spends, chosen.control)
    bad = judged_count = 0
    for files, seen in images(folder, steps, chosen.images, random.Random(chosen.seed)):
        verdict = judged(files, seen, home / "scratch")
        bad += verdict is None or not verdict.clean
        judged_count += 1
    kinds = {kind: sum(step.kind == kind for step in steps) for kind in ("write", "sync", "cut", "make", "remove")}
    print(f"{judged_count} images from {kinds}, {bad} violations{' (control)' if chosen.control else ''}")
    shutil.rmtree(home)
    return int((bad == 0) if chosen.control else (bad > 0))


if __name__ == "__main__":
    raise SystemExit(main())

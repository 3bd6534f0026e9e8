"""Every I/O system call of every state-changing command, made to fail: killed there, disk full, disk broken there.

    python tests/torture/faults.py                 # all of them
    python tests/torture/faults.py --every 25      # one in 25, for a quick look

The commands are those of `script.py`, which goes through a room's life once. For each command the calls that touch
anybody's folder are listed under strace; then, for each call and each fault, the folder is put back, the command runs
with that one call failing, and afterwards it is typed again without faults. Whatever happened, the second run must
succeed, each ledger must verify, hold the same kinds of entries and keys, and have charged as much as without a fault;
the folder must hold the same files by name; what was there stays as it was: entries, keys, signatures, shares, bundles
and their tokens, cards; and every release and copy of a log that could be seen must stand on the very entries that it
showed. Nothing is given out that its signer or owner does not remember. A command that says it is done must be done.

Locks are no disk: flock, fcntl and fstat are left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import script

HERE = Path(__file__).parent
CALLS = (
    "openat,read,pread64,preadv,write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,fallocate,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,copy_file_range,sendfile,"
    "getdents64,stat,lstat,newfstatat,statx,readlink,access,faccessat,faccessat2,close,mmap,chmod,fchmod,fchmodat"
)
FAULTS = {"KILL": "signal=KILL", "ENOSPC": "error=ENOSPC", "EIO": "error=EIO"}
FINE = {0, 2, 3, 4, 7}
"""Exit codes a failing disk may give: done, a file on the command line cannot be read, bad input, tampering, storage.
Never 1, a fault of passbox itself."""

WAL = re.compile(r"^(spring|summer)/ledger\.sqlite-")
"""What SQLite leaves where it could not close; whoever opens the ledger next folds it in."""

LINE = re.compile(r"^(?P<thread>\d+)\s+(?P<call>\w+)\((?P<rest>.*)$")
BY_NAME = re.compile("open|rename|unlink|mkdir|rmdir|link|stat|access|chmod$|chmodat")
"""Calls that name their file; the others hold it open."""


@dataclass(frozen=True)
class Step:
    """A command, the folder it starts from, what that looks like, and what it looks like when it is done.

    again: how the command may end when it is typed twice.
    """

    name: str
    words: list[str]
    before: Path
    was: dict[str, Any]
    after: dict[str, Any]
    again: frozenset[int]


@dataclass(frozen=True)
class Point:
    """One call of one command: the `at`-th of its kind in a thread."""

    call: str
    at: int
    path: str


@dataclass
class Tally:
    """What was tried, by command; what went wrong, in words."""

    points: Counter[str] = field(default_factory=Counter)
    tried: int = 0
    struck: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass
class Helper:
    """One zygote, and a folder of its own to break things in.

    disk: where that folder lies. reader: keys of somebody who opens releases. judged: what was judged before.
    """

    home: Path
    disk: Path
    reader: Path
    zygote: subprocess.Popen[str]
    judged: dict[tuple[str, bool, str], str] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        return self.disk / "operator"

    def ask(self, **request: Any) -> int:
        assert self.zygote.stdin is not None
        self.zygote.stdin.write(json.dumps(request) + "\n")
        self.zygote.stdin.flush()
        return int(self.said())

    def said(self) -> str:
        assert self.zygote.stdout is not None
        return self.zygote.stdout.readline()

    def do(self, *what: list[str] | str, **how: Any) -> list[Any]:
        """Type commands until one fails, and "look": how each ended, and what each look saw."""
        to = self.home / "found"
        self.ask(do=list(what), reader=str(self.reader), to=str(to), **{"in": str(self.place)}, **how)
        if int(self.said()):
            raise SystemExit("the judge failed")
        found: list[Any] = json.loads(to.read_text())
        return found

    def type(self, line: str) -> None:
        """One command, which must succeed."""
        if self.do(line.split()) != [0]:
            raise SystemExit(f"`{line}` failed without a fault")

    def type_traced(self, words: list[str], *options: str) -> int:
        """One command under strace; how it ended, as `waitpid` tells it."""
        process = self.ask(do=[words], stopped=True, **{"in": str(self.place)})
        watcher = subprocess.Popen(["strace", "-f", "-qq", "-y", *options, "-p", str(process)], stderr=subprocess.PIPE)
        status = Path(f"/proc/{process}/status")
        while f"TracerPid:\t{watcher.pid}\n" not in status.read_text():
            if watcher.poll() is not None:
                raise SystemExit("strace could not attach")
            time.sleep(0.0005)
        os.kill(process, signal.SIGCONT)
        ended = int(self.said())
        watcher.communicate()
        return ended

    def put_back(self, before: Path) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(before, self.place, symlinks=True)


@contextmanager
def helper(home: Path, reader: Path, plant: str = "") -> Iterator[Helper]:
    home.mkdir(exist_ok=True)
    command = [sys.executable, str(HERE / "zygote.py"), *([plant] if plant else [])]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "TMPDIR": str(home)}
    zygote = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    made = Helper(home, home, reader, zygote)
    try:
        if made.said() != "ready\n":
            raise SystemExit("the zygote did not start")
        yield made
    finally:
        assert zygote.stdin is not None
        zygote.stdin.close()
        zygote.wait()


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder to break things in; in memory where there is room: it is calls that are made to fail, not a disk."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30
    with tempfile.TemporaryDirectory(prefix="passbox-faults-", dir=memory if roomy else None) as home:
        yield Path(home)


def demo(home: Path) -> tuple[Path, Path]:
    """A small demo: everybody's folder as it was before there was a room (`script.py`), and a reader's keys."""
    command = "from passbox.cli.app import main; main()"
    words = ["demo", "--people", "1200", "--seeds", "120", "--json", "--out", str(home / "demo")]
    subprocess.run([sys.executable, "-c", command, *words], check=True, stdout=subprocess.DEVNULL)
    folder = home / "demo"
    operator = folder / "operator"
    for made in ("spring", "spring.ledger"):
        shutil.rmtree(operator / made)
    for left in (*operator.glob("*.release"), operator / "host.keys" / "room.made"):
        left.unlink()
    (operator / "spring.officer.cosigned").unlink()
    shutil.copytree(folder / "officer" / "officer.keys", operator / "officer.keys")
    for name, files in (("publisher", ("visitors.csv", "visitors.ids")), ("advertiser", ("buyers.csv",))):
        go_home(folder / name, operator / name, files)
    for name in ("publisher", "advertiser", "officer"):
        shutil.copy(folder / name / f"{name}.party.toml", operator)
    return operator, folder / "publisher" / "publisher.keys"


def go_home(before: Path, home: Path, files: Collection[str]) -> None:
    """An owner's own folder, with keys that remember the contract and no list."""
    keys = home / f"{home.name}.keys"
    shutil.copytree(before / keys.name, keys)
    shutil.rmtree(keys / "sketches")
    (keys / "sketch.key").unlink()
    for name in files:
        shutil.copy(before / name, home)


def steps_of(one: Helper, operator: Path, home: Path, only: str = "") -> list[Step]:
    """The folder before each command, and what it holds after it.

    only: a regular expression; up to the last command whose name it fits.
    """
    steps = []
    last = max(at for at, typed in enumerate(script.SCRIPT) if re.search(only, typed.name))
    one.put_back(operator)
    for typed in script.SCRIPT[: last + 1]:
        typed.meanwhile(one.place, one.type)
        before = home / "before" / typed.name.replace(" ", "-")
        shutil.copytree(one.place, before, symlinks=True)
        was, code, after = one.do("look", typed.words, "look")
        if code or after["wrong"]:
            raise SystemExit(f"{typed.name} failed without a fault: {code or after['wrong']}")
        steps.append(Step(typed.name, typed.words, before, was, after, typed.again))
    return steps


def points_of(one: Helper, step: Step) -> list[Point]:
    """The calls of a command that touch the operator's folder, once for each kind and number in a thread."""
    one.put_back(step.before)
    trace = one.home / "trace"
    if one.type_traced(step.words, "-e", f"trace={CALLS}", "-o", str(trace)):
        raise SystemExit(f"{step.name} failed under strace without a fault")
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, int], Point] = {}
    for line in trace.read_text(errors="replace").splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        counts[match["thread"], match["call"]] += 1
        at = counts[match["thread"], match["call"]]
        if path := touches(match["call"], match["rest"], one.place):
            found.setdefault((match["call"], at), Point(match["call"], at, path))
    return list(found.values())


def touches(call: str, rest: str, place: Path) -> str:
    """Which file of the folder a traced call is about; "" where none. With -y, strace names the file of a handle."""
    handle = re.search(r"(?:AT_FDCWD|\d+)<([^>]*)>", rest)
    path = handle[1] if handle else ""
    if BY_NAME.search(call) and (name := re.search(r'"([^"]*)"', rest)):
        path = str(Path(path or place, name[1]))
    return path.removeprefix(str(place)).lstrip("/") or "." if path.startswith(str(place)) else ""


def tried(one: Helper, step: Step, point: Point, fault: str) -> tuple[str, bool]:
    """What does not hold after one fault and a second try, if anything; and whether the fault struck the folder."""
    one.put_back(step.before)
    trace = one.home / "struck"
    injected = f"inject={point.call}:{FAULTS[fault]}:when={point.at}"
    ended = one.type_traced(step.words, "-e", f"trace={point.call}", "-e", injected, "-o", str(trace))
    struck = (
        os.WIFSIGNALED(ended)
        if fault == "KILL"
        else any(
            "INJECTED" in line and (match := LINE.match(line)) and touches(match["call"], match["rest"], one.place)
            for line in trace.read_text(errors="replace").splitlines()
        )
    )
    return wrong_after(one, step, ended), struck


def wrong_after(one: Helper, step: Step, ended: int) -> str:
    """What a fault left behind is judged once: thousands of faults strike before anything was changed."""
    if os.WIFEXITED(ended) and os.WEXITSTATUS(ended) not in FINE:
        return f"exit code {os.WEXITSTATUS(ended)}"
    state = (step.name, ended == 0, fingerprint(one.place))
    if state not in one.judged:
        one.judged[state] = judged(one, step, ended)
    return one.judged[state]


def fingerprint(place: Path) -> str:
    """Names and bytes of everything in a folder."""
    whole = hashlib.sha256()
    for path in sorted(place.rglob("*")):
        whole.update(f"{path.relative_to(place)}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes() if path.is_file() else b"").digest())
    return whole.hexdigest()


def judged(one: Helper, step: Step, ended: int) -> str:
    rooms = step.after["rooms"]
    found, again, *codes, then = one.do("look", step.words, *map(script.verify, rooms), "look")
    if ended == 0 and (wrong := unlike(found, step.after, untidy=True)):
        return f"it said it was done: {wrong}"
    if again not in step.again or any(code not in step.again for code in codes):
        return f"the second try, or the verifier, failed with {[again, *codes]}"
    for before in (step.was, found):
        if wrong := forgotten(before, then, step.after["kept"]):
            return wrong
    for at in (found, then):
        if wrong := "; ".join(at["wrong"]) or unfounded(at, then):
            return wrong
    return unlike(then, step.after)


def forgotten(before: dict[str, Any], then: dict[str, Any], wanted: Collection[str]) -> str:
    """What was there already, and is gone or another. wanted: files that are to stay."""
    for name, room in before["rooms"].items():
        log = then["rooms"].get(name, {"log": []})["log"]
        if log[: len(room["log"])] != room["log"]:
            return f"entries of {name} that were committed are gone, or others"
    changed = [name for name in before["kept"] if name in wanted and then["kept"].get(name) != before["kept"][name]]
    return f"{changed} were there, and are gone or others" if changed else ""


def unfounded(at: dict[str, Any], then: dict[str, Any]) -> str:
    """A release or a copy of a log that does not stand on the log that is there in the end, if one is."""
    logs = [room["log"] for room in then["rooms"].values()]
    if not logs:
        return ""
    for name, entries in at["seen"].items():
        if any(seq < 0 or not any(log[seq : seq + 1] == [entry] for log in logs) for seq, entry in entries):
            return f"{name} does not stand on the log: it was torn, or published before it was paid for"
    for name, entries in at["copies"].items():
        if not any(log[: len(entries)] == entries for log in logs):
            return f"{name} is no copy of the log: it was torn, or published before it was committed"
    return ""


def unlike(found: dict[str, Any], wanted: dict[str, Any], *, untidy: bool = False) -> str:
    """How a folder differs from one in which nothing ever failed. untidy: temporaries may lie there for the next one
    to remove."""
    if sorted(found["rooms"]) != sorted(wanted["rooms"]):
        return f"the rooms are {sorted(found['rooms'])}, not {sorted(wanted['rooms'])}"
    for name, room in wanted["rooms"].items():
        for what in ("spent", "lost", "kinds", "keys", "witnessed"):
            if (is_ := found["rooms"][name][what]) != room[what]:
                return f"{what} in {name}: {is_}, not {room[what]}"
    if sorted(found["seen"]) != sorted(wanted["seen"]):
        return "other releases are there"
    files = {name for name in found["files"] if not (WAL.search(name) or (untidy and ".tmp" in name))}
    more, fewer = files - set(wanted["files"]), set(wanted["files"]) - files
    return f"files left behind {sorted(more)}, missing {sorted(fewer)}" if more or fewer else ""


def strike(
    tally: Tally,
    one: Helper,
    steps: list[Step],
    *others: Helper,
    every: int = 1,
    calls: Collection[str] = (),
    in_turn: bool = False,
    seed: int = 1,
    say: Callable[..., Any] = print,
) -> None:
    """All faults, or one in so many of the calls. Each helper works beside the others.

    calls: of these kinds only. in_turn: at each call one fault, the first here and the second there, instead of all.
    """
    picked, turns, work = random.Random(seed), cycle(FAULTS), []
    for step in steps:
        points = [point for point in points_of(one, step) if not calls or point.call in calls]
        chosen = [point for point in points if picked.randrange(every) == 0]
        chosen = chosen or picked.sample(points, min(1, len(points)))  # no command is left out
        tally.points[step.name] = len(chosen)
        say(f"{step.name}: {len(chosen)} of {len(points)} calls", flush=True)
        work += [(step, point, fault) for point in chosen for fault in ((next(turns),) if in_turn else FAULTS)]
    free: SimpleQueue[Helper] = SimpleQueue()
    for each in (one, *others):
        free.put(each)

    def struck(job: tuple[Step, Point, str]) -> None:
        step, point, fault = job
        helper = free.get()
        try:
            wrong, hit = tried(helper, step, point, fault)
        finally:
            free.put(helper)
        tally.tried, tally.struck = tally.tried + 1, tally.struck + hit
        if tally.tried % 1000 == 0:
            say(f"{tally.tried} of {len(work)} faults", flush=True)
        if wrong:
            tally.wrong.append(f"{step.name}: {fault} at {point.call} {point.at} ({point.path}): {wrong}")
            say(tally.wrong[-1], flush=True)

    with ThreadPoolExecutor(1 + len(others)) as pool:
        list(pool.map(struck, work))


def torture(
    home: Path,
    only: str = "",
    workers: int = 2,
    plant: str = "",
    *,
    every: int = 1,
    calls: Collection[str] = (),
    seed: int = 1,
    say: Callable[..., Any] = print,
) -> Tally:
    """Make a room, and break it. only: commands whose name this fits."""
    tally = Tally()
    operator, reader = demo(home)
    with ExitStack() as stack:
        one, *others = (stack.enter_context(helper(home / f"worker-{n}", reader, plant)) for n in range(workers))
        steps = [step for step in steps_of(one, operator, home, only) if re.search(only, step.name)]
        strike(tally, one, steps, *others, every=every, calls=calls, seed=seed, say=say)
    return tally


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--every", type=int, default=1, help="try one call in so many")
    options.add_argument("--only", default="", help="commands whose name this regular expression fits")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options.add_argument("--plant", default="", help="a planted fault (`planted.py`), which must be found")
    chosen = options.parse_args()
    started = time.monotonic()
    with scratch() as home:
        tally = torture(home, chosen.only, chosen.workers, chosen.plant, every=chosen.every, seed=chosen.seed)
    took = time.monotonic() - started
    print(
        f"{tally.tried} faults at {sum(tally.points.values())} calls, {tally.struck} of them struck the folder; "
        f"{len(tally.wrong)} violations; {took:.0f} s"
    )
    return int(bool(tally.wrong))


if __name__ == "__main__":
    raise SystemExit(main())

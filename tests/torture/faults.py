"""Every I/O system call of every state-changing command, made to fail: killed there, disk full, disk broken there.

    python tests/torture/faults.py                 # all of them
    python tests/torture/faults.py --every 25      # one in 25, for a quick look

A room is made once. For each command the calls that touch the operator's folder are listed under strace; then, for each
call and each fault, the folder is put back, the command runs with that one call failing, and afterwards it is typed
again without faults. Whatever happened, the second run must succeed, the ledger must verify, hold as many entries and
have charged as much as without a fault, the folder must hold the same files by name, and every release that could be
seen before must still stand on the very entries that it showed. A command that says it is done must be done.

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
from pathlib import Path
from queue import SimpleQueue
from typing import Any

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

WAL = "spring/ledger.sqlite-"
"""What SQLite leaves where it could not close; whoever opens the ledger next folds it in."""

LINE = re.compile(r"^(?P<thread>\d+)\s+(?P<call>\w+)\((?P<rest>.*)$")
BY_NAME = re.compile("open|rename|unlink|mkdir|rmdir|link|stat|access|chmod$|chmodat")
"""Calls that name their file; the others hold it open."""


@dataclass(frozen=True)
class Step:
    """A command, the folder it starts from, and what the folder is when it is done."""

    name: str
    words: list[str]
    before: Path
    after: dict[str, Any]


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


COMMANDS = (
    ("room new", "room new spring --contract contract.toml --key host.keys"),
    ("submit people", "submit spring visitors.bundle"),
    ("submit seed", "submit spring buyers.bundle"),
    ("match", "match spring"),
    ("run overlap", "run spring overlap.toml"),
    ("run lookalike", "run spring lookalike.toml"),
    ("release export", "release export spring --out out"),
    ("ledger export", "ledger export spring"),
    ("ledger export again", "ledger export spring"),
    ("ledger cosign", "ledger cosign spring.ledger --contract contract.toml --key officer.keys --seen spring.seen"),
    ("ledger accept", "ledger accept spring spring.officer.cosigned"),
    ("ledger verify", "ledger verify spring --contract contract.toml"),
)
VERIFY = ["ledger", "verify", "spring", "--contract", "contract.toml"]


def demo(home: Path) -> tuple[Path, Path]:
    """A small demo: the operator's folder as it was before there was a room, and a reader's keys.

    The officer's keys lie beside the operator's, so that one folder sees everything.
    """
    command = "from passbox.cli.app import main; main()"
    words = ["demo", "--people", "1200", "--seeds", "120", "--json", "--out", str(home / "demo")]
    subprocess.run([sys.executable, "-c", command, *words], check=True, stdout=subprocess.DEVNULL)
    operator = home / "demo" / "operator"
    for made in ("spring", "spring.ledger"):
        shutil.rmtree(operator / made)
    for left in (*operator.glob("*.release"), operator / "host.keys" / "room.made"):
        left.unlink()
    (operator / "spring.officer.cosigned").unlink()
    shutil.copytree(home / "demo" / "officer" / "officer.keys", operator / "officer.keys")
    return operator, home / "demo" / "publisher" / "publisher.keys"


def steps_of(one: Helper, operator: Path, home: Path) -> list[Step]:
    """The folder before each command, and what it holds after it."""
    steps = []
    one.put_back(operator)
    for name, line in COMMANDS:
        before = home / "before" / name.replace(" ", "-")
        shutil.copytree(one.place, before, symlinks=True)
        code, after = one.do(line.split(), "look")
        if code:
            raise SystemExit(f"{name} failed without a fault")
        steps.append(Step(name, line.split(), before, after))
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
    verify = [VERIFY] if step.name != "room new" else []
    found, *codes, again = one.do("look", step.words, *verify, "look")
    if ended == 0 and (wrong := unlike(found, step.after, untidy=True)):
        return f"it said it was done: {wrong}"
    if any(codes):
        return f"the second try, or the verifier, failed with {codes}"
    if "spring.officer.cosigned" in found["files"] and "spring.seen" not in found["files"]:
        return "a cosignature is out that its witness does not remember"
    if again["log"][: len(found["log"])] != found["log"]:
        return "entries that were committed are gone, or others"
    for name, entries in (*found["seen"].items(), *again["seen"].items()):
        if any(at < 0 or again["log"][at : at + 1] != [entry] for at, entry in entries):
            return f"{name} does not stand on the log: it was torn, or published before it was paid for"
    return unlike(again, step.after)


def unlike(found: dict[str, Any], wanted: dict[str, Any], *, untidy: bool = False) -> str:
    """How a folder differs from one in which nothing ever failed. untidy: temporaries may lie there for the next one
    to remove."""
    if found["spent"] != wanted["spent"]:
        return f"{found['spent']} was charged, not {wanted['spent']}"
    if found["witnessed"] != wanted["witnessed"]:
        return f"{found['witnessed']} is remembered of witnesses, not {wanted['witnessed']}"
    if len(found["log"]) != len(wanted["log"]):
        return f"{len(found['log'])} entries, not {len(wanted['log'])}"
    if sorted(found["seen"]) != sorted(wanted["seen"]):
        return "other releases are there"
    files = {name for name in found["files"] if not (name.startswith(WAL) or (untidy and ".tmp" in name))}
    more, fewer = files - set(wanted["files"]), set(wanted["files"]) - files
    return f"files left behind {sorted(more)}, missing {sorted(fewer)}" if more or fewer else ""


def strike(
    tally: Tally,
    one: Helper,
    steps: list[Step],
    *others: Helper,
    every: int = 1,
    calls: Collection[str] = (),
    seed: int = 1,
    say: Callable[..., Any] = print,
) -> None:
    """All faults, or one in so many of the calls. calls: of these kinds only. Each helper works beside the others."""
    picked, work = random.Random(seed), []
    for step in steps:
        points = [point for point in points_of(one, step) if not calls or point.call in calls]
        chosen = [point for point in points if picked.randrange(every) == 0]
        tally.points[step.name] = len(chosen)
        say(f"{step.name}: {len(chosen)} of {len(points)} calls", flush=True)
        work += [(step, point, fault) for point in chosen for fault in FAULTS]
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
    """Make a room, and break it. only: commands whose name holds this."""
    tally = Tally()
    operator, reader = demo(home)
    with ExitStack() as stack:
        one, *others = (stack.enter_context(helper(home / f"worker-{n}", reader, plant)) for n in range(workers))
        steps = [step for step in steps_of(one, operator, home) if only in step.name]
        strike(tally, one, steps, *others, every=every, calls=calls, seed=seed, say=say)
    return tally


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--every", type=int, default=1, help="try one call in so many")
    options.add_argument("--only", default="", help="commands whose name holds this")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options.add_argument("--plant", default="", help="a planted fault (`planted.py`), which must be found")
    chosen = options.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="passbox-faults-") as home:
        tally = torture(Path(home), chosen.only, chosen.workers, chosen.plant, every=chosen.every, seed=chosen.seed)
    took = time.monotonic() - started
    print(
        f"{tally.tried} faults at {sum(tally.points.values())} calls, {tally.struck} of them struck the folder; "
        f"{len(tally.wrong)} violations; {took:.0f} s"
    )
    return int(bool(tally.wrong))


if __name__ == "__main__":
    raise SystemExit(main())

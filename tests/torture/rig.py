"""A ledger to torture, and the one check that every torture ends with.

    seen            what a spender was given by `pay`, written down at once in a journal of its own
    the check       every release that was seen is in the ledger with the same numbers; every release was charged once;
                    balances, entries, hours, tree and signatures agree; nothing is above its cap

The check reads the file with SQLite alone and recomputes what it can; only noisy bytes are opened by the ledger itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from passbox.dp.account import BudgetExceeded, Cap
from passbox.dp.aggregate import Statistic
from passbox.dp.budget import Rho
from passbox.dp.canonical import canonical
from passbox.dp.entry import Charge, Context, Purchase, Specification
from passbox.dp.ledger import Ledger
from passbox.dp.noisy import Noisy
from passbox.dp.note import BadNote, Checkpoint, NoteKey, verify_checkpoint
from passbox.dp.scale import price, smallest_scale
from passbox.dp.selection import Candidates, Selection
from passbox.dp.tree import leaf_hash, root_of
from passbox.dp.window import Window

ACCOUNT = "advertiser/record"
KEY = NoteKey("torture.example/room", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
L2_SQUARED = 1
SCALE = smallest_scale(L2_SQUARED, Rho(23_456_789))
COST = price(L2_SQUARED, SCALE)

SELECTING = "advertiser/selection"
PICKS = Selection(keys_per_person=1, delta=1_000, steps=1)
"""Every third statistic is about keys that nobody listed, and costs so much δ as well."""

asking = (-1, -1)
"""The journal and the statistic of the payment under way, for a plant that publishes too early."""

Plant = Callable[[], None]


def nothing() -> None:
    """The plant that plants nothing."""


@dataclass(frozen=True)
class Vault:
    """Seals as a room does; the key is known, this is a rig."""

    key: bytes = bytes(range(32))

    def seal(self, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + AESGCM(self.key).encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        return AESGCM(self.key).decrypt(sealed[:12], sealed[12:], context)


def clock() -> datetime:
    return datetime.now(UTC)


def create(path: Path, fits: int, now: Callable[[], datetime] = clock) -> None:
    """A ledger whose one account holds `fits` releases."""
    record = Cap(ACCOUNT, "advertiser", "record", "1.0", "1e-06", Rho(COST * fits), "cc" * 32)
    selection = Cap(SELECTING, "advertiser", "record", "0.0", "1e-15", Rho(PICKS.delta * fits), "cc" * 32)
    Ledger.create(path, KEY, Vault(), now, [record, selection]).close()


def open_ledger(path: Path, now: Callable[[], datetime] = clock, window: Window | None = None) -> Ledger:
    return Ledger(path, KEY, Vault(), now, window)


def purchase(name: int) -> Purchase:
    """One count; another number is another statistic."""
    listed = name % 3 > 0
    spec = Specification(
        statistic="matched-count@1" if listed else "keys@1",
        datasets={"visitors": "aa" * 32, "buyers": "bb" * 32},
        unit="record",
        rule="own-best",
        part="all",
        columns=(f"column-{name}",),
        cells=1,
        bits=0,
        l2_squared=L2_SQUARED,
        scale=SCALE,
        query="" if listed else "ee" * 32,
        selection=0 if listed else PICKS.delta,
    )
    context = Context("cc" * 32, "dd" * 32, "publisher", ("publisher",), "torture")
    charges = (Charge(ACCOUNT, "buyers", COST),)
    if listed:
        return Purchase(spec, charges, context)
    return Purchase(spec, charges, context, selection=PICKS, selecting=(Charge(SELECTING, "buyers", Rho(PICKS.delta)),))


def pay(ledger: Ledger, bought: Purchase) -> Noisy:
    """Five hundred people; or two keys, of which one has enough."""
    if bought.selection is None:
        return ledger.pay(bought, Statistic(np.array([500], dtype=np.int64), bits=0, l2_squared=L2_SQUARED))
    two = Statistic(np.array([500_000, 1], dtype=np.int64), bits=0, l2_squared=L2_SQUARED)
    return ledger.select(bought, Candidates(("many", "one"), 1, two))


def spend(ledger: Ledger, name: int, journal: int) -> None:
    """Pay, and write down what came out: from then on it counts as seen by a reader."""
    global asking
    asking = (journal, name)
    show(journal, name, pay(ledger, purchase(name)))


def show(journal: int, name: int, noisy: Noisy) -> None:
    os.write(journal, f"{name} {what(noisy)}\n".encode())


def what(noisy: Noisy) -> str:
    """The noisy numbers, their keys and their nonce, in 64 letters."""
    return hashlib.sha256(noisy.values.tobytes() + noisy.receipt.nonce + repr(noisy.keys).encode()).hexdigest()


def try_to_spend(ledger: Ledger, name: int, journal: int) -> bool:
    """Whether it fitted."""
    try:
        spend(ledger, name, journal)
    except BudgetExceeded:
        return False
    return True


def journal_at(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def child(act: Callable[[], object], plant: Plant = nothing) -> int:
    """Do something in a process of its own. It ends with 0, or with 3 after an error that it names on stderr."""
    process = os.fork()
    if process == 0:
        code = 3
        try:
            plant()
            act()
            code = 0
        except BaseException as error:  # noqa: BLE001 - a fork must never return into the parent's code
            if not os.environ.get("TORTURE_QUIET"):
                os.write(2, f"a child failed: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    return process


def done(act: Callable[[], object], plant: Plant = nothing) -> int:
    """The same, waited for: exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child(act, plant), 0)[1])


# -- the check -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What the check found. seen, releases: for scale. lost: seen, and not in the ledger. fresh: in it with other
    numbers than were seen. doubled: drawn or charged more than once. unpaid: released and not charged. behind: heads
    that were seen, and that the log does not extend. books: which sums, signatures and rows do not agree."""

    seen: int = 0
    releases: int = 0
    lost: int = 0
    fresh: int = 0
    doubled: int = 0
    unpaid: int = 0
    behind: int = 0
    books: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not (self.lost or self.fresh or self.doubled or self.unpaid or self.behind or self.books)

    def __str__(self) -> str:
        counts = {name: getattr(self, name) for name in ("lost", "fresh", "doubled", "unpaid", "behind")}
        wrong = [f"{count} {name}" for name, count in counts.items() if count] + list(self.books)
        return f"{self.seen} seen, {self.releases} in the ledger: {', '.join(wrong) or 'all in order'}"


def seen_in(journals: Iterable[Path]) -> dict[int, set[str]]:
    """What readers saw, by name; more than one thing where a statistic was shown with two noises."""
    shown: dict[int, set[str]] = {}
    for journal in journals:
        for line in journal.read_text().splitlines():
            name, _, seen = line.partition(" ")
            if len(seen) == 64 and name.isdigit():  # a kill may tear the last line
                shown.setdefault(int(name), set()).add(seen)
    return shown


def judge(path: Path, journals: Iterable[Path], heads: Iterable[Checkpoint] = ()) -> Verdict:
    """Compare what readers saw with what the ledger holds. heads: checkpoints that were seen before."""
    shown = seen_in(journals)
    try:
        return _judged(path, shown, heads)
    except Exception as error:  # noqa: BLE001 - whatever it is, a ledger that cannot be read is broken
        return Verdict(len(shown), books=(f"it cannot be read: {type(error).__name__}",))


def _judged(path: Path, shown: dict[int, set[str]], heads: Iterable[Checkpoint]) -> Verdict:
    with open_ledger(path) as ledger:
        held = {name: _held(ledger, name) for name in shown}
    leaves, rows, wrong = _rows(path)
    entries = [json.loads(leaf) for leaf in leaves]
    released = [entry for entry in entries if entry["kind"] == "release"]
    keys = Counter(entry["key"] for entry in released)
    return Verdict(
        seen=len(shown),
        releases=len(keys),
        lost=sum(not digest for digest in held.values()),
        fresh=sum(bool(held[name]) and len(digests | {held[name]}) > 1 for name, digests in shown.items()),
        doubled=sum(count > 1 for count in keys.values()),
        unpaid=sum(not entry["charges"] for entry in released),
        behind=sum(_head(leaves, head.size) != head.root for head in heads),
        books=(*wrong, *_books(entries, leaves, rows)),
    )


def _held(ledger: Ledger, name: int) -> str:
    """What the ledger holds of a statistic, "" where nothing, "?" where it cannot be read."""
    try:
        noisy = ledger.paid(purchase(name))
    except sqlite3.Error:
        raise
    except Exception:  # noqa: BLE001 - sealed otherwise, or not what the log commits to
        return "?"
    return what(noisy) if noisy else ""


def _head(leaves: list[bytes], size: int) -> bytes:
    return root_of(map(leaf_hash, leaves[:size])) if size <= len(leaves) else b""


Rows = dict[str, list[tuple[Any, ...]]]


def _rows(path: Path) -> tuple[list[bytes], Rows, list[str]]:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        tables = {
            "account": "select id, cap, spent from account",
            "charge": "select key, account, rho from charge",
            "checkpoint": "select size, note from checkpoint order by size",
            "release": "select key, seq, length(body) from release",
        }
        rows = {name: db.execute(statement).fetchall() for name, statement in tables.items()}
        leaves = [leaf for (leaf,) in db.execute("select leaf from entry order by seq")]
        wrong = [f"sqlite: {said}" for (said,) in db.execute("pragma integrity_check") if said != "ok"]
        wrong += ["a row points nowhere" for _ in db.execute("pragma foreign_key_check")]
    return leaves, rows, wrong


def _books(entries: list[dict[str, Any]], leaves: list[bytes], rows: Rows) -> Iterator[str]:
    """What does not agree."""
    if [canonical(entry) for entry in entries] != leaves or [e["seq"] for e in entries] != list(range(len(entries))):
        yield "entries are not numbered, or not canonical"
    if [entry["time"] for entry in entries] != sorted(entry["time"] for entry in entries):
        yield "hours run backwards"
    charges = [(entry["key"], paid) for entry in entries for paid in entry.get("charges", [])]
    for name, cap, spent in rows["account"]:
        own = [paid for _, paid in charges if paid["account"] == name]
        totals = [sum(paid["rho"] for paid in own[:at]) for at in range(len(own) + 1)]
        if spent != totals[-1]:
            yield f"{spent} was spent, {totals[-1]} was logged"
        if max(spent, totals[-1]) > cap:
            yield "an account is above its cap"
        if [paid["before"] for paid in own] != totals[:-1]:
            yield "running balances are wrong"
    if sorted(rows["charge"]) != sorted((key, paid["account"], paid["rho"]) for key, paid in charges):
        yield "charges and entries differ"
    least = {ACCOUNT: COST, SELECTING: PICKS.delta}
    if any(paid["rho"] < least[paid["account"]] for _, paid in charges):
        yield "less was charged than it costs"
    selected = {e["key"] for e in entries if e["kind"] == "release" and "selection" in e["specification"]}
    if selected != {key for key, paid in charges if paid["account"] == SELECTING}:
        yield "keys were shown, and not paid for in δ"
    if {key for key, _, _ in rows["release"]} != {e["key"] for e in entries if e["kind"] == "release"}:
        yield "releases and entries differ"
    yield from _signed(leaves, rows["checkpoint"])


def _signed(leaves: list[bytes], notes: list[tuple[Any, ...]]) -> Iterator[str]:
    """Each entry has a signed checkpoint of its own; the newest is over exactly these leaves."""
    if [size for size, _ in notes] != list(range(1, len(leaves) + 1)):
        yield "checkpoints and entries differ in number"
    try:
        heads = [verify_checkpoint(note, KEY.vkey) for _, note in notes[-3:]]
    except BadNote:
        yield "a checkpoint is not signed"
        return
    if [head.size for head in heads] != [size for size, _ in notes[-3:]]:
        yield "a checkpoint is not of its entry"
    if any(_head(leaves, head.size) != head.root for head in heads):
        yield "a checkpoint is not over these entries"

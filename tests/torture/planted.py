"""Faults planted in the ledger, each of which the torture, or a named test, must catch.

    python tests/torture/planted.py            # a table: what was planted, and what caught it

Each is a few lines put over the product in a process of its own; the checks run without it. Every check also runs with
nothing planted, and must then be quiet: what always cries catches nothing.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import conditions
import faults
import kills
import numpy as np
import power
import races
import rig
import zygote

from passbox.dp import log as log_module
from passbox.dp import mechanisms, storage
from passbox.dp.account import Account, BudgetExceeded
from passbox.dp.balances import Balances
from passbox.dp.entry import Purchase, hour
from passbox.dp.ledger import Ledger
from passbox.dp.log import Log
from passbox.dp.noisy import Noisy
from passbox.dp.note import NoteKey
from passbox.dp.releases import Releases
from passbox.dp.storage import Storage
from passbox.dp.tree import leaf_hash, root_of
from passbox.dp.window import Window

HERE = Path(__file__).parent

# -- checks ------------------------------------------------------------------------------------------------------------

Check = Callable[[str], str]
"""From the name of a plant, "" for none, to what was found wrong, "" for nothing."""


def clocks(plant: str) -> str:
    return first(conditions.clocks(PLANTS[plant].plant))


def unwitnessed(plant: str) -> str:
    return first(conditions.unwitnessed(PLANTS[plant].plant))


def statements(plant: str) -> str:
    return first(kills.at_every_statement(PLANTS[plant].plant))


def random_kills(plant: str) -> str:
    tally = kills.torture(60, 1, PLANTS[plant].plant)
    return first(tally.wrong) or (f"{tally.failed} spenders failed" if tally.failed else "")


def race(plant: str) -> str:
    return first(races.for_a_budget(16, PLANTS[plant].plant))


def race_for_one(plant: str) -> str:
    return first(races.for_one_statistic(16, PLANTS[plant].plant))


def power_cuts(plant: str) -> str:
    return first(power.torture(60, 20, 1, plant).wrong)


def any_order(plant: str) -> str:
    """In this very process, which is one of its own."""
    import orders

    PLANTS[plant].plant()
    try:
        orders.torture(600, shrink=False, fixed=True, say=lambda *_, **__: None)
    except BaseException as error:  # noqa: BLE001 - whatever the machine trips over
        return f"{type(error).__name__} after {orders.Orders.steps} steps"
    return ""


def write_calls(plant: str) -> str:
    """The writes of one command, made to fail."""
    with tempfile.TemporaryDirectory(prefix="passbox-faults-") as home:
        quiet: Any = lambda *_, **__: None  # noqa: E731
        tally = faults.torture(Path(home), only="run overlap", calls=("write",), plant=plant, say=quiet)
        return first(tally.wrong)


def test(name: str) -> Check:
    """A named test of the suite."""

    def check(plant: str) -> str:
        import pytest

        sys.path.insert(0, str(HERE.parent / "dp"))
        PLANTS[plant].plant()
        options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly"]
        with tempfile.TemporaryDirectory(prefix="passbox-planted-") as home:
            code = pytest.main([str(HERE.parent / name), *options, f"--basetemp={home}/tests"])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            raise RuntimeError(f"pytest ended with {code}")
        return "the test failed" if code else ""

    check.__name__ = name.split("::")[1]
    return check


def first(wrong: list[str]) -> str:
    return wrong[0] if wrong else ""


# -- faults ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planted:
    """plant: puts the fault over the product. caught_by: checks that must catch it, each of them."""

    plant: Callable[[], None]
    caught_by: tuple[Check, ...]


def put(owner: Any, name: str, what: Any) -> Any:
    """Put something over a part of the product; what was there."""
    real = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, what)
    return real


def published_before_the_commit() -> None:
    real = put(Ledger, "_draw", lambda *given: shown(real(*given)))

    def shown(noisy: Noisy) -> Noisy:
        rig.show(*rig.asking, noisy)
        return noisy


def noise_drawn_outside_the_transaction() -> None:
    def pay(ledger: Ledger, purchase: Purchase, statistic: Any) -> Noisy:
        if (held := ledger.paid(purchase)) is not None:
            return held
        spec = purchase.specification
        drawn = mechanisms.gaussian(statistic.values, spec.l2_squared, spec.scale, purchase.charges[0].rho)
        time.sleep(0.2)  # so that others draw too, however few run at once
        mechanisms.gaussian, real_gaussian = lambda *_: drawn, mechanisms.gaussian
        try:
            return replace(real(ledger, purchase, statistic), values=drawn)
        finally:
            mechanisms.gaussian = real_gaussian

    real = put(Ledger, "pay", pay)


def no_lock() -> None:
    put(Storage, "_locked", lambda _: nullcontext())


def balance_read_before_the_lock() -> None:
    """As many ledgers are written: look, decide, then write the new balance."""

    def pay(ledger: Ledger, purchase: Purchase, statistic: Any) -> Noisy:
        known.clear()
        known.update({name: account.spent for name, account in ledger.accounts().items()})
        time.sleep(0.02)
        return real(ledger, purchase, statistic)

    def account(balances: Balances, name: str, seen: Any) -> Account:
        held = real_account(balances, name, seen)
        return replace(held, spent=known.get(name, held.spent))

    def rows(self: Storage, statement: str, *values: Any) -> list[Any]:
        if statement.startswith("update account"):
            statement, values = "update account set spent = ? where id = ?", (known[values[1]] + values[0], values[1])
        return real_rows(self, statement, *values)

    known: dict[str, Any] = {}
    real, real_account = put(Ledger, "pay", pay), put(Balances, "of", account)
    real_rows = put(Storage, "rows", rows)


def float_budget() -> None:
    """Sums in 32 bits, as in a table of floats."""

    def rows(self: Storage, statement: str, *values: Any) -> list[Any]:
        if statement.startswith("update account"):
            ((spent,),) = real(self, "select spent from account where id = ?", values[1])
            total = int(np.float32(spent) + np.float32(values[0]))
            statement, values = "update account set spent = ? where id = ?", (total, values[1])
        return real(self, statement, *values)

    real = put(Storage, "rows", rows)


def synchronous(how: str) -> Callable[[], None]:
    def plant() -> None:
        weak = (pragma.replace("synchronous = full", f"synchronous = {how}") for pragma in storage.PRAGMAS)
        storage.PRAGMAS = tuple(weak)

    return plant


def charge_after_the_commit() -> None:
    def pay(ledger: Ledger, purchase: Purchase, statistic: Any) -> Noisy:
        due.clear()
        noisy = real(ledger, purchase, statistic)
        with ledger._storage.writing():
            for charge in due:
                ledger._storage.rows("update account set spent = spent + ? where id = ?", charge.rho, charge.account)
        return noisy

    def take(ledger: Ledger, head: Any, charges: Any) -> list[Any]:
        due.extend(charges)
        balances = [ledger._balances.of(charge.account, head.seen).spent for charge in charges]
        return [{**asdict(charge), "before": before} for charge, before in zip(charges, balances, strict=True)]

    due: list[Any] = []
    real = put(Ledger, "pay", pay)
    put(Ledger, "_take", take)


def commit_after_the_answer() -> None:
    """Group commit that forgot to wait: what is paid becomes durable with the next payment, or when it is closed."""

    @contextmanager
    def writing(self: Storage) -> Iterator[None]:
        if self._db.in_transaction:
            self.rows("commit")
        self.rows("begin immediate")
        yield

    def close(self: Storage) -> None:
        if self._db.in_transaction:
            self.rows("commit")
        real(self)

    put(Storage, "writing", writing)
    put(Storage, "reading", lambda _: nullcontext())
    real = put(Storage, "close", close)


def no_rollback() -> None:
    @contextmanager
    def transaction(self: Storage, begin: str) -> Iterator[None]:
        self.rows(begin)
        yield
        self.rows("commit")

    put(Storage, "_transaction", transaction)


def key_that_is_not_unique() -> None:
    loose = (s.replace("key text primary key", "key text").replace(", without rowid", "") for s in storage.SCHEMA)
    storage.SCHEMA = tuple(s.replace("unique(key, account)", "check(1)") for s in loose)
    storage.PRAGMAS = tuple(pragma for pragma in storage.PRAGMAS if "foreign_keys" not in pragma)
    put(Releases, "stored", lambda *_: None)
    put(Balances, "due", lambda _, purchase: purchase.charges)


def key_that_names_the_job() -> None:
    real = Purchase.__dict__["key"].fget
    put(Purchase, "key", property(lambda self: hashlib.sha256((real(self) + self.context.job).encode()).hexdigest()))


def replay_draws_again() -> None:
    def stored(releases: Releases, purchase: Purchase) -> Noisy | None:
        noisy = real(releases, purchase)
        spec = purchase.specification
        if noisy is None:
            return None
        return replace(
            noisy, values=mechanisms.gaussian(noisy.values, spec.l2_squared, spec.scale, purchase.charges[0].rho)
        )

    real = put(Releases, "stored", stored)


def cap_check_skipped() -> None:
    """Both of them: in Python, and in SQLite."""
    put(Account, "refuse_above", lambda *_: None)
    storage.SCHEMA = tuple(s.replace("check(spent <= cap)", "check(1)") for s in storage.SCHEMA)


def cap_check_that_forgives() -> None:
    """One part in a million, because floats are not exact."""

    def refuse_above(account: Account, rho: Any) -> None:
        if rho > account.left * (1 + 1e-6) + 1:
            raise BudgetExceeded(account.id, rho, account.left, account.cap)

    put(Account, "refuse_above", refuse_above)


def window_not_checked() -> None:
    put(Window, "most", lambda _, cap: cap)


def forked_head_taken() -> None:
    real = put(Ledger, "witness", lambda self, name, size, _, note: real(self, name, size, our_head(self, size), note))

    def our_head(ledger: Ledger, size: int) -> bytes:
        return root_of(leaf_hash(leaf) for leaf in ledger.leaves()[:size])


def leaf_not_appended() -> None:
    """It is in the tree, and in nobody's hands."""

    def rows(self: Storage, statement: str, *values: Any) -> list[Any]:
        if statement.startswith("insert into entry") and b'"kind":"denial"' in values[1]:
            return []
        return real(self, statement, *values)

    real = put(Storage, "rows", rows)


def checkpoint_not_signed() -> None:
    stranger = NoteKey.new(rig.KEY.name)
    real = put(log_module, "sign_checkpoint", lambda name, size, root, _: real(name, size, root, stranger))


def checkpoint_of_before() -> None:
    def rows(self: Storage, statement: str, *values: Any) -> list[Any]:
        if statement.startswith("insert into checkpoint") and values[0] > 2:
            ((note,),) = real(self, "select note from checkpoint where size = ?", values[0] - 1)
            values = (values[0], note)
        return real(self, statement, *values)

    real = put(Storage, "rows", rows)


def hour_that_runs_backwards() -> None:
    put(Log, "_hour", lambda log, _: hour(log._clock()))


def body_stored_unsealed() -> None:
    put(rig.Vault, "seal", lambda _, plain, __: plain)


def body_under_another_nonce() -> None:
    def draw(ledger: Ledger, head: Any, purchase: Purchase, *given: Any) -> Noisy:
        noisy = real(ledger, head, purchase, *given)
        plain = bytes(32) + noisy.values.astype("<i8").tobytes()
        body = ledger._releases._vault.seal(plain, purchase.key.encode())
        ledger._storage.rows("update release set body = ? where key = ?", body, purchase.key)
        return noisy

    real = put(Ledger, "_draw", draw)


def nothing_checked(module: str, name: str) -> Callable[[], None]:
    """A check that returns without a look."""

    def plant() -> None:
        owner: Any = importlib.import_module(f"passbox.{module}")
        for part in name.split(".")[:-1]:
            owner = getattr(owner, part)
        put(owner, name.split(".")[-1], lambda *_, **__: None)

    return plant


def release_written_in_place() -> None:
    """No temporary and no rename: what is killed meanwhile leaves half a file under the real name."""
    from passbox.cleanroom import files, sealed

    def write(path: Path, data: bytes, mode: int = 0o644) -> None:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb", buffering=0) as file:
            for at in range(0, len(data), 512):
                file.write(data[at : at + 512])

    put(files, "write", write)
    put(sealed, "write", write)


def verifier_that_trusts_the_head() -> None:
    from passbox.cleanroom import audit
    from passbox.dp.note import Checkpoint, parse_note

    def head(checkpoint: str, contract: Any) -> Checkpoint:
        import base64

        origin, size, root = parse_note(checkpoint).text.splitlines()[:3]
        return Checkpoint(origin, int(size), base64.b64decode(root))

    put(audit, "_head", head)


LEDGER, AUDIT = "dp/test_ledger.py::", "cleanroom/test_audit.py::"

PLANTS: dict[str, Planted] = {
    "": Planted(rig.nothing, ()),
    "published before the commit": Planted(published_before_the_commit, (statements, random_kills)),
    "the answer does not wait for the commit": Planted(commit_after_the_answer, (statements,)),
    "noise drawn outside the transaction": Planted(noise_drawn_outside_the_transaction, (race_for_one,)),
    "no lock": Planted(
        no_lock, (test("dp/test_storage.py::test_nobody_opens_or_writes_while_another_holds_the_lock"),)
    ),
    "balance read before the lock": Planted(balance_read_before_the_lock, (race,)),
    "float budget": Planted(float_budget, (clocks, statements)),
    "synchronous = normal": Planted(synchronous("normal"), (power_cuts,)),
    "synchronous = off": Planted(synchronous("off"), (power_cuts,)),
    "charged after the commit": Planted(charge_after_the_commit, (statements,)),
    "no rollback after an error": Planted(
        no_rollback,
        (any_order, test("dp/test_storage.py::test_an_exception_leaves_neither_lock_nor_transaction_behind")),
    ),
    "key without uniqueness": Planted(key_that_is_not_unique, (clocks, any_order)),
    "key that names the job": Planted(
        key_that_names_the_job, (test(LEDGER + "test_the_same_specification_gives_the_same_bytes_and_one_charge"),)
    ),
    "a replay draws again": Planted(replay_draws_again, (clocks, race_for_one, any_order)),
    "cap check skipped": Planted(cap_check_skipped, (clocks, race, any_order)),
    "cap check that forgives a millionth": Planted(
        cap_check_that_forgives, (test("dp/test_balances.py::test_a_cap_is_kept_to_the_last_unit"),)
    ),
    "window not checked": Planted(window_not_checked, (unwitnessed,)),
    "a copy that is behind may pay": Planted(nothing_checked("dp.head", "Head.refuse_rolled_back"), (any_order,)),
    "a forked head is taken": Planted(forked_head_taken, (any_order,)),
    "leaf not appended": Planted(leaf_not_appended, (clocks, any_order)),
    "checkpoint signed by another key": Planted(checkpoint_not_signed, (clocks, any_order)),
    "checkpoint of the entry before": Planted(checkpoint_of_before, (clocks, any_order)),
    "hour that runs backwards": Planted(hour_that_runs_backwards, (clocks, any_order)),
    "body stored unsealed": Planted(body_stored_unsealed, (clocks,)),
    "body under another nonce": Planted(body_under_another_nonce, (clocks, any_order)),
    "cover not checked": Planted(
        nothing_checked("dp.ledger", "refuse_uncovered"),
        (test("dp/test_cover.py::test_each_rule_of_a_covered_release_is_needed"),),
    ),
    "plan and statistic not compared": Planted(
        nothing_checked("dp.ledger", "refuse_mismatch"),
        (test(LEDGER + "test_a_statistic_that_is_not_the_planned_one_is_not_released"),),
    ),
    "release file written in place": Planted(release_written_in_place, (write_calls,)),
    "verifier that believes any head": Planted(
        verifier_that_trusts_the_head, (test(AUDIT + "test_another_rooms_key_is_refused"),)
    ),
    "verifier that forgets what it saw": Planted(
        nothing_checked("cleanroom.audit", "_refuse_rewritten"),
        (test(AUDIT + "test_a_checkpoint_seen_before_catches_what_was_cut_off_or_written_anew"),),
    ),
    "verifier that compares nothing": Planted(
        nothing_checked("cleanroom.recompute", "require_same"), (test(AUDIT + "test_an_edited_entry_is_named"),)
    ),
    "verifier that lets hours run backwards": Planted(
        nothing_checked("cleanroom.recompute", "_require_hour"), (test(AUDIT + "test_an_edited_entry_is_named"),)
    ),
}


# -- the table ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One check of one plant. fault "": nothing was planted, and nothing may be found."""

    fault: str
    check: str
    found: str
    seconds: float

    @property
    def right(self) -> bool:
        return bool(self.found) == bool(self.fault)

    def __str__(self) -> str:
        said = f"caught by {self.check}" if self.found else f"passes {self.check}"
        return (
            f"{'' if self.right else 'WRONG '}{self.fault or '(nothing)'}: {said} ({self.seconds:.0f} s) {self.found}"
        )


def rows(chosen: Iterable[str], workers: int, *, brief: bool) -> Iterator[Row]:
    """Every check on every chosen plant that it must catch, and on nothing.

    brief: one check for a plant; and none where nothing is planted, for the suite runs each of them so.
    """
    pairs = [(name, check) for name in chosen for check in PLANTS[name].caught_by[: 1 if brief else None]]
    checks = {check.__name__: check for _, check in pairs}
    quiet = [] if brief else [("", check) for check in checks.values()]
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda pair: row(*pair), quiet + pairs)


def row(name: str, check: Check) -> Row:
    """In a process of its own, so that nothing of a plant stays."""
    started, (reading, writing) = time.monotonic(), os.pipe()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.close(reading)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            os.write(writing, b"!" + check(name).encode()[:1000])
            code = 0
        except BaseException as error:  # noqa: BLE001 - a child never returns
            os.write(writing, f"{type(error).__name__}: {error}".encode()[:1000])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(process, 0)
    if not said.startswith("!"):
        raise RuntimeError(f"{check.__name__} on {name or 'nothing'} broke: {said}")
    return Row(name, check.__name__, said[1:].splitlines()[0] if said[1:] else "", time.monotonic() - started)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="", help="plants whose name holds this")
    options.add_argument("--short", action="store_true", help="one check for a plant, and only those that take seconds")
    chosen = options.parse_args()
    names = [name for name in PLANTS if name and chosen.only in name]
    if chosen.short:
        names = [name for name in names if PLANTS[name].caught_by[0] is not write_calls]
    zygote.import_everything()  # once, and not in every process of a test
    for needed in ("hypothesis.internal.conjecture.engine", "hypothesis.stateful", "pytest"):
        importlib.import_module(needed)
    gc.freeze()
    found = []
    for one in rows(names, os.cpu_count() or 1, brief=chosen.short):
        found.append(one)
        print(one, flush=True)
    caught, wrong = {one.fault for one in found if one.fault and one.found}, [one for one in found if not one.right]
    print(f"{len(names)} faults planted, {len(caught)} caught; {len(wrong)} of {len(found)} checks wrong")
    return int(bool(wrong) or len(caught) < len(names))


if __name__ == "__main__":
    raise SystemExit(main())

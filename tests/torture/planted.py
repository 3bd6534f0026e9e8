"""Faults planted in the ledger, each of which the torture, or a named test, must catch.

    python tests/torture/planted.py            # a table: what was planted, and what caught it

Each is a few lines put over the product in a process of its own; the checks run without it. Every check also runs with
nothing planted, and must then be quiet: what always cries catches nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import rig

from passbox.dp import ledger as ledger_module
from passbox.dp import mechanisms, storage
from passbox.dp.account import Account
from passbox.dp.entry import Purchase
from passbox.dp.ledger import Ledger
from passbox.dp.noisy import Noisy
from passbox.dp.note import NoteKey
from passbox.dp.storage import Storage

# -- checks ------------------------------------------------------------------------------------------------------------

Check = Callable[[str], bool]
"""From the name of a plant, "" for none, to whether it was caught."""


def clocks(plant: str) -> bool:
    import conditions

    return bool(conditions.clocks(PLANTS[plant].plant))


def statements(plant: str) -> bool:
    import kills

    return bool(kills.at_every_statement(PLANTS[plant].plant))


def kills(plant: str) -> bool:
    import kills

    return bool(kills.torture(60, 1, PLANTS[plant].plant).violations)


def race(plant: str) -> bool:
    import races

    return bool(races.for_a_budget(16, PLANTS[plant].plant))


def race_for_one(plant: str) -> bool:
    import races

    return bool(races.for_one_statistic(16, PLANTS[plant].plant))


def power(plant: str) -> bool:
    import power

    return bool(power.torture(60, 20, 1, plant).wrong)


def orders(plant: str) -> bool:
    import orders

    return rig.done(lambda: orders.torture(600, say=lambda *_, **__: None), PLANTS[plant].plant) != 0


def faults(plant: str) -> bool:
    import faults

    with tempfile.TemporaryDirectory(prefix="passbox-faults-") as home:
        quiet: Any = lambda *_, **__: None  # noqa: E731
        return bool(faults.torture(Path(home), 12, "run overlap", 1, 2, plant, say=quiet).wrong)


def test(name: str) -> Check:
    """A named test of the suite."""

    def check(plant: str) -> bool:
        command = [sys.executable, __file__, "--plant", plant, "--test", str(HERE.parent / name)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 1  # pytest: a test failed

    check.__name__ = name.split("::")[1]
    return check


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
        known.update({name: account.spent for name, account in ledger.accounts().items()})
        time.sleep(0.02)
        return real(ledger, purchase, statistic)

    def accounts(ledger: Ledger) -> dict[str, Account]:
        held = real_accounts(ledger)
        return {name: replace(one, spent=known.get(name, one.spent)) for name, one in held.items()}

    def rows(self: Storage, statement: str, *values: Any) -> list[Any]:
        if statement.startswith("update account"):
            statement, values = "update account set spent = ? where id = ?", (known[values[1]] + values[0], values[1])
        return real_rows(self, statement, *values)

    known: dict[str, Any] = {}
    real, real_accounts = put(Ledger, "pay", pay), put(Ledger, "accounts", accounts)
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

    due: list[Any] = []
    real = put(Ledger, "pay", pay)
    put(Ledger, "_take", lambda _, charges: due.extend(charges))


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
    loose = (statement.replace("key text primary key", "key text") for statement in storage.SCHEMA)
    storage.SCHEMA = tuple(s.replace("primary key(key, account)", "check(1)") for s in loose)
    storage.PRAGMAS = tuple(pragma for pragma in storage.PRAGMAS if "foreign_keys" not in pragma)
    put(Ledger, "_stored", lambda *_: None)
    put(Ledger, "_due", lambda _, purchase: purchase.charges)


def key_that_names_the_job() -> None:
    real = Purchase.__dict__["key"].fget
    put(Purchase, "key", property(lambda self: ledger_module.canonical([real(self), self.context.job]).hex()[:64]))


def replay_draws_again() -> None:
    def stored(ledger: Ledger, purchase: Purchase) -> Noisy | None:
        noisy = real(ledger, purchase)
        spec = purchase.specification
        if noisy is None:
            return None
        return replace(noisy, values=mechanisms.gaussian(noisy.values, spec.l2_squared, spec.scale, rig.COST))

    real = put(Ledger, "_stored", stored)


def cap_check_skipped() -> None:
    """Both of them: in Python, and in SQLite."""
    put(Account, "refuse_above", lambda *_: None)
    storage.SCHEMA = tuple(s.replace("check(spent <= cap)", "check(1)") for s in storage.SCHEMA)


def cap_check_that_forgives() -> None:
    """One part in a million, because floats are not exact."""

    def refuse_above(account: Account, rho: Any) -> None:
        if rho > account.left * (1 + 1e-6) + 1:
            raise ledger_module.BudgetExceeded(account.id, rho, account.left, account.cap)

    put(Account, "refuse_above", refuse_above)


def leaf_not_appended() -> None:
    """It is in the tree, and in nobody's hands."""

    def rows(self: Storage, statement: str, *values: Any) -> list[Any]:
        if statement.startswith("insert into entry") and b'"kind":"denial"' in values[1]:
            return []
        return real(self, statement, *values)

    real = put(Storage, "rows", rows)


def checkpoint_not_signed() -> None:
    stranger = NoteKey.new(rig.KEY.name)
    real = put(ledger_module, "sign_checkpoint", lambda name, size, root, _: real(name, size, root, stranger))


def checkpoint_of_before() -> None:
    def rows(self: Storage, statement: str, *values: Any) -> list[Any]:
        if statement.startswith("insert into checkpoint") and values[0] > 2:
            ((note,),) = real(self, "select note from checkpoint where size = ?", values[0] - 1)
            values = (values[0], note)
        return real(self, statement, *values)

    real = put(Storage, "rows", rows)


def hour_that_runs_backwards() -> None:
    put(Ledger, "_hour", lambda ledger, _: ledger_module.hour(ledger._clock()))


def body_stored_unsealed() -> None:
    put(rig.Vault, "seal", lambda _, plain, __: plain)


def body_under_another_nonce() -> None:
    def draw(ledger: Ledger, purchase: Purchase, statistic: Any) -> Noisy:
        noisy = real(ledger, purchase, statistic)
        plain = bytes(32) + noisy.values.astype("<i8").tobytes()
        body = ledger._vault.seal(plain, purchase.key.encode())
        ledger._storage.rows("update release set body = ? where key = ?", body, purchase.key)
        return noisy

    real = put(Ledger, "_draw", draw)


def body_sealed_for_no_place() -> None:
    """Not bound to its key: one body may stand for another."""
    from conftest import Sealed

    real_seal, real_open = Sealed.seal, Sealed.open
    Sealed.seal = lambda self, plain, _: real_seal(self, plain, b"")  # type: ignore[method-assign]
    Sealed.open = lambda self, sealed, _: real_open(self, sealed, b"")  # type: ignore[method-assign]


def nothing_checked(module: str, name: str) -> Callable[[], None]:
    """A check that returns without a look."""

    def plant() -> None:
        import importlib

        put(importlib.import_module(f"passbox.{module}"), name, lambda *_, **__: None)

    return plant


def release_written_in_place() -> None:
    """No temporary and no rename: what is killed meanwhile leaves half a file under the real name."""
    from passbox.cleanroom import files, release

    def write(path: Path, data: bytes, mode: int = 0o644) -> None:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb", buffering=0) as file:
            for at in range(0, len(data), 512):
                file.write(data[at : at + 512])

    put(files, "write", write)
    put(release, "write", write)


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
    "published before the commit": Planted(published_before_the_commit, (statements, kills)),
    "the answer does not wait for the commit": Planted(commit_after_the_answer, (statements,)),
    "noise drawn outside the transaction": Planted(noise_drawn_outside_the_transaction, (race_for_one,)),
    "no lock": Planted(
        no_lock, (test(LEDGER + "test_nobody_opens_or_writes_while_another_holds_the_lock"),)
    ),
    "balance read before the lock": Planted(balance_read_before_the_lock, (race,)),
    "float budget": Planted(float_budget, (clocks, statements)),
    "synchronous = normal": Planted(synchronous("normal"), (power,)),
    "synchronous = off": Planted(synchronous("off"), (power,)),
    "charged after the commit": Planted(charge_after_the_commit, (statements,)),
    "no rollback after an error": Planted(
        no_rollback, (orders, test(LEDGER + "test_an_exception_leaves_neither_lock_nor_transaction_behind"))
    ),
    "key without uniqueness": Planted(key_that_is_not_unique, (clocks, orders)),
    "key that names the job": Planted(
        key_that_names_the_job, (test(LEDGER + "test_the_same_specification_gives_the_same_bytes_and_one_charge"),)
    ),
    "a replay draws again": Planted(replay_draws_again, (clocks, race_for_one, orders)),
    "cap check skipped": Planted(cap_check_skipped, (clocks, race, orders)),
    "cap check that forgives a millionth": Planted(
        cap_check_that_forgives, (test(LEDGER + "test_a_cap_is_kept_to_the_last_unit"),)
    ),
    "leaf not appended": Planted(leaf_not_appended, (clocks, orders)),
    "checkpoint signed by another key": Planted(checkpoint_not_signed, (clocks, orders)),
    "checkpoint of the entry before": Planted(checkpoint_of_before, (clocks, orders)),
    "hour that runs backwards": Planted(hour_that_runs_backwards, (clocks, orders)),
    "body stored unsealed": Planted(body_stored_unsealed, (clocks,)),
    "body under another nonce": Planted(body_under_another_nonce, (clocks, orders)),
    "cover not checked": Planted(
        nothing_checked("dp.ledger", "refuse_uncovered"),
        (test(LEDGER + "test_each_rule_of_a_covered_release_is_needed"),),
    ),
    "plan and statistic not compared": Planted(
        nothing_checked("dp.ledger", "_refuse_mismatch"),
        (test(LEDGER + "test_a_statistic_that_is_not_the_planned_one_is_not_released"),),
    ),
    "release file written in place": Planted(release_written_in_place, (faults,)),
    "verifier that believes any head": Planted(
        verifier_that_trusts_the_head, (test(AUDIT + "test_another_rooms_key_is_refused"),)
    ),
    "verifier that forgets what it saw": Planted(
        nothing_checked("cleanroom.audit", "_refuse_rewritten"),
        (test(AUDIT + "test_a_checkpoint_seen_before_catches_what_was_cut_off_or_written_anew"),),
    ),
    "verifier that compares nothing": Planted(
        nothing_checked("cleanroom.audit", "_require_same"), (test(AUDIT + "test_an_edited_entry_is_named"),)
    ),
    "verifier that lets hours run backwards": Planted(
        nothing_checked("cleanroom.audit", "_require_hour"), (test(AUDIT + "test_an_edited_entry_is_named"),)
    ),
}


# -- the table ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One check of one plant. fault "": nothing was planted, and nothing may be caught."""

    fault: str
    check: str
    caught: bool
    seconds: float

    @property
    def right(self) -> bool:
        return self.caught == bool(self.fault)


def rows(chosen: Iterable[str], workers: int = 2, first_only: bool = False) -> Iterator[Row]:
    """Every check on every chosen plant that it must catch, and on nothing."""
    pairs = [(name, check) for name in chosen for check in PLANTS[name].caught_by[: 1 if first_only else None]]
    quiet = [("", check) for check in {check.__name__: check for _, check in pairs}.values()]
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(row, quiet + pairs)


def row(pair: tuple[str, Check]) -> Row:
    """In a process of its own, so that nothing of a plant stays, and checks may run beside each other."""
    name, check = pair
    started = time.monotonic()
    command = [sys.executable, __file__, "--plant", name, "--check", check.__name__]
    done = subprocess.run(command, check=False, capture_output=True, env=os.environ | {"TORTURE_QUIET": "1"})
    if done.returncode not in (0, 1):
        raise SystemExit(f"{check.__name__} on {name!r} broke:\n{done.stderr.decode()[-2000:]}")
    return Row(name, check.__name__, done.returncode == 1, time.monotonic() - started)


def check_named(name: str) -> Check:
    checks = [check for planted in PLANTS.values() for check in planted.caught_by if check.__name__ == name]
    return checks[0]


def run_test(plant: str, name: str) -> int:
    import pytest

    sys.path.insert(0, str(HERE.parent / "dp"))
    PLANTS[plant].plant()
    return int(pytest.main([name, "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]))


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="", help="plants whose name holds this")
    options.add_argument("--plant", help=argparse.SUPPRESS)
    options.add_argument("--check", help=argparse.SUPPRESS)
    options.add_argument("--test", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.test:
        return run_test(chosen.plant, chosen.test)
    if chosen.check:
        return int(check_named(chosen.check)(chosen.plant))
    names = [name for name in PLANTS if name and chosen.only in name]
    found = []
    for one in rows(names, os.cpu_count() or 1):
        found.append(one)
        said = "caught by" if one.caught else "MISSED BY" if one.fault else "quiet under"
        print(f"{one.fault or 'nothing':<42} {said if one.right else said.upper()} {one.check} ({one.seconds:.0f} s)", flush=True)
    caught = {one.fault for one in found if one.fault and one.right}
    wrong = [one for one in found if not one.right]
    print(f"{len(names)} faults planted, {len(caught)} caught; {len(wrong)} checks wrong of {len(found)}")
    return int(bool(wrong) or len(caught) < len(names))


if __name__ == "__main__":
    raise SystemExit(main())

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from passbox.cleanroom import job
from passbox.cleanroom.foundation import create_room
from passbox.cleanroom.log import log_of, read_log, write_log
from passbox.cleanroom.release import export
from passbox.cleanroom.room import RoomUnusable, open_room
from passbox.cleanroom.store import StoreDamaged
from passbox.cleanroom.submit import submit
from passbox.cli.app import run as cli
from passbox.policies.agreement import SignatureBroken, read_agreement
from passbox.policies.check import Refused

if TYPE_CHECKING:
    from .world import Copier, World

EXPIRED = datetime(2027, 7, 1, tzinfo=UTC)


# -- making one --------------------------------------------------------------------------------------------------------


def test_making_it_twice_changes_nothing(empty_room: World) -> None:
    world = empty_room
    before = (world.place / "keys" / "storage").read_bytes()
    assert not create_room(world.place, world.agreement, world.keys("host"), world.clock)
    assert (world.place / "keys" / "storage").read_bytes() == before


def test_its_keys_are_for_the_operator_alone(empty_room: World) -> None:
    for path in [empty_room.place, *empty_room.place.iterdir()]:
        if path.is_dir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (empty_room.place / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_other_keys_make_no_room(empty_room: World) -> None:
    """Also where the checkpoint key fits and the seal does not: such a room could not open a bundle."""
    import pyrage

    folder = empty_room.folder / "host.keys"
    (folder / "room.seal").write_text(str(pyrage.x25519.Identity.generate()))
    with pytest.raises(RoomUnusable, match="not the keys"):
        create_room(empty_room.folder / "other", empty_room.agreement, empty_room.keys("host"), empty_room.clock)
    assert not (empty_room.folder / "other").exists()


def test_an_expired_contract_makes_no_room(empty_room: World) -> None:
    with pytest.raises(Refused, match="expired"):
        create_room(empty_room.folder / "other", empty_room.agreement, empty_room.keys("host"), lambda: EXPIRED)


def test_a_folder_that_is_taken_is_left_alone(empty_room: World) -> None:
    taken = empty_room.folder / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("mine")
    with pytest.raises(RoomUnusable):
        create_room(taken, empty_room.agreement, empty_room.keys("host"), empty_room.clock)
    assert (taken / "thesis.txt").read_text() == "mine"


# -- the contract ------------------------------------------------------------------------------------------------------


def test_one_character_changed_in_the_contract_and_no_command_runs(
    used: World, passbox: Callable[..., tuple[int, str, str]]
) -> None:
    contract = used.place / "contract" / "contract.toml"
    used.sign_job(used.job_text("overlap"), "publisher").rename(used.folder / "job.toml")
    text = contract.read_text()
    contract.write_text(text.replace("epsilon = 3.0", "epsilon = 9.0", 1))
    for words in (
        ("room", "show", used.place),
        ("submit", used.place, used.folder / "buyers.bundle"),
        ("match", used.place),
        ("plan", used.place, used.folder / "job.toml"),
        ("run", used.place, used.folder / "job.toml"),
        ("release", "list", used.place),
        ("release", "export", used.place),
        ("ledger", "show", used.place),
        ("ledger", "export", used.place),
        ("ledger", "verify", used.place, "--contract", used.contract),
    ):
        code, out, err = passbox(*words)
        assert (code, out) == (4, ""), words
        assert "signature of publisher" in err


@pytest.mark.parametrize("party", ["publisher", "advertiser", "officer", "host"])
def test_whose_signature_broke_is_named(empty_room: World, party: str) -> None:
    other = "officer" if party != "officer" else "host"
    folder = empty_room.place / "contract"
    shutil.copy(folder / f"contract.toml.{other}.sig", folder / f"contract.toml.{party}.sig")
    with pytest.raises(SignatureBroken) as broken:
        empty_room.room()
    assert (broken.value.what, broken.value.party) == ("contract", party)


def test_after_the_contracts_last_day_nothing_changes_and_nothing_leaves(used: World) -> None:
    late = used.at(EXPIRED)
    before = {path: path.read_bytes() for path in used.place.rglob("*") if path.is_file()}
    request = late.request("overlap")
    for forbidden in (
        lambda: submit(late.room(), late.folder / "buyers.bundle"),
        lambda: job.match(late.room()),
        lambda: job.plan(late.room(), request),
        lambda: export(late.room(), None, late.folder / "out"),
    ):
        with pytest.raises(Refused, match="expired"):
            forbidden()
    assert {path: path.read_bytes() for path in used.place.rglob("*") if path.is_file() and path.name != "lock"} == {
        path: data for path, data in before.items() if path.name != "lock"
    }
    spent = late.spent()
    with pytest.raises(Refused, match="expired"):
        job.run(late.room(), request)
    assert late.spent() == spent
    assert late.verify().denials == 0  # no entry is later than the last day, and the ledger may still be read


# -- what lies in it ---------------------------------------------------------------------------------------------------


def test_a_table_opens_only_where_it_was_written(world: World) -> None:
    room = world.room()
    held = room.datasets()
    visitors, buyers = held["visitors"].parts("part")[0], held["buyers"].parts("part")[0]
    aside = world.folder / "aside"
    visitors.rename(aside)
    buyers.rename(visitors)
    aside.rename(buyers)
    for dataset in held.values():
        with pytest.raises(StoreDamaged):
            room.read(dataset)


def test_a_match_opens_only_for_the_pair_it_was_made_for(world: World) -> None:
    room = world.room()
    held = room.datasets()
    there, back = (
        room.match_path(a, b) for a, b in ((held["visitors"], held["buyers"]), (held["buyers"], held["visitors"]))
    )
    shutil.copy(there, back)
    with pytest.raises(StoreDamaged):
        job.read_match(room, held["buyers"], held["visitors"])


def test_damage_at_rest_is_told(world: World) -> None:
    room = world.room()
    dataset = room.datasets()["buyers"]
    (table,) = dataset.parts("part")
    whole = table.read_bytes()
    for damaged in (b"", whole[:-1], whole[:100], whole[: len(whole) // 2] + b"xx" + whole[len(whole) // 2 + 2 :]):
        table.write_bytes(damaged)
        with pytest.raises(StoreDamaged):
            room.read(dataset)
    (dataset.folder / "manifest.json").write_bytes((dataset.folder / "manifest.json").read_bytes() + b" ")
    with pytest.raises(RoomUnusable, match="manifest is damaged"):
        room.datasets()
    (world.place / "keys" / "storage").write_bytes(b"short")
    with pytest.raises(RoomUnusable, match="storage key"):
        _ = world.room().store


# -- killed at any point -----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for kill -9: from here on the process changes nothing on disk, not even to clean up."""


class Death:
    """Comes at the n-th change to files under a folder. One hook for all tests: Python cannot remove it."""

    folder, left, dead = "", -1, False

    def arm(self, folder: Path, at: int) -> None:
        self.folder, self.left, self.dead = str(folder), at, False

    def disarm(self) -> None:
        self.folder = ""

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folder or event not in CHANGES:
            return
        if event == "open" and not _writes(arguments):
            return
        if not str(arguments[0]).startswith(self.folder):
            return
        if self.dead or self.left == 0:
            self.dead = True
            raise Killed
        self.left -= 1


CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}
DEATH = Death()
sys.addaudithook(DEATH.hook)


def _writes(arguments: tuple[Any, ...]) -> bool:
    path, _, flags = arguments
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR)) and not str(path).endswith("lock")


def killed_anywhere(world: World, copied: Copier, command: Callable[[World], object], step: int = 1) -> int:
    """Kill a command at its first, second, ... change, and type it again: it must complete. How many changes it makes.

    step: where a command is slow, every so many changes; the helpers that write are tried at every one by others.
    """
    at = 0
    while True:
        trial = copied(world)
        DEATH.arm(trial.folder, at)
        try:
            command(trial)
            return at
        except Killed:
            pass
        finally:
            DEATH.disarm()
        command(trial)
        assert not list(trial.folder.rglob("*.tmp"))
        trial.verify()
        at += step


def test_making_a_room_may_be_killed_anywhere(empty_room: World, copied: Copier) -> None:
    (empty_room.folder / "host.keys" / "room.made").unlink()

    def new(world: World) -> None:
        create_room(world.folder / "again", world.agreement, world.keys("host"), world.clock)
        assert open_room(world.folder / "again").agreement.digest == world.agreement.digest

    assert killed_anywhere(empty_room, copied, new, step=4) > 20


def test_submitting_may_be_killed_anywhere(world: World, copied: Copier) -> None:
    later = world.at(world.now + timedelta(days=1))
    bundle = later.bundle("buyers", later.seeds(200, 100))

    def take(world: World) -> None:
        submit(world.room(), world.folder / bundle.name)
        room = world.room()
        held = room.datasets()["buyers"]
        assert room.read(held).num_rows == held.manifest.rows == 300
        assert len(list(world.place.glob("datasets/buyers/*/*.parquet"))) == 1
        assert not list(world.place.glob("matches/*"))

    assert killed_anywhere(later, copied, take) > 8


def test_matching_may_be_killed_anywhere(world: World, copied: Copier) -> None:
    for path in world.place.glob("matches/*"):
        path.unlink()

    def match(world: World) -> None:
        job.match(world.room())
        held = world.room().datasets()
        assert len(job.read_match(world.room(), held["visitors"], held["buyers"])) == held["visitors"].manifest.rows

    assert killed_anywhere(world, copied, match) >= 4


@pytest.mark.parametrize(
    ("kind", "step"), [("overlap", 5), ("lookalike", 11), pytest.param("lookalike", 1, marks=pytest.mark.long)]
)
def test_running_may_be_killed_anywhere_and_is_paid_once(world: World, copied: Copier, kind: str, step: int) -> None:
    request = world.request(kind)
    cost = sum(charge.rho for bought in job.plan(world.room(), request).allowed.purchases for charge in bought.charges)

    def run(world: World) -> None:
        ran = job.run(world.room(), request)
        world.open(ran.release)
        assert sum(world.spent().values()) == cost
        assert world.verify().releases == {"overlap": 1, "lookalike": 2}[kind]

    assert killed_anywhere(world, copied, run, step) >= 8


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)])
def test_exports_may_be_killed_anywhere(used: World, copied: Copier, step: int) -> None:
    write_log(log_of(used.room()), used.folder / "spring.ledger")
    used.run("overlap", epsilon=0.5)

    def both(world: World) -> None:
        export(world.room(), None, world.folder / "out")
        assert len(list((world.folder / "out").glob("*.release"))) == 3
        write_log(log_of(world.room()), world.folder / "spring.ledger")
        assert len(read_log(world.folder / "spring.ledger").entries) == 6

    assert killed_anywhere(used, copied, both, step) > 20


def test_what_only_reads_changes_nothing(used: World) -> None:
    """Beside a command at work, another that shows the room must not clear away what the first is writing."""
    at_work = [
        used.place / "releases" / ".x.tmp",
        used.place / "requests" / ".x.tmp",
        used.place / "matches" / ".x.tmp",
    ]
    for path in at_work:
        path.write_bytes(b"being written")
    for words in (("room", "show"), ("release", "list"), ("ledger", "show")):
        assert cli([*words, str(used.place), "--json"]) == 0
    log_of(used.room())
    job.plan(used.room(), used.request("overlap"))
    assert all(path.exists() for path in at_work)
    job.match(used.room())
    assert not any(path.exists() for path in at_work)


def test_two_commands_take_turns(used: World) -> None:
    import threading

    done: list[str] = []
    with used.room().changing():
        other = threading.Thread(target=lambda: (job.match(used.room()), done.append("matched")))
        other.start()
        other.join(0.3)
        assert not done
    other.join(60)
    assert done == ["matched"]


def test_an_agreement_is_read_anew_by_every_command(used: World) -> None:
    assert used.room().agreement.digest == read_agreement(used.contract).digest

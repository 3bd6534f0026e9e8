from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.bundle import MEMBERS, BadBundle, open_bundle
from passbox.cleanroom.prepare import Task, prepare
from passbox.cleanroom.room import RoomUnusable
from passbox.cleanroom.submit import submit
from passbox.policies.agreement import SignatureBroken
from passbox.policies.check import Refused

if TYPE_CHECKING:
    from .world import Copier, World


def snapshot(world: World) -> dict[str, bytes]:
    """Every file of the room but its lock."""
    return {
        str(path.relative_to(world.place)): path.read_bytes()
        for path in sorted(world.place.rglob("*"))
        if path.is_file() and path.name not in ("lock", "ledger.lock")
    }


def test_a_bundle_is_taken_in_once(empty_room: World) -> None:
    world = empty_room
    for name in ("visitors", "buyers"):
        bundle = world.folder / f"{name}.bundle"
        taken = submit(world.room(), bundle)
        assert (taken.new, taken.dataset.name) == (True, name)
        before = snapshot(world)
        assert not submit(world.room(), bundle).new
        assert snapshot(world) == before
    assert {name: held.rows > 250 for name, held in world.room().submitted().items()} == {
        "visitors": True,
        "buyers": True,
    }


def test_a_changed_bundle_is_refused_though_its_manifest_is_held(world: World) -> None:
    bundle, before = world.folder / "buyers.bundle", snapshot(world)
    whole = bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        sealed = archive.read(MEMBERS[2])
        members = [archive.read(name) for name in MEMBERS[:2]]
    for changed in (sealed[:-1], sealed[:-9] + bytes([sealed[-9] ^ 1]) + sealed[-8:], b""):
        with zipfile.ZipFile(bundle, "w") as archive:
            for name, data in zip(MEMBERS, (*members, changed), strict=True):
                archive.writestr(name, data)
        with pytest.raises(BadBundle, match="not what its manifest signs") as refused:
            submit(world.room(), bundle)
        assert refused.value.tampered
    bundle.write_bytes(whole)
    assert not submit(world.room(), bundle).new
    assert snapshot(world) == before


def test_what_lies_in_the_room_is_encrypted(world: World) -> None:
    """No handle of the tables stands in the clear in any file."""
    handles = world.table("buyers").column("k").to_numpy()
    held = b"".join(snapshot(world).values())
    assert not any(handle.tobytes() in held for handle in handles)
    assert b"PAR1" not in held  # the mark of a Parquet file whose footer is in the clear


Label = dict[str, Any]
LABELS: dict[str, tuple[type[Exception], Label]] = {
    "for another room": (BadBundle, {"room": "rooms.example/autumn"}),
    "under another contract": (BadBundle, {"contract": "0" * 64}),
    "of an unknown data set": (BadBundle, {"dataset_name": "clicks"}),
    "of another owner": (BadBundle, {"owner": "publisher", "signer": "publisher"}),
    "signed by another party": (SignatureBroken, {"signer": "publisher"}),
    "signed by the operator": (SignatureBroken, {"signer": "host"}),
    "expired": (BadBundle, {"expires": datetime(2027, 1, 9, 23, 0, tzinfo=UTC)}),
    "replayed": (BadBundle, {"made": datetime(2027, 1, 10, 10, 0, tzinfo=UTC)}),
    "made a second before what is there": (BadBundle, {"made": datetime(2027, 1, 10, 10, 59, 59, tzinfo=UTC)}),
    "made in the future": (BadBundle, {"made": datetime(2027, 3, 1, tzinfo=UTC)}),
}


@pytest.mark.parametrize("name", LABELS)
def test_a_bundle_with_a_wrong_label_is_refused_and_nothing_stored(world: World, name: str) -> None:
    error, label = LABELS[name]
    label = dict(label)
    named = {"dataset": label.pop("dataset_name")} if "dataset_name" in label else {}
    bundle = world.bundle("buyers", world.seeds(200, 100), **label, **named) if not named else renamed(world, **named)
    before = snapshot(world)
    with pytest.raises(error):
        submit(world.room(), bundle)
    assert snapshot(world) == before


def renamed(world: World, dataset: str) -> Path:
    """A bundle that its owner signed as a data set the contract does not know."""
    from passbox.cleanroom.bundle import Label, write_bundle
    from passbox.policies.share import shares_digest

    label = Label(
        world.agreement.digest, "rooms.example/spring", dataset, "advertiser", world.now,
        datetime(2027, 6, 30, tzinfo=UTC), shares_digest(world.shares()),
    )  # fmt: skip
    path = world.folder / "renamed.bundle"
    contract = world.agreement.contract
    write_bundle(path, world.seeds(200, 100), label, contract.room.seal, world.signer("advertiser"))
    return path


Change = Callable[[pa.Table], pa.Table]


def column(name: str, values: Callable[[np.ndarray], Any]) -> Change:
    return lambda table: table.set_column(
        table.column_names.index(name), name, pa.array(values(table.column(name).to_numpy()))
    )


def doubled(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[1] = values[0]
    return values


def with_null(values: np.ndarray) -> pa.Array:
    return pa.array([None, *values[1:].tolist()], pa.uint64())


def hashed_only(value: str) -> Change:
    """A row in place of the first: the first half of a plain hash, where handles are keyed ones."""
    plain = np.frombuffer(hashlib.sha256(value.encode()).digest()[:16], "<u8").astype(np.uint64)

    def change(table: pa.Table) -> pa.Table:
        k, k2 = (np.append(table.column(name).to_numpy()[1:], plain[at]) for at, name in enumerate(("k", "k2")))
        order = np.argsort(k)
        return pa.table({"k": k[order], "k2": k2[order]})

    return change


TABLES: dict[str, tuple[str, Change]] = {
    "a handle twice": ("buyers", column("k", doubled)),
    "handles out of order": ("buyers", column("k", lambda k: k[::-1])),
    "a handle missing": ("buyers", column("k2", with_null)),
    "handles that are text": ("buyers", column("k", lambda k: k.astype(str))),
    "a plain hash of a test address": ("buyers", hashed_only("noemail@noemail.com")),
    "a plain hash of a number that is typed for none": ("buyers", hashed_only("+10000000000")),
    "numbers in the place of handles": ("buyers", column("k", lambda k: np.arange(1, len(k) + 1, dtype=np.uint64))),
    "second halves that are all alike": ("buyers", column("k2", lambda k: np.full(len(k), 7, dtype=np.uint64))),
    "handles that are signed": ("buyers", column("k2", lambda k: (k >> np.uint64(1)).astype(np.int64))),
    "a column more": ("buyers", lambda t: t.append_column("email", pa.array(["a@example.com"] * t.num_rows))),
    "a column less": ("visitors", lambda t: t.drop_columns(["age"])),
    "columns in another order": ("visitors", lambda t: t.select(t.column_names[::-1])),
    "a token twice": ("visitors", column("token", doubled)),
    "a number out of bounds": ("visitors", column("age", lambda a: np.where(np.arange(len(a)) == 5, 17.0, a))),
    "a number that is infinite": ("visitors", column("age", lambda a: np.where(np.arange(len(a)) == 5, np.inf, a))),
    "a number that is none": ("visitors", column("age", lambda a: np.where(np.arange(len(a)) == 5, np.nan, a))),
    "a value not declared": ("visitors", column("region", lambda r: np.where(np.arange(len(r)) == 5, "moon", r))),
    "too long a set": ("visitors", lambda t: t.set_column(6, "topics", pa.array([[*"abcdefghij"]] * t.num_rows))),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_breaks_a_rule_is_refused_and_nothing_stored(world: World, name: str) -> None:
    """Signed by its owner and sealed to the room: the room takes nobody's word for what is inside."""
    dataset, change = TABLES[name]
    bundle = world.bundle(dataset, change(world.table(dataset)))
    before = snapshot(world)
    with pytest.raises(BadBundle) as refused:
        submit(world.room(), bundle)
    assert snapshot(world) == before
    assert not any(word in str(refused.value.rule) for word in ("moon", "17", "example.com"))


def replace_member(bundle: Path, number: int, change: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(bundle) as archive:
        parts = [archive.read(name) for name in MEMBERS]
    parts[number] = change(parts[number])
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, data in zip(MEMBERS, parts, strict=True):
            archive.writestr(zipfile.ZipInfo(name), data)


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut off": lambda p: p.write_bytes(p.read_bytes()[:-100]),
    "empty": lambda p: p.write_bytes(b""),
    "no zip": lambda p: p.write_bytes(b"visitors"),
    "its data tampered": lambda p: replace_member(p, 2, flip),
    "its data cut off": lambda p: replace_member(p, 2, lambda d: d[:-1]),
    "its data longer": lambda p: replace_member(p, 2, lambda d: d + b"x"),
    "its manifest tampered": lambda p: replace_member(p, 0, lambda d: d.replace(b'"rows": ', b'"rows": 1')),
    "its manifest no JSON": lambda p: replace_member(p, 0, lambda d: d[1:]),
    "its manifest oversized": lambda p: replace_member(p, 0, lambda d: d + b" " * 2**20),
    "its signature tampered": lambda p: replace_member(p, 1, flip),
    "its signature gone": lambda p: replace_member(p, 1, lambda _: b""),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_bundle_is_refused_and_nothing_stored(empty_room: World, name: str) -> None:
    bundle = empty_room.folder / "visitors.bundle"
    DAMAGES[name](bundle)
    before = snapshot(empty_room)
    with pytest.raises((BadBundle, SignatureBroken)):
        submit(empty_room.room(), bundle)
    assert snapshot(empty_room) == before


def test_sealed_to_another_room_it_does_not_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyrage

    bundle = world.bundle("buyers", world.seeds(200, 100))
    room = world.room()
    room.__dict__["seal_identity"] = str(pyrage.x25519.Identity.generate())
    before = snapshot(world)
    with pytest.raises(BadBundle, match="another room"):
        submit(room, bundle)
    assert snapshot(world) == before


def test_after_the_contracts_last_day_nothing_is_taken_in(empty_room: World) -> None:
    last_moment = datetime(2027, 6, 30, 23, 59, 59, tzinfo=UTC)
    with pytest.raises(Refused, match="expired"):
        submit(empty_room.at(last_moment + timedelta(seconds=1)).room(), empty_room.folder / "visitors.bundle")
    assert submit(empty_room.at(last_moment).room(), empty_room.folder / "visitors.bundle").new


def test_a_newer_list_takes_the_place_of_the_older(world: World) -> None:
    before = world.room().submitted()["buyers"].manifest
    later = world.at(world.now + timedelta(days=1))
    later.submit("buyers", later.seeds(150, 150))
    assert world.room().submitted()["buyers"].manifest != before
    assert not list(world.place.glob(f"datasets/buyers/{before}/*.parquet"))
    assert list(world.place.glob(f"datasets/buyers/{before}/manifest.json"))
    assert not list(world.place.glob("matches/*"))
    with pytest.raises(job.NotMatched):
        later.run("overlap")
    with pytest.raises(BadBundle, match="replayed"):
        submit(later.room(), world.folder / "buyers.bundle")


def test_a_list_outdates_jobs_that_were_paid_for_on_the_one_before(used: World) -> None:
    """The next list outdates none: nothing was run on this one."""
    later = used.at(used.now + timedelta(days=1))
    taken = submit(later.room(), later.bundle("buyers", later.seeds(150, 150), "later"))
    assert (taken.replaced, taken.outdated) == (300, True)
    taken = submit(later.room(), later.bundle("buyers", later.seeds(140, 160), "third"))
    assert (taken.replaced, taken.outdated) == (300, False)


def test_what_a_replayed_bundle_says_to_do_works(world: World) -> None:
    """The same rows count again once their owner has removed the bundle and prepared them anew."""
    first, hour = world.folder / "buyers.bundle", open_bundle(world.folder / "buyers.bundle").manifest.made
    source = world.folder / "again.csv"
    source.write_text("email\n" + "".join(f"person.{n}@example.com\n" for n in range(120)))
    task = Task(source, world.agreement, "buyers", world.folder / "again.bundle")
    words = (task, world.keys("advertiser"), world.signer("advertiser"), world.shares(), hour)
    assert prepare(*words).written
    assert submit(world.room(), task.out).replaced == open_bundle(first).manifest.rows
    assert submit(world.room(), world.bundle("buyers", world.seeds(150, 150), "other", made=hour)).replaced == 120
    with pytest.raises(BadBundle, match="another bundle of buyers was submitted after it") as replayed:
        submit(world.room(), task.out)
    assert "removes `again.bundle`" in replayed.value.remedy
    assert not prepare(*words).written
    task.out.unlink()
    assert prepare(*words).written
    assert submit(world.room(), task.out).replaced == 300


def test_of_two_lists_made_within_one_hour_the_last_stays_and_the_replaced_never_returns(world: World) -> None:
    """Manifests say the hour alone."""
    first, hour = world.folder / "buyers.bundle", datetime(2027, 1, 10, 11, 0, tzinfo=UTC)
    assert open_bundle(first).manifest.made == hour
    second = world.bundle("buyers", world.seeds(150, 150), "second", made=hour)
    third = world.bundle("buyers", world.seeds(140, 160), "third", made=hour)
    assert submit(world.room(), second).new
    assert not submit(world.room(), second).new
    assert submit(world.room(), third).new
    before = snapshot(world)
    for replaced in (first, second):
        with pytest.raises(BadBundle, match="replayed"):
            submit(world.room(), replaced)
    assert snapshot(world) == before


def test_killed_before_it_was_the_newest_a_list_of_the_same_hour_is_taken_when_typed_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from passbox.cleanroom import room

    bundle = world.bundle("buyers", world.seeds(150, 150), made=datetime(2027, 1, 10, 11, 0, tzinfo=UTC))

    def killed(path: Path, data: bytes, mode: int = 0o644) -> None:
        if path.name == "current":
            raise KeyboardInterrupt
        written(path, data, mode)

    written = room.write
    with monkeypatch.context() as patch:
        patch.setattr(room, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            submit(world.room(), bundle)
    assert not submit(world.room(), world.folder / "buyers.bundle").new
    assert submit(world.room(), bundle).new


def test_lists_keyed_with_other_shares_are_not_matched(world: World, copied: Copier) -> None:
    """They would match nobody, and nobody could tell."""
    later = world.at(world.now + timedelta(days=1))
    later.submit("buyers", later.seeds(150, 150), shares="0" * 64)
    with pytest.raises(RoomUnusable, match="other shares of the match key"):
        job.match(later.room())
    assert not list(world.place.glob("matches/*"))

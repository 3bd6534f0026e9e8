"""Typed twice, or after a crash: the same file gives the same bundle, and nothing that is there is overwritten."""

from __future__ import annotations

import hashlib
import resource
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from passbox.cleanroom import home, prepare
from passbox.cleanroom.files import FileInTheWay
from passbox.cleanroom.home import read_home

from .party import Party


def test_typed_twice_for_the_same_file_changes_nothing(party: Party) -> None:
    assert party.prepare().written
    before = party.files()
    assert not party.prepare().written
    assert party.files() == before


def test_typed_twice_without_ids_changes_nothing_either(party: Party) -> None:
    seeds = party.csv([{"email": f"person.{n}@example.com"} for n in range(9)], "buyers.csv")
    first = party.run(party.task(seeds, "buyers"), "advertiser")
    before = party.files()
    assert (first.written, first.ids, first.home) == (True, None, party.folder / "buyers.made")
    assert not party.run(party.task(seeds, "buyers"), "advertiser").written
    assert party.files() == before


def test_what_stays_of_a_list_without_ids_is_no_membership_test(party: Party) -> None:
    """Its digest is keyed: who finds the file, but not the match key, cannot try a list against it."""
    seeds = party.csv([{"email": f"person.{n}@example.com"} for n in range(9)], "buyers.csv")
    party.run(party.task(seeds, "buyers"), "advertiser")
    kept = read_home(party.folder / "buyers.made")
    assert kept is not None
    assert kept.table.num_columns == 0
    assert hashlib.sha256(seeds.read_bytes()).hexdigest() not in kept.source
    assert kept.source.encode() not in (party.folder / "buyers.bundle").read_bytes()
    assert (party.folder / "buyers.made").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("dataset", ["visitors", "buyers"])
def test_another_file_does_not_overwrite_what_is_there(dataset: str, party: Party) -> None:
    name = "publisher" if dataset == "visitors" else "advertiser"
    party.run(party.task(party.file(), dataset), name)
    source = party.file(51)
    before = party.files()
    with pytest.raises(FileInTheWay):
        party.run(party.task(source, dataset), name)
    assert party.files() == before


@pytest.mark.parametrize("content", [b"", b"PAR1", b"somebody's notes"])
def test_a_strange_file_in_the_way_is_left_alone(content: bytes, party: Party) -> None:
    for name in ("visitors.bundle", "visitors.ids"):
        (party.folder / name).write_bytes(content)
        source, before = party.file(), party.files()
        with pytest.raises(FileInTheWay):
            party.run(party.task(source))
        assert party.files() == before
        (party.folder / name).unlink()


def test_a_bundle_whose_ids_are_gone_is_not_replaced(party: Party) -> None:
    party.prepare()
    (party.folder / "visitors.ids").unlink()
    with pytest.raises(FileInTheWay):
        party.prepare()


def test_a_bundle_of_other_tokens_beside_these_ids_is_noticed(party: Party) -> None:
    source = party.file()
    party.run(party.task(source))
    party.run(replace(party.task(source), out=party.folder / "other.bundle"))
    shutil.copy(party.folder / "other.bundle", party.folder / "visitors.bundle")
    with pytest.raises(FileInTheWay):
        party.run(party.task(source))


def test_a_bundle_that_was_moved_away_is_made_anew_with_the_same_tokens(party: Party) -> None:
    """The one on its way and the new one both fit the IDs that stayed."""
    source = party.file()
    party.run(party.task(source))
    first = party.opened()
    (party.folder / "visitors.bundle").rename(party.folder / "sent.bundle")
    assert party.run(party.task(source)).written
    assert party.opened().equals(first)
    assert not party.run(party.task(source)).written


class Killed(BaseException):
    """Stands for a power cut: nothing that follows happens."""


CRASHES = ["seal", "write the bundle", "before the ids", "between ids and bundle"]


@pytest.mark.parametrize("moment", CRASHES)
def test_after_a_crash_typing_again_completes_it(moment: str, party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    source, before = party.file(), None
    before = party.files()

    def killed(*_: Any) -> None:
        raise Killed

    def killed_after(path: Path, kept: home.Home) -> None:
        home.write_home(path, kept)
        raise Killed

    with monkeypatch.context() as patch:
        if moment == "seal":
            patch.setattr(prepare, "packed", killed)
        elif moment == "write the bundle":
            patch.setattr(prepare.Packed, "write", killed)
        elif moment == "before the ids":
            patch.setattr(prepare, "write_home", killed)
        else:
            patch.setattr(prepare, "write_home", killed_after)
        with pytest.raises(Killed):
            party.run(party.task(source))
    left = set(party.files()) - set(before)
    assert left == ({"visitors.ids"} if moment == "between ids and bundle" else set())
    assert party.run(party.task(source)).written
    own = pq.read_table(party.folder / "visitors.ids")
    assert own.column("token").to_pylist() == party.opened().column("token").to_pylist()
    assert not party.run(party.task(source)).written


def test_a_killed_process_leaves_nothing_that_stays(party: Party) -> None:
    """kill -9 runs no clean-up: the next run removes what the last one had half written."""
    for name in (".visitors.ids.0123456789ab.tmp", ".visitors.bundle.0123456789ab.tmp"):
        (party.folder / name).write_bytes(b"V-1 person.1@example.com")
    party.prepare()
    assert not list(party.folder.glob(".*.tmp"))


def test_a_full_disk_leaves_nothing_behind(party: Party) -> None:
    source = party.file(5000)
    before = party.files()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError):
            party.run(party.task(source))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert party.files() == before
    assert party.run(party.task(source)).written

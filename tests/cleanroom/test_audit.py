"""An honest log verifies, and an operator who signs another with the real key is found out, entry by entry."""

from __future__ import annotations

import json
import secrets
import shutil
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from passbox.cleanroom import job
from passbox.cleanroom.audit import LedgerBroken, verify_log
from passbox.cleanroom.log import BadLog, read_log
from passbox.cleanroom.room import open_room
from passbox.dp.note import NoteKey, sign_checkpoint
from passbox.dp.tree import leaf_hash, root_of
from passbox.policies import check

from .forger import CAP_ADVERTISER, CAP_PUBLISHER, HISTOGRAM, MOMENTS, OVERLAP, Change, Operator, renumber, signed

if TYPE_CHECKING:
    from .world import Copier, World


# -- an honest log ---------------------------------------------------------------------------------------------------


def test_an_honest_log_verifies_from_the_export_alone(used: World) -> None:
    export = used.log()
    shutil.rmtree(used.place)
    found = verify_log(export, used.agreement)
    assert (found.entries, found.releases, found.denials) == (5, 3, 0)
    assert [account.account for account in found.accounts] == ["advertiser/record", "publisher/record"]


def test_the_operators_pen_writes_what_the_room_writes(operator: Operator) -> None:
    log = operator.log
    assert operator.signed() == log
    again = Operator(operator.world, operator.log)
    again.entries = again.entries[:OVERLAP]
    request = replace(again.world.request("overlap", epsilon=0.25, recipients=["publisher", "advertiser"]))
    mine, theirs = again.release(request), operator.entries[OVERLAP]
    for free in ("commitment", "library", "job"):
        mine[free] = theirs[free]
    assert mine == theirs


def test_new_readers_repeats_denials_and_resubmissions_verify(used: World, copied: Copier) -> None:
    used.run("overlap", epsilon=0.5)
    used.run("overlap", epsilon=0.5, recipients=["advertiser"])
    used.run("lookalike", audience={"size": 500})
    with pytest.raises(check.Refused):
        used.run("lookalike", recipients=["advertiser"])
    with pytest.raises(job.Unaffordable):
        used.run("lookalike", epsilon=2.9)
    later = used.at(used.now + timedelta(days=3))
    later.submit("buyers", later.seeds(120, 150))
    job.match(later.room())
    later.run("lookalike", epsilon=0.5)
    found = later.verify()
    assert (found.releases, found.denials) == (3 + 1 + 2, 2)


def test_a_new_reader_to_whom_nobody_is_newly_exposed_is_in_the_log(used: World) -> None:
    """Both owners have paid for the officer's like: it costs nothing, and is not done in silence."""
    used.run("overlap", epsilon=0.5, recipients=["publisher", "advertiser"])
    spent, size = used.spent(), len(used.log().entries)
    ran = used.run("overlap", epsilon=0.5, recipients=["officer"])
    assert (ran.charged, used.spent()) == (False, spent)
    assert json.loads(used.log().entries[size])["recipients"] == ["officer"]
    used.verify()
    used.run("overlap", epsilon=0.5, recipients=["officer"])
    assert len(used.log().entries) == size + 1


def test_a_job_replayed_on_later_submissions_is_named(used: World) -> None:
    used.run("overlap", epsilon=0.5)
    later = used.at(used.now + timedelta(days=3))
    later.submit("buyers", later.seeds(120, 150))
    job.match(later.room())
    later.run("overlap", epsilon=0.1)
    forger = Operator(later)
    forger.manifests |= later.log().manifests
    replayed = forger.release(later.request("overlap", epsilon=0.5))
    forger.entries.append(replayed)
    with pytest.raises(LedgerBroken, match="its job was for other data"):
        verify_log(forger.signed(), later.agreement)


def test_a_clock_that_was_set_back_does_not_break_an_honest_log(used: World) -> None:
    earlier = used.at(used.now - timedelta(hours=5))
    earlier.run("overlap", epsilon=0.1)
    earlier.verify()


def test_a_job_that_begins_before_midnight_of_the_last_day_may_end_after_it(used: World) -> None:
    ticks = iter(2 * [datetime(2027, 6, 30, 23, 59, 59, tzinfo=UTC)])
    clock = lambda: next(ticks, datetime(2027, 7, 1, 0, 0, 3, tzinfo=UTC))  # noqa: E731
    job.run(open_room(used.place, clock), used.request("overlap", epsilon=0.1))
    assert json.loads(used.log().entries[5])["time"] == "2027-07-01T00:00Z"
    used.verify()


# -- what a log may not say ------------------------------------------------------------------------------------------


def test_an_overspend_is_named(operator: Operator) -> None:
    for epsilon in (2.0, 2.1, 2.2):
        operator.entries.append(operator.release(operator.world.request("lookalike", epsilon=epsilon)))
    broken = operator.broken()
    assert (broken.entry, broken.rule) == (6, "the account is overspent")


@pytest.mark.parametrize(("position", "named"), [(CAP_ADVERTISER, 1), (CAP_PUBLISHER, 1), (OVERLAP, 2), (MOMENTS, 3)])
def test_an_entry_that_was_dropped_is_missed(operator: Operator, position: int, named: int) -> None:
    del operator.entries[position]
    renumber(operator.entries)
    assert operator.broken().entry == named


def test_a_hole_in_the_numbers_is_named(operator: Operator) -> None:
    del operator.entries[OVERLAP]
    assert operator.broken().entry == OVERLAP


def test_entries_in_another_order_are_named(operator: Operator) -> None:
    entries = operator.entries
    entries[OVERLAP], entries[MOMENTS] = entries[MOMENTS], entries[OVERLAP]
    renumber(entries)
    broken = operator.broken()
    assert (broken.entry, broken.rule.split()[1]) == (OVERLAP, "charges")


def test_a_checkpoint_seen_before_catches_what_was_cut_off_or_written_anew(operator: Operator) -> None:
    seen, agreement = operator.log.checkpoint, operator.world.agreement
    operator.entries.pop()
    short = operator.signed()
    verify_log(short, agreement)  # an honest shorter log looks just like this
    with pytest.raises(LedgerBroken, match="counted 5 entries, 4 are here"):
        verify_log(short, agreement, [seen])
    again = Operator(operator.world, operator.log)
    again.entries[HISTOGRAM]["commitment"] = secrets.token_hex(32)
    verify_log(again.signed(), agreement)
    with pytest.raises(LedgerBroken, match="rewritten"):
        verify_log(again.signed(), agreement, [seen])
    verify_log(operator.log, agreement, [seen, short.checkpoint])
    stranger = sign_checkpoint("rooms.example/spring", 0, root_of([]), NoteKey.new("rooms.example/spring"))
    with pytest.raises(LedgerBroken, match="not signed by the contract's room"):
        verify_log(operator.log, agreement, [stranger])


def test_what_was_not_signed_anew_is_named_by_the_copys_own_hashes(used: World) -> None:
    for position in range(5):
        log = used.log()
        entries = list(log.entries)
        entries[position] = entries[position].replace(b'"v":1', b'"v":2')
        with pytest.raises(LedgerBroken) as broken:
            verify_log(replace(log, entries=tuple(entries)), used.agreement)
        assert broken.value.entry == position
    with pytest.raises(LedgerBroken) as broken:
        verify_log(replace(log, entries=log.entries[:-1]), used.agreement)
    assert broken.value.entry is None


def test_missing_damaged_and_oversized_files_are_told(used: World) -> None:
    used.log()
    export = used.folder / "export"
    entries = next((export / "tile" / "entries").rglob("5"))
    whole = entries.read_bytes()
    entries.write_bytes(whole[:-1])
    with pytest.raises(BadLog):
        read_log(export)
    entries.write_bytes(whole + bytes(2**25))
    with pytest.raises(BadLog, match="larger"):
        read_log(export)
    entries.unlink()
    with pytest.raises(BadLog, match="missing"):
        read_log(export)
    (export / "checkpoint").write_bytes(b"\xff\n9\nx")
    with pytest.raises(BadLog):
        read_log(export)


def test_another_rooms_key_is_refused(operator: Operator) -> None:
    hashes = [leaf_hash(entry) for entry in operator.log.entries]
    forged = sign_checkpoint("rooms.example/spring", 5, root_of(hashes), NoteKey.new("rooms.example/spring"))
    with pytest.raises(LedgerBroken, match="not signed by the contract's room"):
        verify_log(replace(operator.log, checkpoint=forged), operator.world.agreement)


FORGERIES: dict[str, tuple[int, Change]] = {
    "a larger cap": (CAP_ADVERTISER, lambda e: e.update(rho=e["rho"] + 1)),
    "a cap for another ε": (CAP_ADVERTISER, lambda e: e.update(epsilon="30.0", rho=e["rho"] * 10)),
    "a cap for a stranger": (CAP_ADVERTISER, lambda e: e.update(account="host/record", owner="host")),
    "the other owner's cap": (CAP_ADVERTISER, lambda e: e.update(account="publisher/record")),
    "another version": (OVERLAP, lambda e: e.update(v=True)),
    "another contract": (OVERLAP, lambda e: e.update(contract="0" * 64)),
    "another purpose": (OVERLAP, lambda e: e.update(purpose="war")),
    "an unknown kind": (OVERLAP, lambda e: e.update(kind="gift")),
    "no key": (OVERLAP, lambda e: e.pop("key")),
    "another key": (OVERLAP, lambda e: e.update(key="0" * 64)),
    "something more": (OVERLAP, lambda e: e.update(note="alice was there")),
    "something more in the specification": (OVERLAP, lambda e: e["specification"].update(note="x")),
    "no commitment": (OVERLAP, lambda e: e.update(commitment="")),
    "a commitment that is text": (OVERLAP, lambda e: e.update(commitment="alice" + "0" * 59)),
    "a library that is a message": (OVERLAP, lambda e: e.update(library="x" * 101)),
    "minutes": (OVERLAP, lambda e: e.update(time=e["time"].replace(":00Z", ":01Z"))),
    "a time that runs backwards": (OVERLAP, lambda e: e.update(time="2026-12-31T23:00Z")),
    "no time at all": (OVERLAP, lambda e: e.update(time="2027-13-41T23:00Z")),
    "a time that is a number": (OVERLAP, lambda e: e.update(time=2027)),
    "a time after the contract's end": (HISTOGRAM, lambda e: e.update(time="2027-07-01T01:00Z")),
    "another asker": (OVERLAP, lambda e: e.update(asker="advertiser")),
    "an asker who is no party": (OVERLAP, lambda e: e.update(asker="nobody")),
    "another job": (OVERLAP, lambda e: e.update(job="0" * 64)),
    "another reader": (OVERLAP, lambda e: e.update(recipients=["advertiser", "officer", "publisher"])),
    "a reader less": (OVERLAP, lambda e: e.update(recipients=["publisher"])),
    "a reader twice": (OVERLAP, lambda e: e.update(recipients=["advertiser", "publisher", "publisher"])),
    "another reader of a lookalike": (MOMENTS, lambda e: e.update(recipients=["advertiser"])),
    "another reader of the covered part": (HISTOGRAM, lambda e: e.update(recipients=["officer"])),
    "a charge less": (OVERLAP, lambda e: e["charges"].pop()),
    "nobody charged": (OVERLAP, lambda e: e.update(charges=[])),
    "the wrong account": (OVERLAP, lambda e: e["charges"][1].update(account="publisher/record")),
    "an account without a cap": (OVERLAP, lambda e: e["charges"][0].update(account="host/record")),
    "a cheaper charge": (OVERLAP, lambda e: e["charges"][0].update(rho=e["charges"][0]["rho"] - 1)),
    "a dearer charge": (MOMENTS, lambda e: e["charges"][0].update(rho=e["charges"][0]["rho"] + 1)),
    "a doubled charge": (OVERLAP, lambda e: e["charges"].append(deepcopy(e["charges"][0]))),
    "a running balance that forgets": (MOMENTS, lambda e: e["charges"][0].update(before=0)),
    "a charge that is true": (MOMENTS, lambda e: e["charges"][0].update(rho=True)),
    "a cover that is another": (HISTOGRAM, lambda e: e["covered"][0].update(rho=e["covered"][0]["rho"] + 1)),
    "no cover said": (HISTOGRAM, lambda e: e.update(covered=[])),
    "cover by nothing": (HISTOGRAM, lambda e: e.update(beside="")),
    "cover by a stranger": (HISTOGRAM, lambda e: e.update(beside="0" * 64)),
    "a covered release that is paid": (MOMENTS, lambda e: e.update(beside=e["key"], charges=[])),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_an_edited_entry_is_named(operator: Operator, name: str) -> None:
    position, change = FORGERIES[name]
    change(operator.entries[position])
    assert operator.broken().entry == position


def test_bytes_that_are_not_canonical_are_named(operator: Operator) -> None:
    log = operator.log
    spellings = (b'{"seq": 2}', b"[]", b"not json", b"1.5", b'{"a":1e999}', b"[" * 50_000, log.entries[2] + b" ")
    for spelling in spellings:
        leaves = (*log.entries[:2], spelling, *log.entries[3:])
        with pytest.raises(LedgerBroken) as broken:
            verify_log(signed(operator.world, log, leaves), operator.world.agreement)
        assert broken.value.entry == OVERLAP

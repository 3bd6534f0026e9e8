"""The operator holds the room's folder and its signing key: everything here is signed anew with the real key."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.audit import LedgerBroken, verify_log
from passbox.cleanroom.flat import flat_pieces
from passbox.cleanroom.log import BadLog, Log, log_of, read_log, write_log
from passbox.cleanroom.measure.kinds import shape_of
from passbox.cleanroom.release import Listed
from passbox.cleanroom.room import open_room
from passbox.cleanroom.samples import generated
from passbox.cleanroom.submit import submit
from passbox.dp.canonical import canonical, digest
from passbox.dp.entry import commitment_to
from passbox.dp.note import NoteKey, sign_checkpoint
from passbox.dp.scale import price
from passbox.dp.tree import leaf_hash, root_of
from passbox.policies import check
from passbox.policies.agreement import signature_path
from passbox.policies.price import purchases
from passbox.policies.request import Request
from passbox.policies.sign import sign

from .conftest import PEOPLE, SEEDS

if TYPE_CHECKING:
    from conftest import Copier, World

Entry = dict[str, Any]
CAP_ADVERTISER, CAP_PUBLISHER, OVERLAP, MOMENTS, HISTOGRAM = range(5)
"""Where the entries of `used` stand."""


class Operator:
    """Writes a log of its own liking, and signs it as the room."""

    def __init__(self, world: World, log: Log | None = None) -> None:
        self.world, self.log = world, log or world.log()
        self.entries: list[Entry] = [json.loads(entry) for entry in self.log.entries]
        self.requests, self.manifests = dict(self.log.requests), dict(self.log.manifests)

    def keep(self, request: Request) -> None:
        self.requests[f"{request.digest}.toml"] = request.data
        self.requests[f"{request.digest}.toml.{request.asker}.sig"] = request.signature.encode()

    def release(self, request: Request, part: int = 0, time: str = "", **spec: Any) -> Entry:
        """A well-made entry for a signed job, whatever the rules say of it; `spec` alters its specification."""
        self.keep(request)
        submitted = self.world.room().submitted()
        manifests = {name: held.manifest for name, held in submitted.items()}
        purchase = purchases(self.world.agreement, request, manifests, shape_of)[part]
        entry: Entry = {
            "v": 1,
            "seq": len(self.entries),
            "kind": "release",
            "time": time or self.entries[-1]["time"],
            **purchase.context.as_json(),
            "specification": purchase.specification.as_json() | spec,
            "charges": [
                {"account": c.account, "dataset": c.dataset, "rho": c.rho, "before": self.spent(c.account)}
                for c in purchase.charges
            ],
            "covered": [],
            "beside": purchase.beside,
            "library": "opendp 0.16",
            "commitment": secrets.token_hex(32),
        }
        return priced(entry)

    def spent(self, account: str) -> int:
        charges = [charge for entry in self.entries for charge in entry.get("charges", [])]
        return sum(charge["rho"] for charge in charges if charge["account"] == account)

    def signed(self) -> Log:
        leaves = tuple(canonical(entry) for entry in self.entries)
        return signed(self.world, self.log, leaves, requests=self.requests, manifests=self.manifests)

    def broken(self) -> LedgerBroken:
        """How the officer finds it."""
        with pytest.raises(LedgerBroken) as found:
            verify_log(self.signed(), self.world.agreement)
        return found.value


def priced(entry: Entry) -> Entry:
    """The entry with the key and, where it has one, the price that its altered specification asks for."""
    spec, charges = entry["specification"], entry["charges"]
    with contextlib.suppress(ValueError):
        cost = price(spec["l2_squared"], spec["scale"])
        charges = [{**charge, "rho": cost} for charge in charges]
    return {**entry, "key": digest(spec), "charges": charges}


def signed(world: World, log: Log, leaves: tuple[bytes, ...], **parts: Any) -> Log:
    """A log over these leaves, signed with the room's real key."""
    hashes = tuple(leaf_hash(leaf) for leaf in leaves)
    key = world.keys("host").room_checkpoint()
    checkpoint = sign_checkpoint(key.name, len(hashes), root_of(hashes), key)
    return replace(log, checkpoint=checkpoint, entries=leaves, hashes=hashes, **parts)


@pytest.fixture(scope="module")
def log(ran: World) -> Log:
    return log_of(ran.room())


@pytest.fixture
def operator(ran: World, log: Log) -> Operator:
    """At a room that it only reads."""
    return Operator(ran, log)


def renumber(entries: list[Entry]) -> None:
    for position, entry in enumerate(entries):
        entry["seq"] = position


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


Change = Callable[[Entry], object]
CERTIFICATE = {
    "format": "passbox text certificate v1",
    "mechanism": "euclidean",
    **dict.fromkeys(("vocabulary", "table"), "0" * 64),
    **dict.fromkeys(("words", "dimensions", "size"), 100),
    **dict.fromkeys(("epsilon", "worst"), "3"),
}
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


# -- one draw a statistic --------------------------------------------------------------------------------------------

UNLIKE: dict[str, Change] = {
    "less noise": lambda s: s.update(scale=s["scale"] // 2),
    "more noise": lambda s: s.update(scale=s["scale"] + 1),
    "a scale that is true": lambda s: s.update(scale=True),
    "a sensitivity understated": lambda s: s.update(l2_squared=s["l2_squared"] // 4),
    "a sensitivity overstated": lambda s: s.update(l2_squared=s["l2_squared"] + 1),
    "a finer lattice": lambda s: s.update(lattice="2^-21"),
    "another unit of scale": lambda s: s.update(scale_unit="1/1"),
    "columns in another order": lambda s: s.update(columns=s["columns"][::-1]),
    "a column twice": lambda s: s.update(columns=[*s["columns"], s["columns"][0]]),
    "a column less": lambda s: s.update(columns=s["columns"][1:]),
    "columns that are not the job's": lambda s: s.update(columns=["buyers.age"]),
    "more cells": lambda s: s.update(cells=s["cells"] + 1),
    "another part": lambda s: s.update(part="all"),
    "the other part": lambda s: s.update(part={"train": "held-out", "held-out": "train"}[s["part"]]),
    "something it follows": lambda s: s.update(follows="0" * 64),
    "another statistic": lambda s: s.update(statistic="seed-moments@9"),
    "another mechanism": lambda s: s.update(mechanism="none"),
    "another unit": lambda s: s.update(unit="row"),
    "other neighbours": lambda s: s.update(neighbours="none"),
    "another match rule": lambda s: s.update(rule="any"),
    "data sets swapped": lambda s: s.update(
        datasets=dict(zip(s["datasets"], [*s["datasets"].values()][::-1], strict=True))
    ),
    "a data set less": lambda s: s["datasets"].pop("buyers"),
    "a third data set": lambda s: s["datasets"].update(more="0" * 64),
    "a manifest nobody has": lambda s: s["datasets"].update(buyers="0" * 64),
    "something more": lambda s: s.update(salt="1"),
}


@pytest.mark.parametrize("name", UNLIKE)
@pytest.mark.parametrize("part", [0, 1], ids=["moments", "histogram"])
def test_the_same_statistic_cannot_be_drawn_again_by_calling_it_another(
    operator: Operator, name: str, part: int
) -> None:
    """A second draw, paid in full, with something changed that the job does not change."""
    request = operator.world.request("lookalike")
    entry = operator.release(request, part)
    before = entry["key"]
    UNLIKE[name](entry["specification"])
    entry = priced(entry)
    assert entry["key"] != before
    operator.entries.append(entry)
    assert operator.broken().entry == 5


def test_the_same_statistic_with_fresh_noise_is_named(operator: Operator) -> None:
    request = operator.world.request("lookalike")
    for part in (0, 1):
        again = Operator(operator.world, operator.log)
        again.entries.append(again.release(request, part))
        broken = again.broken()
        assert (broken.entry, broken.rule) == (5, "the same statistic was drawn twice")


def test_a_statistic_that_stands_twice_without_a_new_payer_is_named(operator: Operator) -> None:
    again = deepcopy(operator.entries[OVERLAP]) | {"seq": 5, "charges": []}
    operator.entries.append(again)
    assert operator.broken().entry == 5


def test_a_second_pair_cannot_be_covered_by_the_same_charge(operator: Operator) -> None:
    """The histogram of another job, covered by the moments of the first."""
    request = operator.world.request("lookalike", epsilon=0.9)
    entry = operator.release(request, 1)
    entry["beside"] = entry["specification"]["follows"] = operator.entries[MOMENTS]["key"]
    entry["covered"] = deepcopy(operator.entries[HISTOGRAM]["covered"])
    operator.entries.append(priced(entry))
    assert operator.broken().entry == 5


def test_a_covered_release_without_its_cover_is_named(operator: Operator) -> None:
    operator.entries.append(operator.release(operator.world.request("lookalike", epsilon=0.9), 1))
    broken = operator.broken()
    assert (broken.entry, broken.rule) == (5, "what should have paid for it is not here")


# -- what was signed -------------------------------------------------------------------------------------------------


def test_a_job_must_be_there_whole_and_signed_by_its_asker(operator: Operator, ran: World) -> None:
    name = f"{operator.entries[OVERLAP]['job']}.toml"
    whole = dict(operator.requests)
    other = sign(whole[name], ran.signing_key("officer"), "passbox-job").encode()
    wrong = sign(whole[name], ran.signing_key("publisher"), "passbox-bundle").encode()
    for change in (
        {name: None},
        {name: whole[name] + b"\n"},
        {f"{name}.publisher.sig": None},
        {f"{name}.publisher.sig": other},
        {f"{name}.publisher.sig": wrong},
        {f"{name}.publisher.sig": b"\xff\x00"},
    ):
        operator.requests = {key: data for key, data in {**whole, **change}.items() if data is not None}
        assert operator.broken().entry == OVERLAP


def test_what_was_altered_is_not_called_missing(operator: Operator) -> None:
    """Of a job as of a manifest; the page that every copy carries has the same words."""
    job_of, data = operator.entries[OVERLAP]["job"], operator.entries[OVERLAP]["specification"]["datasets"]["buyers"]
    for kept, name, missing in (
        (operator.requests, f"{job_of}.toml", "the signed job is not in the copy"),
        (operator.manifests, f"{data}.json", "the manifest of a data set is not in the copy"),
    ):
        whole = kept.pop(name)
        assert operator.broken().rule == missing
        kept[name] = whole + b"\n"
        assert operator.broken().rule == "a job or manifest was changed"
        kept[name] = whole


DISALLOWED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a lookalike for somebody else": ("lookalike", {"recipients": ["advertiser"]}, "rules.allow"),
    "too small an audience": ("lookalike", {"audience": {"size": 10}}, "rules.smallest_audience"),
    "an audience of more than there are": ("lookalike", {"audience": {"size": 9_999}}, "audience"),
    "a job for another contract": ("lookalike", {"contract": "autumn"}, "name"),
}


@pytest.mark.parametrize("name", DISALLOWED)
def test_a_signed_job_that_the_contract_does_not_allow_is_named(operator: Operator, name: str) -> None:
    kind, fields, clause = DISALLOWED[name]
    operator.entries.append(operator.release(operator.world.request(kind, epsilon=0.5, **fields)))
    broken = operator.broken()
    assert broken.entry == 5
    assert f"does not allow it: {clause}:" in broken.rule


def test_a_job_signed_by_somebody_who_may_not_ask_is_named(operator: Operator) -> None:
    operator.entries.append(operator.release(operator.world.request("lookalike", "officer", epsilon=0.5)))
    assert operator.broken().entry == 5


def test_a_release_after_the_contracts_end_is_named(operator: Operator) -> None:
    request = operator.world.request("overlap", epsilon=0.5)
    operator.entries.append(operator.release(request, time="2027-07-01T01:00Z"))
    broken = operator.broken()
    assert (broken.entry, "expires" in broken.rule) == (5, True)


def test_a_manifest_must_be_its_owners_for_this_room_and_contract(operator: Operator, ran: World) -> None:
    digest_of = operator.entries[OVERLAP]["specification"]["datasets"]["buyers"]
    whole = dict(operator.manifests)
    manifest = whole[f"{digest_of}.json"]
    for signer, namespace in (
        ("host", "passbox-bundle"),
        ("publisher", "passbox-bundle"),
        ("advertiser", "passbox-job"),
    ):
        forged = sign(manifest, ran.signing_key(signer), namespace).encode()
        operator.manifests = whole | {f"{digest_of}.json.sig": forged}
        assert operator.broken().entry == OVERLAP
    operator.manifests = {name: data for name, data in whole.items() if name != f"{digest_of}.json"}
    assert operator.broken().entry == OVERLAP


@pytest.mark.parametrize(
    "change",
    [
        {"contract": "0" * 64},
        {"room": "rooms.example/other"},
        {"dataset": "visitors"},
        {"owner": "publisher"},
        {"rows": 99},
        {"expires": "2027-01-09T00:00:00Z"},
        {"made": "2026-01-01T00:00:00Z"},
        {"surprise": 1},
        {"private": [{"column": "topics", "tokens": 8, "certificate": CERTIFICATE}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_signed_manifest_for_other_use_is_named(operator: Operator, ran: World, change: dict[str, Any]) -> None:
    """Signed by the right owner, but for another contract or room, another data set, too short, late, or older."""
    digest_of = operator.entries[OVERLAP]["specification"]["datasets"]["buyers"]
    manifest = json.dumps(json.loads(operator.manifests[f"{digest_of}.json"]) | change).encode()
    other = hashlib.sha256(manifest).hexdigest()
    operator.manifests[f"{other}.json"] = manifest
    operator.manifests[f"{other}.json.sig"] = sign(manifest, ran.signing_key("advertiser"), "passbox-bundle").encode()
    entry = operator.release(ran.request("overlap", epsilon=0.5))
    entry["specification"]["datasets"]["buyers"] = other
    operator.entries.append(priced(entry))
    assert operator.broken().entry == 5


def test_a_data_set_that_was_replaced_is_not_used_again(operator: Operator, ran: World) -> None:
    """Of two that were made within one hour, times do not say which is older; the order in the log does."""
    digest_of = operator.entries[OVERLAP]["specification"]["datasets"]["buyers"]
    manifest = json.dumps(json.loads(operator.manifests[f"{digest_of}.json"]) | {"shares": "0" * 64}).encode()
    other = hashlib.sha256(manifest).hexdigest()
    operator.manifests[f"{other}.json"] = manifest
    operator.manifests[f"{other}.json.sig"] = sign(manifest, ran.signing_key("advertiser"), "passbox-bundle").encode()
    entry = operator.release(ran.request("overlap", epsilon=0.5))
    entry["specification"]["datasets"]["buyers"] = other
    operator.entries.append(priced(entry))
    verify_log(operator.signed(), ran.agreement)
    operator.entries.append(operator.release(ran.request("overlap", epsilon=0.4)))
    broken = operator.broken()
    assert (broken.entry, "replaced" in broken.rule) == (6, True)


def test_a_denial_is_of_a_signed_job_and_costs_nothing(used: World) -> None:
    with pytest.raises(check.Refused):
        used.run("lookalike", recipients=["advertiser"])
    for change in (
        lambda e: e.update(charges=[{"account": "advertiser/record", "rho": 1, "before": 0, "dataset": "buyers"}]),
        lambda e: e.update(asker="advertiser"),
        lambda e: e.update(recipients=["publisher"]),
        lambda e: e.update(job="0" * 64),
        lambda e: e.update(clause=7),
        lambda e: e.update(clause="alice@example.com"),
    ):
        operator = Operator(used)
        change(operator.entries[5])
        assert operator.broken().entry == 5


def test_the_officers_own_contract_decides(used: World, copied: Copier) -> None:
    """The operator sends along a contract that everybody signed, but it is not the one the officer holds."""
    log = used.log()
    other = copied(used)
    text = other.contract.read_text().replace('buyers"\nexpires', 'buyer"\nexpires')
    assert text != other.contract.read_text()
    other.contract.write_text(text)
    for name in ("publisher", "advertiser", "officer", "host"):
        signature_path(other.contract, name).write_text(
            sign(other.contract.read_bytes(), other.signing_key(name), "passbox-contract")
        )
    with pytest.raises(LedgerBroken) as broken:
        verify_log(log, other.agreement)
    assert broken.value.entry == 0


# -- the copy --------------------------------------------------------------------------------------------------------


def test_an_export_holds_no_release_and_no_secret(used: World) -> None:
    used.log()
    held = b"".join(path.read_bytes() for path in (used.folder / "export").rglob("*") if path.is_file())
    for path in (used.place / "keys").iterdir():
        assert path.read_bytes().strip() not in held
    for listed in used.place.glob("releases/*.release"):
        assert listed.read_bytes() not in held
        opened = used.open(job.Listed(listed.stem, "overlap", (), (), listed)) if "overlap" in listed.stem else None
        if opened:
            for item in opened.document["receipt"]["entries"]:
                assert item["nonce"].encode() not in held


def test_no_digest_in_an_export_tells_a_guess_about_a_list_or_a_count(used: World, tmp_path: Path) -> None:
    """Who guesses a whole list, how many of it match, or what was released finds no digest that says it is right."""
    used.log()
    released = values_in(used, next(used.place.glob("releases/overlap-*.release")))
    guesses = set(map(sha256, [*guessed_lists(tmp_path), *guessed_tables(used), *guessed_counts(released)]))
    held = b"".join(path.read_bytes() for path in (used.folder / "export").rglob("*") if path.is_file())
    found = set(re.findall("[0-9a-f]{64}", held.decode("latin-1")))
    assert len(found) > 10
    assert not found & guesses
    naive = commitment_to(b"", np.array(released))
    assert naive in guesses, "a commitment without its nonce is what these guesses find"


def guessed_lists(folder: Path) -> Iterator[bytes]:
    """The very lists of this world: as files, as e-mails and as their hashes, each alone and in some order."""
    sample = generated.write(PEOPLE, SEEDS, folder / "p", folder / "a", folder / "truth")
    for text in (sample.publisher.read_bytes(), sample.advertiser.read_bytes()):
        emails = re.findall(rb"[\w.+-]+@[\w.-]+", text)
        assert len(emails) > SEEDS / 2
        yield text
        for each in (emails, [sha256(email).encode() for email in emails]):
            yield from each
            yield from (between.join(order(each)) for between in (b"", b"\n", b",") for order in (list, sorted))


def guessed_tables(world: World) -> Iterator[bytes]:
    """What the bundles hold, unsealed."""
    for table in (world.table(name) for name in ("visitors", "buyers")):
        yield b"".join(flat_pieces(table))
        yield table.column("k").to_numpy().tobytes()


def guessed_counts(released: list[int]) -> Iterator[bytes]:
    for count in (*range(PEOPLE + 1), *released):
        yield from (form % count for form in (b"%d", b"[%d]", b'"%d"'))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def values_in(world: World, path: Path) -> list[int]:
    opened = world.open(Listed(path.stem, "overlap", (), (), path))
    values: list[int] = opened.document["receipt"]["entries"][0]["values"]
    return values


def test_an_export_replaces_an_export_and_nothing_else(used: World) -> None:
    out = used.folder / "out"
    write_log(log_of(used.room()), out)
    write_log(log_of(used.room()), out)
    (out / "my thesis.txt").write_text("mine")
    with pytest.raises(BadLog, match="something else"):
        write_log(log_of(used.room()), out)
    assert (out / "my thesis.txt").read_text() == "mine"
    (used.folder / "file").write_text("mine")
    with pytest.raises(BadLog, match="something else"):
        write_log(log_of(used.room()), used.folder / "file")


def test_verifying_needs_the_bundle_no_more(used: World) -> None:
    later = used.at(used.now + timedelta(days=1))
    later.submit("buyers", later.seeds(200, 100))
    assert not list(used.place.glob(f"datasets/buyers/{submit.__name__}"))
    assert len(list(used.place.glob("datasets/buyers/*/manifest.json"))) == 2
    assert len(list(used.place.glob("datasets/buyers/*/*.parquet"))) == 1
    later.verify()

"""What a party does at home: the bundle fits what stays, typing again changes nothing, nothing personal leaves."""

from __future__ import annotations

import base64
import hashlib
import os
import resource
import shutil
import subprocess
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from passbox.cleanroom import home, prepare
from passbox.cleanroom.bundle import MEMBERS, open_bundle, read_data
from passbox.cleanroom.columns import ColumnMissing, ColumnUnreadable
from passbox.cleanroom.dummies import with_dummies
from passbox.cleanroom.files import FileInTheWay
from passbox.cleanroom.home import read_home
from passbox.cleanroom.keys import KeysUnusable
from passbox.cleanroom.prepare import Brought, NothingLeft, NotTheOwner, Prepared, Task, TooManyRejects, examine
from passbox.cleanroom.source import BadSource
from passbox.cli.explain import explain, remedy
from passbox.matching.hashing import Handles
from passbox.policies.agreement import SignatureBroken
from passbox.policies.check import Refused
from passbox.policies.share import ShareUnusable, new_share, share_path, signed_share
from passbox.policies.sign import signer_of

HEADER = ["visitor_id", "email", "age", "region", "device", "topics", "note"]


@pytest.fixture
def party(signed: Any, tmp_path: Path) -> Party:
    for path in signed.folder.glob("contract.toml*"):
        shutil.copy(path, tmp_path)
    for path in signed.folder.glob("*.keys"):
        shutil.copytree(path, tmp_path / path.name)
    return Party(replace(signed, folder=tmp_path))


class Party:
    """A folder with everybody's keys and the signed contract, and nothing prepared in it."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.folder: Path = world.folder
        contract = world.agreement.contract
        columns = contract.dataset["visitors"].columns
        self.region, self.device = columns["region"].values[0], columns["device"].values[0]
        self.topic = columns["topics"].values[0]

    def row(self, n: int, **changes: Any) -> dict[str, Any]:
        cells = {"visitor_id": f"V-{n}", "email": f"person.{n}@example.com", "age": "40", "region": self.region}
        return cells | {"device": self.device, "topics": self.topic, "note": f"about {n}"} | changes

    def csv(self, rows: list[dict[str, Any]], name: str = "visitors.csv") -> Path:
        path = self.folder / name
        names = list(rows[0])
        pcsv.write_csv(pa.table({key: [row[key] for row in rows] for key in names}), path)
        return path

    def file(self, count: int = 50, **changes: Any) -> Path:
        return self.csv([self.row(n, **changes) for n in range(count)])

    def task(self, source: Path, dataset: str = "visitors", **changes: Any) -> Task:
        return Task(source, self.world.agreement, dataset, self.folder / f"{dataset}.bundle", **changes)

    def run(self, task: Task, name: str = "publisher") -> Prepared:
        keys = self.world.keys(name)
        return prepare.prepare(task, keys, self.world.signer(name), self.world.shares(), self.world.now)

    def prepare(self, rows: list[dict[str, Any]] | None = None, **changes: Any) -> Prepared:
        return self.run(self.task(self.csv(rows) if rows else self.file(), **changes))

    def opened(self, dataset: str = "visitors") -> pa.Table:
        return read_data(open_bundle(self.folder / f"{dataset}.bundle"), self.world.keys("host").room_seal())

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


# -- what comes out --------------------------------------------------------------------------------------------------


def test_a_bundle_holds_handles_tokens_and_declared_columns_and_nothing_else(party: Party) -> None:
    report = party.prepare()
    table = party.opened()
    assert table.column_names == ["k", "k2", "token", "age", "region", "device", "topics"]
    assert (report.read, report.rows, report.unused) == (50, 50, ("note",))
    assert table.column("k").to_pylist() == sorted(table.column("k").to_pylist())


def test_tokens_turn_into_own_ids_of_the_same_row(party: Party) -> None:
    party.prepare([party.row(n, age=str(18 + n)) for n in range(60)])
    own = dict(zip(*(pq.read_table(party.folder / "visitors.ids").column(c).to_pylist() for c in (0, 1)), strict=True))
    table = party.opened()
    for token, age in zip(table.column("token").to_pylist(), table.column("age").to_pylist(), strict=True):
        assert own[token] == f"V-{int(age) - 18}"


def test_what_stays_is_for_its_owner_only(party: Party) -> None:
    report = party.prepare()
    assert report.ids == report.home == party.folder / "visitors.ids"
    assert report.ids.stat().st_mode & 0o777 == 0o600


def test_both_parties_get_the_same_handle_for_one_person_however_it_is_written(party: Party) -> None:
    party.prepare()
    seeds = party.csv([{"email": " PERSON.7@Example.com "}, {"email": "stranger@example.com"}], "buyers.csv")
    party.run(party.task(seeds, "buyers"), "advertiser")
    known = set(party.opened().column("k").to_pylist())
    assert len(known & set(party.opened("buyers").column("k").to_pylist())) == 1


def test_records_of_one_person_become_one_row(party: Party) -> None:
    rows = [party.row(0), party.row(1, email="PERSON.0@example.com", age="50"), party.row(2)]
    report = party.prepare(rows)
    assert (report.rows, report.merged) == (2, 1)
    assert party.opened().column("age").to_pylist() == [40.0, 40.0]


def test_rows_are_left_out_by_reason_and_counted_once(party: Party) -> None:
    rows = [party.row(n) for n in range(20)]
    rows += [party.row(20, email=""), party.row(21, email="nobody"), party.row(22, email="ab" * 32)]
    rows += [party.row(23, age="1e309"), party.row(24, region="mars", age="999"), party.row(25, visitor_id=" ")]
    rows += [party.row(26, visitor_id="V-3")]
    report = party.prepare(rows, most_rejects=7)
    assert report.rows == 20
    assert dict(report.rejects) == {
        "email: empty": 1,
        "email: not-an-email": 1,
        "email: already-hashed": 1,
        "visitor_id: empty": 1,
        "age: not finite": 1,
        "age: out of bounds": 1,
        "visitor_id: an ID of another person": 1,
    }


def test_more_rejects_than_allowed_refuse_the_file_and_write_nothing(party: Party) -> None:
    before = party.files()
    rows = [party.row(n) for n in range(98)] + [party.row(98, email="nobody"), party.row(99, age="x")]
    for allowed in (0, 1, 0.019):
        with pytest.raises(TooManyRejects) as caught:
            party.prepare(rows, most_rejects=allowed)
        assert caught.value.rejects == {"age: not a number": 1, "email: not-an-email": 1}
    party.folder.joinpath("visitors.csv").unlink()
    assert party.files() == before
    assert party.prepare(rows, most_rejects=0.02).rows == 98


def test_a_file_of_which_nothing_is_left_says_why(party: Party) -> None:
    with pytest.raises(NothingLeft) as caught:
        party.prepare([party.row(n, email="ab" * 32) for n in range(5)], most_rejects=100)
    assert dict(caught.value.rejects) == {"email: already-hashed": 5}


def test_parquet_gives_what_csv_gives_and_whole_number_ids_stay_numbers(party: Party) -> None:
    rows = [party.row(n) for n in range(30)]
    table = pa.table({key: [row[key] for row in rows] for key in HEADER})
    table = table.set_column(0, "visitor_id", pa.array(range(30), pa.int64()))
    table = table.set_column(2, "age", pa.array([40.0] * 30))
    table = table.set_column(5, "topics", pa.array([[party.topic]] * 30))
    path = party.folder / "visitors.parquet"
    pq.write_table(table, path)
    assert party.run(party.task(path)).rows == 30
    assert sorted(pq.read_table(party.folder / "visitors.ids").column("visitor_id").to_pylist()) == list(range(30))


# -- refusals --------------------------------------------------------------------------------------------------------


def refused(party: Party, rows: list[dict[str, Any]], error: type[Exception], **changes: Any) -> Exception:
    source, before = party.csv(rows), party.files()
    with pytest.raises(error) as caught:
        party.run(party.task(source, **changes))
    assert party.files() == before
    assert "person." not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_a_missing_column_is_named_without_naming_the_others(party: Party) -> None:
    rows = [{key: value for key, value in party.row(n).items() if key != "age"} for n in range(3)]
    error: Any = refused(party, rows, ColumnMissing)
    assert error.columns == ("age",)
    assert "note" not in repr(error)


def test_a_file_without_its_header_is_refused_before_anything_of_it_is_said(party: Party) -> None:
    path = party.file(5)
    path.write_bytes(path.read_bytes().partition(b"\n")[2])
    with pytest.raises(BadSource) as caught:
        party.run(party.task(path))
    assert "not a header" in caught.value.rule


def test_ids_of_a_type_that_cannot_come_back_are_refused(party: Party) -> None:
    path = party.folder / "visitors.parquet"
    rows = [party.row(n) for n in range(3)]
    table = pa.table({key: [row[key] for row in rows] for key in HEADER})
    pq.write_table(table.set_column(0, "visitor_id", pa.array([1.5, 2.5, 3.5])), path)
    with pytest.raises(ColumnUnreadable):
        party.run(party.task(path))


def test_an_identifier_that_is_not_text_is_refused(party: Party) -> None:
    path = party.folder / "visitors.parquet"
    rows = [party.row(n) for n in range(3)]
    table = pa.table({key: [row[key] for row in rows] for key in HEADER})
    pq.write_table(table.set_column(1, "email", pa.array([1, 2, 3])), path)
    with pytest.raises(BadSource) as caught:
        party.run(party.task(path))
    assert "not text" in caught.value.rule


DIGEST = hashlib.sha256(b"person.1@example.com").digest()
SHA, BASE64 = DIGEST.hex(), base64.b64encode(DIGEST).decode()
EMPTY = hashlib.sha256(b"").hexdigest()
TEST, TYPED = (hashlib.sha256(value).hexdigest() for value in (b"noemail@noemail.com", b"+11111111111"))
HASHES = {"email": "sha256"}
HASHED: dict[str, tuple[str, str]] = {
    "a raw address": ("person.1@example.com", "raw-email-in-hashed-column"),
    "hex of hex": (SHA.encode().hex(), "hex-of-hex"),
    "capital hex of capital hex": (SHA.upper().encode().hex().upper(), "hex-of-hex"),
    "hex of base64": (BASE64.encode().hex(), "encoded-twice"),
    "base64 of hex": (base64.b64encode(SHA.encode()).decode(), "base64-of-hex"),
    "base64 of base64": (base64.b64encode(BASE64.encode()).decode(), "encoded-twice"),
    "base64 of URLs": (base64.urlsafe_b64encode(b"\xfb" * 32).decode(), "not-a-hash"),
    "base64 without its end": (BASE64[:-1], "not-a-hash"),
    "hex of both cases": (SHA[:32].upper() + SHA[32:], "not-a-hash"),
    "hex with its mark": ("0x" + SHA, "not-a-hash"),
    "MD5": (hashlib.md5(b"person.1@example.com").hexdigest(), "wrong-length"),
    "SHA-512": (hashlib.sha512(b"person.1@example.com").hexdigest(), "wrong-length"),
    "nothing, hashed": (EMPTY, "hash-of-nothing"),
    "nothing, hashed twice": (hashlib.sha256(EMPTY.encode()).hexdigest(), "hashed-twice"),
    "a test address, hashed twice": (hashlib.sha256(TEST.encode()).hexdigest(), "hashed-twice"),
    "a typed number, hashed twice": (hashlib.sha256(TYPED.encode()).hexdigest(), "hashed-twice"),
    "nothing, hashed twice as bytes": (hashlib.sha256(bytes.fromhex(EMPTY)).hexdigest(), "hashed-twice"),
}


def hashed(party: Party, *cells: str) -> Brought:
    """A list that the contract says arrives hashed."""
    contract = party.world.agreement.contract
    rule = contract.dataset["buyers"].model_copy(update={"identifiers": {"email": "sha256"}})
    agreed = contract.model_copy(update={"dataset": contract.dataset | {"buyers": rule}})
    return Brought(party.csv([{"email": cell} for cell in cells], "buyers.csv"), agreed, "buyers")


@pytest.mark.parametrize("case", HASHED)
def test_a_hash_that_is_none_is_counted_under_its_likely_cause_and_explained(case: str, party: Party) -> None:
    """Any cause has words of its own, and none of them holds what the cell held."""
    cell, cause = HASHED[case]
    report = examine(hashed(party, "ab" * 32, cell))
    assert (report.rows, dict(report.rejects)) == (1, {f"email: {cause}": 1})
    words = explain(TooManyRejects(Path("buyers.csv"), 2, report.rejects, 0, HASHES))
    assert cause in words.message
    assert remedy(report.rejects, HASHES) == words.hint != ""
    assert cell[:12] not in words.message + words.hint


def test_one_row_that_shows_a_double_hash_is_what_the_remedy_speaks_of(party: Party) -> None:
    twice = hashlib.sha256(EMPTY.encode()).hexdigest()
    report = examine(hashed(party, "ab" * 32, twice, "x", "y", "z"))
    assert "hashed twice" in remedy(report.rejects, HASHES)


def test_a_hash_of_a_test_address_is_counted_or_refused_as_the_address_is(party: Party) -> None:
    brought = hashed(party, "ab" * 32, TEST, TYPED)
    report = examine(brought)
    assert (report.rows, dict(report.rejects), dict(report.suspects)) == (3, {}, {"email: test-value": 2})
    rule = brought.rule.model_copy(update={"suspicious": "refuse"})
    contract = brought.contract.model_copy(update={"dataset": brought.contract.dataset | {"buyers": rule}})
    report = examine(replace(brought, contract=contract))
    assert (report.rows, dict(report.rejects), dict(report.suspects)) == (1, {"email: test-value": 2}, {})


def test_rows_of_one_person_that_say_otherwise_are_counted_and_the_first_counts(party: Party) -> None:
    """What is missing in one of them says nothing."""
    contract = party.world.agreement.contract
    regions = contract.dataset["visitors"].columns["region"].values
    one = {"visitor_id": "V-1", "email": "person.1@example.com"}
    rows = [party.row(1, region=regions[0]), party.row(2)]
    rows += [party.row(9, **one, region=regions[1], age="41"), party.row(9, **one, age=""), party.row(9, **one)]
    rows += [party.row(9, **one, topics="")]
    report = examine(Brought(party.csv(rows), contract, "visitors"))
    assert (report.rows, report.merged, report.contradicting) == (2, 4, 1)
    assert examine(Brought(party.csv(rows[:2]), contract, "visitors")).contradicting == 0
    rows[4]["topics"] = contract.dataset["visitors"].columns["topics"].values[1]
    assert examine(Brought(party.csv(rows), contract, "visitors")).contradicting == 2


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_hex_of_either_case_is_the_same_person(case: Callable[[str], str], party: Party) -> None:
    report = examine(hashed(party, case(SHA), case("ab" * 32)))
    assert (report.rows, report.rejects) == (2, {})


def test_hex_of_both_cases_in_one_column_says_so(party: Party) -> None:
    with pytest.raises(BadSource) as caught:
        examine(hashed(party, SHA, SHA.upper()))
    assert caught.value.rule == "column email mixes encodings of hashes: small hex letters and capital hex letters"


def test_keys_of_another_party_are_refused(party: Party) -> None:
    for name in ("advertiser", "host", "officer"):
        with pytest.raises(NotTheOwner):
            party.run(party.task(party.file()), name)


def test_an_expired_contract_prepares_nothing(party: Party) -> None:
    party.world = replace(party.world, now=party.world.now + timedelta(days=1000))
    refused(party, [party.row(0)], Refused)


def test_a_missing_planted_or_swapped_share_is_refused(party: Party) -> None:
    agreement, path = party.world.agreement, party.world.contract
    theirs = share_path(path, "advertiser")
    good = theirs.read_text()
    planted = new_share(agreement.contract, agreement.data, "advertiser")
    for text in (
        share_path(path, "publisher").read_text(),
        planted,
        signed_share(planted, signer_of(party.world.signing_key("publisher"))),
        signed_share(planted, signer_of(party.world.signing_key("host"))),
        "",
    ):
        theirs.write_text(text)
        with pytest.raises((ShareUnusable, SignatureBroken)):
            party.prepare()
    theirs.write_text(good)
    shares = {"publisher": party.world.shares()["publisher"]}
    with pytest.raises(ShareUnusable):
        prepare.prepare(
            party.task(party.file()), party.world.keys("publisher"), party.world.signer("publisher"), shares,
            party.world.now,
        )  # fmt: skip


def test_a_neutral_operator_cannot_prepare_with_the_shares_it_sees(party: Party) -> None:
    with pytest.raises(ShareUnusable) as caught:
        prepare.open_shares(party.world.agreement, party.world.shares(), party.world.keys("host").seal_identity())
    assert caught.value.reason == "sealed-to-others"


def test_the_manifest_says_which_shares_the_key_came_from(party: Party) -> None:
    party.prepare()
    first = open_bundle(party.folder / "visitors.bundle").manifest.shares
    share_path(party.world.contract, "advertiser").write_text(
        signed_share(
            new_share(party.world.agreement.contract, party.world.agreement.data, "advertiser"),
            signer_of(party.world.signing_key("advertiser")),
        )
    )
    party.run(replace(party.task(party.file()), out=party.folder / "again.bundle"))
    assert open_bundle(party.folder / "again.bundle").manifest.shares != first


def test_the_manifest_says_the_hour_it_was_made_in_and_no_more(party: Party) -> None:
    party.world = replace(party.world, now=party.world.now.replace(minute=59, second=58, microsecond=7))
    party.prepare()
    manifest = open_bundle(party.folder / "visitors.bundle").manifest
    assert manifest.made == party.world.now.replace(minute=0, second=0, microsecond=0)
    assert manifest.expires.date() == party.world.agreement.contract.expires


def test_damaged_keys_are_refused(party: Party) -> None:
    (party.folder / "publisher.keys" / "seal").write_bytes(b"\xff\xfe")
    with pytest.raises(KeysUnusable):
        party.prepare()


# -- only looking ----------------------------------------------------------------------------------------------------


def test_looking_needs_no_keys_writes_nothing_and_counts_the_same(party: Party) -> None:
    rows = [party.row(n) for n in range(20)] + [party.row(20, email="nobody"), party.row(1)]
    source, before = party.csv(rows), None
    for path in party.folder.glob("*.keys"):
        shutil.rmtree(path)
    before = party.files()
    party.folder.chmod(0o500)
    try:
        report = examine(Brought(source, party.world.agreement.contract, "visitors"))
    finally:
        party.folder.chmod(0o700)
    assert party.files() == before
    assert (report.rows, report.merged, dict(report.rejects)) == (20, 1, {"email: not-an-email": 1})
    assert (report.bundle, report.ids, report.home, report.written) == (None, None, None, False)


def test_looking_at_a_file_of_which_nothing_is_left_shows_the_reasons(party: Party) -> None:
    source = party.csv([party.row(n, email="") for n in range(3)])
    report = examine(Brought(source, party.world.agreement.contract, "visitors"))
    assert (report.rows, dict(report.rejects)) == (0, {"email: empty": 3})


# -- dummies ---------------------------------------------------------------------------------------------------------


def padded(party: Party, people: range, rows: int, name: str = "buyers") -> set[int]:
    """The first halves of the handles in a bundle of those people."""
    seeds = party.csv([{"email": f"person.{n}@example.com"} for n in people], f"{name}.csv")
    task = replace(party.task(seeds, "buyers", pad_to=rows), out=party.folder / f"{name}.bundle")
    report = party.run(task, "advertiser")
    table = read_data(open_bundle(task.out), party.world.keys("host").room_seal())
    assert (report.rows, report.dummies) == (max(rows, len(people)), max(rows - len(people), 0))
    assert open_bundle(task.out).manifest.rows == table.num_rows == report.rows
    assert (table.column_names, table.column("k").to_pylist()) == (["k", "k2"], sorted(table.column("k").to_pylist()))
    return set(table.column("k").to_pylist())


def test_a_padded_list_shows_the_size_that_was_asked_and_holds_every_person(party: Party) -> None:
    people = padded(party, range(40), 0, "plain")
    shown = padded(party, range(40), 1000)
    assert (len(people), len(shown), people <= shown) == (40, 1000, True)
    assert padded(party, range(40), 40, "full") == people


def test_who_sees_two_submissions_cannot_tell_dummies_by_what_changes(party: Party) -> None:
    """Made again, under another name or of a longer list, a list has the dummies it had: the first so many."""
    people, first = padded(party, range(40), 0, "plain"), padded(party, range(40), 500, "first")
    assert padded(party, range(40), 500, "again") == first
    grown = padded(party, range(60), 500, "grown")
    dummies = first - people
    assert people <= grown
    assert (len(dummies), len(grown & dummies), grown & dummies <= dummies) == (460, 440, True)


def test_dummies_come_from_a_secret_of_the_owner_alone(party: Party) -> None:
    """The other owner holds the match key: with the same list and key, its dummies are others."""
    people, ours = padded(party, range(40), 0, "plain"), padded(party, range(40), 500, "ours")
    seal = party.folder / "advertiser.keys" / "seal"
    held = party.world.shares()
    task = replace(party.task(party.folder / "ours.csv", "buyers"), pad_to=500)
    secret = prepare._dummy_secret(task, party.world.keys("advertiser"))
    assert secret != prepare._dummy_secret(task, party.world.keys("publisher"))
    assert secret != prepare._dummy_secret(replace(task, dataset="others"), party.world.keys("advertiser"))
    assert seal.read_text().strip().encode() not in secret
    key = prepare.derive_match_key(
        prepare.open_shares(party.world.agreement, held, party.world.keys("publisher").seal_identity()),
        bytes.fromhex(party.world.agreement.digest),
    )
    theirs = with_dummies(Handles(np.zeros(0, np.uint64), np.zeros(0, np.uint64)), 500, key.reveal())
    assert not set(theirs.k.tolist()) & (ours - people)


def test_dummies_match_nobody_and_a_padded_list_counts_the_same(party: Party) -> None:
    party.prepare()
    known = set(party.opened().column("k").to_pylist())
    assert len(padded(party, range(30, 70), 0, "plain") & known) == 20
    assert len(padded(party, range(30, 70), 5000) & known) == 20


def test_a_list_that_hands_out_audiences_or_has_features_is_not_padded(party: Party) -> None:
    """A dummy with made-up features would be learnt from, and could be chosen."""
    refused(party, [party.row(n) for n in range(9)], Refused, pad_to=100)
    with pytest.raises(Refused, match="IDs and columns"):
        examine(party.task(party.file()).brought, 100)


def test_a_list_longer_than_what_it_is_padded_to_is_refused(party: Party) -> None:
    seeds = party.csv([{"email": f"person.{n}@example.com"} for n in range(9)], "buyers.csv")
    before = party.files()
    with pytest.raises(BadSource, match="more than it is to be padded to"):
        party.run(party.task(seeds, "buyers", pad_to=8), "advertiser")
    assert party.files() == before
    assert examine(party.task(seeds, "buyers").brought, 20).dummies == 11


def test_another_padding_of_the_same_file_is_another_bundle(party: Party) -> None:
    seeds = party.csv([{"email": f"person.{n}@example.com"} for n in range(9)], "buyers.csv")
    assert party.run(party.task(seeds, "buyers", pad_to=20), "advertiser").written
    assert not party.run(party.task(seeds, "buyers", pad_to=20), "advertiser").written
    for other in (0, 21):
        with pytest.raises(FileInTheWay):
            party.run(party.task(seeds, "buyers", pad_to=other), "advertiser")


def test_nobody_left_is_not_hidden_by_dummies(party: Party) -> None:
    seeds = party.csv([{"email": "nobody"}], "buyers.csv")
    with pytest.raises(NothingLeft):
        party.run(party.task(seeds, "buyers", pad_to=20, most_rejects=9), "advertiser")


# -- typed twice, or after a crash -----------------------------------------------------------------------------------


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


# -- ordinary tools --------------------------------------------------------------------------------------------------


def test_unzip_and_ssh_keygen_open_a_bundle(party: Party) -> None:
    if not (shutil.which("unzip") and shutil.which("ssh-keygen")):
        pytest.skip("unzip or ssh-keygen is not installed")
    party.prepare()
    opened = unzipped(party)
    assert sorted(path.name for path in opened.iterdir()) == sorted(MEMBERS)
    public = party.world.keys("publisher").sign_public()
    (party.folder / "allowed").write_text(f'publisher namespaces="passbox-bundle" {public}\n')
    ask = ["ssh-keygen", "-Y", "verify", "-f", party.folder / "allowed", "-I", "publisher", "-n", "passbox-bundle"]
    signature = ["-s", opened / "manifest.json.sig"]
    manifest = (opened / "manifest.json").read_bytes()
    assert subprocess.run([*ask, *signature], input=manifest, check=False, capture_output=True).returncode == 0
    assert subprocess.run([*ask, *signature], input=manifest + b" ", check=False, capture_output=True).returncode != 0


def test_age_and_any_arrow_reader_open_the_data(party: Party) -> None:
    if not (shutil.which("age") and shutil.which("unzip")):
        pytest.skip("age or unzip is not installed")
    party.prepare()
    opened, key = unzipped(party), party.folder / "host.keys" / "room.seal"
    data = party.folder / "data.arrow"
    subprocess.run(["age", "-d", "-i", key, "-o", data, opened / "data.arrow.age"], check=True)
    assert feather.read_table(data).equals(party.opened())
    other = party.folder / "publisher.keys" / "seal"
    shut = subprocess.run(["age", "-d", "-i", other, opened / "data.arrow.age"], check=False, capture_output=True)
    assert shut.returncode != 0


def unzipped(party: Party) -> Path:
    target = party.folder / "opened"
    subprocess.run(["unzip", "-q", party.folder / "visitors.bundle", "-d", target], check=True)
    assert all(os.access(path, os.R_OK) for path in target.iterdir())
    return target


# -- canaries --------------------------------------------------------------------------------------------------------

CANARIES = 1000


def test_nothing_of_a_person_leaves_home(party: Party, capfd: pytest.CaptureFixture[str]) -> None:
    """A thousand e-mails and IDs, in a good file and in broken ones: only the owner's own files hold any."""
    rows = [
        party.row(n, email=f"canary{n}@bird.example", visitor_id=f"CANARY-{n}", note=f"canary note {n}")
        for n in range(CANARIES)
    ]
    sources = {"good": party.csv(rows, "good.csv")}
    for name, spoil in SPOILED.items():
        sources[name] = party.folder / f"{name}.csv"
        sources[name].write_bytes(spoil(sources["good"].read_bytes()))
    said = []
    for name, source in sources.items():
        task = replace(party.task(source), out=party.folder / f"{name}.bundle")
        for run in (lambda t=task: party.run(t), lambda t=task: examine(t.brought)):
            try:
                said.append(repr(run()))
            except (BadSource, ColumnMissing, TooManyRejects, NothingLeft) as error:
                said.append("".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)))
    out, err = capfd.readouterr()
    assert sorted(path.name for path in party.folder.glob("*.bundle")) == ["good.bundle"]
    own = {path.name for path in sources.values()} | {"good.ids"}
    for text in (*said, out, err):
        assert "canary" not in text.lower()
    for path in party.folder.rglob("*"):
        if path.is_file() and path.name not in own:
            assert b"canary" not in path.read_bytes().lower(), path.name
    bundle = pq_bytes(party, "good")
    assert b"canary" not in bundle.lower()


def pq_bytes(party: Party, name: str) -> bytes:
    table = read_data(open_bundle(party.folder / f"{name}.bundle"), party.world.keys("host").room_seal())
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="NONE")
    return sink.getvalue().to_pybytes()


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "headless": lambda data: data.partition(b"\n")[2],
    "ragged": lambda data: data.replace(b'"canary7@', b'"x","canary7@'),
    "latin": lambda data: data.replace(b"canary900@", b"canary\xe9@"),
    "nul": lambda data: data.replace(b"canary900@", b"canary\0@"),
    "ages": lambda data: data.replace(b'"40"', b'"canary"'),
    "regions": lambda data: data.replace(b'"40","', b'"40","canary '),
    "unclosed": lambda data: data + b'"canary,""canary',
    "renamed": lambda data: data.replace(b'"age"', b'"canary"', 1),
    "doubled": lambda data: data.replace(b'"note"', b'"age"', 1),
    "hashes": lambda data: data.replace(b"@bird.example", b""),
    "semicolons": lambda data: data.replace(b'","', b'";"'),
    "wide": lambda data: data.replace(b"canary500@", b"canary" * 300_000 + b"@"),
    "half": lambda data: data[: len(data) // 2],
    "ids": lambda data: data.replace(b'"CANARY-1"', b'"CANARY-2"'),
}

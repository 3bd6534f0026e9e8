"""What a party does at home: the bundle fits what stays, typing again changes nothing, nothing personal leaves."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passbox.cleanroom import prepare
from passbox.cleanroom.bundle import open_bundle, read_data
from passbox.cleanroom.columns import ColumnMissing, ColumnUnreadable
from passbox.cleanroom.keys import KeysUnusable
from passbox.cleanroom.prepare import Brought, NothingLeft, NotTheOwner, TooManyRejects, examine
from passbox.cleanroom.source import BadSource
from passbox.policies.agreement import SignatureBroken
from passbox.policies.check import Refused
from passbox.policies.share import ShareUnusable, new_share, share_path, signed_share
from passbox.policies.sign import signer_of

from .party import HEADER, Party

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


def test_rows_that_say_otherwise_are_told_of_people_in_the_bundle_alone(party: Party) -> None:
    """Rows of a person who is left out contradict nothing; an own ID that does not come back does."""
    contract = party.world.agreement.contract
    one, other = {"visitor_id": "V-1", "email": "a@b.de"}, {"visitor_id": "V-1", "email": "c@b.de"}
    rows = [party.row(1, **one), party.row(1, **other), party.row(1, **other, age="41")]
    report = examine(Brought(party.csv(rows), contract, "visitors"))
    assert (report.rows, report.merged, report.contradicting) == (1, 1, 0)
    rows += [party.row(1, email="a@b.de", visitor_id="V-2"), party.row(1, **one)]
    report = examine(Brought(party.csv(rows), contract, "visitors"))
    assert (report.rows, report.merged, report.contradicting) == (1, 3, 1)


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


def test_an_odd_address_counts_as_kept_only_where_its_row_is(party: Party) -> None:
    rows = [party.row(0), party.row(1, email="Jo <jo@b.de>", age="999"), party.row(2, email="mailto:jo@b.de")]
    contract = party.world.agreement.contract
    report = examine(Brought(party.csv(rows), contract, "visitors"))
    assert (report.rows, dict(report.suspects)) == (2, {"email: test-value": 1, "email: unlikely-address": 1})
    report = examine(Brought(party.csv(rows[:2]), contract, "visitors"))
    assert (report.rows, dict(report.suspects)) == (1, {"email: test-value": 1})
    assert not [said for said in report.doubts if "no plain address" in said]


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


def test_a_missing_column_is_named_without_naming_the_others(party: Party) -> None:
    rows = [{key: value for key, value in party.row(n).items() if key != "age"} for n in range(3)]
    error: Any = party.refused(rows, ColumnMissing)
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


def test_keys_of_another_party_are_refused(party: Party) -> None:
    for name in ("advertiser", "host", "officer"):
        with pytest.raises(NotTheOwner):
            party.run(party.task(party.file()), name)


def test_an_expired_contract_prepares_nothing(party: Party) -> None:
    party.world = replace(party.world, now=party.world.now + timedelta(days=1000))
    party.refused([party.row(0)], Refused)


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

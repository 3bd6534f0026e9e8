"""A first draft from cards, wishes and a file is a contract, or is not written."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from passbox.cleanroom.draft import Drafted, RoleMissing, Wishes, draft_contract
from passbox.cleanroom.keys import KeysUnusable
from passbox.policies.contract import InvalidContract, parse

TODAY = date(2027, 1, 10)
WISHES = Wishes(
    name="spring",
    purpose="find more people",
    expires=date(2027, 6, 30),
    people="visitors",
    seed="buyers",
    kind="email",
    scheme="uid2@1",
    people_arrives="raw",
    seed_arrives="sha256",
    epsilon=3.0,
    smallest_seed=1000,
    smallest_audience=5000,
)


def drafted(signed: Any, wishes: Wishes = WISHES, *names: str, source: Path | None = None) -> Drafted:
    cards = [signed.folder / f"{name}.party.toml" for name in names or ("publisher", "advertiser", "officer", "host")]
    return draft_contract(cards, signed.folder / "host.room.toml", wishes, source, TODAY)


def test_a_draft_is_a_contract_of_these_parties(signed: Any) -> None:
    contract = parse(drafted(signed).text.encode())
    assert set(contract.party) == {"publisher", "advertiser", "officer", "host"}
    assert contract.dataset["buyers"].identifiers == {"email": "sha256"}
    assert contract.party["officer"].sign == signed.keys("officer").sign_public()


def test_delta_is_below_one_tenth_of_one_person(signed: Any, tmp_path: Path) -> None:
    source = tmp_path / "visitors.csv"
    source.write_text("email,region\n" + "".join(f"p{n}@example.com,north\n" for n in range(300_000)))
    contract = parse(drafted(signed, source=source).text.encode())
    assert contract.dataset["visitors"].budget.delta == 1e-7


@pytest.mark.parametrize("column", ["email", "email_sha256", "E-Mail", "hem"])
@pytest.mark.parametrize("arrives", ["raw", "sha256"])
def test_a_file_of_hashes_is_told_where_the_draft_says_raw(
    column: str, arrives: str, signed: Any, tmp_path: Path
) -> None:
    rows = [f"V{n},{hashlib.sha256(f'p{n}@b.io'.encode()).hexdigest()}\n" for n in range(6_000)]
    source = tmp_path / "visitors.csv"
    source.write_text(f"visitor_id,{column}\n" + "".join(rows))
    told = drafted(signed, replace(WISHES, people_arrives=arrives), source=source).missing
    if arrives == "sha256":
        assert told == ()
        return
    assert len(told) == 1
    assert f'column {column} holds SHA-256, and the draft says `identifiers.email = "raw"`' in told[0]
    assert "--people-identifier sha256" in told[0]
    assert ("--column email=" in told[0]) is (column != "email")


def test_a_file_of_addresses_is_told_where_the_draft_says_hashed(signed: Any, tmp_path: Path) -> None:
    source = tmp_path / "visitors.csv"
    source.write_text("visitor_id,email\n" + "".join(f"V{n},p{n}@b.io\n" for n in range(6_000)))
    assert drafted(signed, source=source).missing == ()
    (told,) = drafted(signed, replace(WISHES, people_arrives="sha256"), source=source).missing
    assert "column email holds raw values" in told
    assert "--people-identifier raw" in told


@pytest.mark.parametrize("scheme", ["uid2@1", "cm360@1", "liveramp@1"])
@pytest.mark.parametrize("arrives", ["raw", "sha256"])
@pytest.mark.parametrize("column", ["email", "email_hash", "E-Mail"])
@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha512"])
def test_hashes_that_the_scheme_takes_in_no_form_are_told(
    algorithm: str, column: str, arrives: str, scheme: str, signed: Any, tmp_path: Path
) -> None:
    source = tmp_path / "visitors.csv"
    rows = [f"V{n},{hashlib.new(algorithm, f'p{n}@b.io'.encode()).hexdigest()}\n" for n in range(6_000)]
    source.write_text(f"visitor_id,{column}\n" + "".join(rows))
    (told,) = drafted(signed, replace(WISHES, scheme=scheme, people_arrives=arrives), source=source).missing
    assert f"column {column} holds what looks like hashes, and none that {scheme} takes" in told
    assert "the SHA-256 of each" in told


@pytest.mark.parametrize("names", ["session,mail", "email_row,e_mail"])
def test_other_hashes_beside_addresses_or_in_a_column_of_another_name_say_nothing(
    names: str, signed: Any, tmp_path: Path
) -> None:
    source = tmp_path / "visitors.csv"
    rows = [f"V{n},{hashlib.md5(f'p{n}'.encode()).hexdigest()},p{n}@b.io\n" for n in range(6_000)]
    source.write_text(f"visitor_id,{names}\n" + "".join(rows))
    assert drafted(signed, source=source).missing == ()


@pytest.mark.parametrize(("names", "role"), [(("publisher", "host"), "advertiser"), (("officer",), "publisher")])
def test_a_draft_needs_both_owners_of_data(names: tuple[str, ...], role: str, signed: Any) -> None:
    with pytest.raises(RoleMissing) as caught:
        drafted(signed, WISHES, *names)
    assert caught.value.role == role


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a]\n[room"},
        {"people": "x y"},
        {"people": "buyers"},
        {"kind": "pigeon"},
        {"kind": 'a"]\n'},
        {"scheme": "nobody@1"},
        {"people_arrives": "md5"},
        {"epsilon": float("nan")},
        {"epsilon": 65.0},
        {"smallest_seed": -1},
        {"expires": date(2027, 1, 9)},
        {"purpose": "a\u202eb"},
    ],
)
def test_wishes_that_make_no_contract_are_refused(change: dict[str, Any], signed: Any) -> None:
    with pytest.raises(InvalidContract):
        drafted(signed, replace(WISHES, **change))


def test_a_room_of_a_party_without_card_is_refused(signed: Any) -> None:
    with pytest.raises(InvalidContract):
        drafted(signed, WISHES, "publisher", "advertiser")


def test_a_card_of_the_other_kind_is_refused(signed: Any) -> None:
    with pytest.raises(KeysUnusable):
        draft_contract([signed.folder / "host.room.toml"], signed.folder / "host.room.toml", WISHES, None, TODAY)

"""A contract is agreed when every party signed these very bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from passbox.policies.agreement import (
    LARGEST_ARMORED,
    SignatureBroken,
    SignatureMissing,
    agree,
    read_agreement,
    read_contract,
    signature_path,
)
from passbox.policies.contract import InvalidContract
from passbox.policies.sign import new_private_key, sign


def test_what_everybody_signed_is_agreed(people: Any, tmp_path: Path) -> None:
    agreement = read_agreement(people.lay(tmp_path))
    assert agreement.contract == people.contract
    assert agreement.data == people.text.encode()
    assert set(agreement.signatures) == {"publisher", "advertiser", "officer", "host"}


def test_who_has_not_signed_is_named(people: Any, tmp_path: Path) -> None:
    path = people.lay(tmp_path)
    for name in ("officer", "host"):
        signature_path(path, name).unlink()
    with pytest.raises(SignatureMissing) as caught:
        read_agreement(path)
    assert caught.value.parties == ("officer", "host")


def test_one_changed_character_anywhere_breaks_a_signature_also_where_the_rest_is_no_contract(
    people: Any, tmp_path: Path
) -> None:
    path = people.lay(tmp_path)
    text = people.text
    for at in range(0, len(text), 17):
        path.write_text(text[:at] + ("X" if text[at] != "X" else "Y") + text[at + 1 :])
        for read in (read_contract, read_agreement):
            with pytest.raises(SignatureBroken) as caught:
                read(path)
            assert caught.value.party in people.sign
            assert caught.value.reason in ("broken", "wrong-key")


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "\n", lambda t: t.replace("\n", "\r\n"), lambda t: ""]
)
def test_a_contract_cut_stretched_or_converted_breaks_its_signatures(change: Any, people: Any, tmp_path: Path) -> None:
    path = people.lay(tmp_path)
    path.write_bytes(change(people.text).encode())
    with pytest.raises(SignatureBroken):
        read_contract(path)


def test_a_draft_that_nobody_signed_shows_its_own_mistakes(people: Any, tmp_path: Path) -> None:
    path = tmp_path / "contract.toml"
    path.write_text(people.text.replace("version = 1", "version = 2"))
    with pytest.raises(InvalidContract):
        read_contract(path)


BROKEN = {
    "another key": lambda data, mine: sign(data, new_private_key(), "passbox-contract"),
    "another purpose": lambda data, mine: sign(data, mine, "passbox-job"),
    "another file": lambda data, mine: sign(data + b"x", mine, "passbox-contract"),
    "nothing": lambda data, mine: "",
    "bytes that are no text": lambda data, mine: "\udcff\udcfe",
    "a flood": lambda data, mine: "x" * (LARGEST_ARMORED * 3),
    "carriage returns": lambda data, mine: sign(data, mine, "passbox-contract").replace("\n", "\r\n"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_signature_is_named_by_its_party(case: str, people: Any, tmp_path: Path) -> None:
    path = people.lay(tmp_path)
    text = BROKEN[case](people.text.encode(), people.sign["officer"])
    signature_path(path, "officer").write_bytes(text.encode("utf-8", "surrogateescape"))
    signature_path(path, "host").unlink()
    with pytest.raises(SignatureBroken) as caught:
        read_agreement(path)
    assert caught.value.party == "officer"


def test_two_parties_signatures_do_not_stand_for_each_other(people: Any) -> None:
    signatures = people.signatures()
    signatures["officer"], signatures["host"] = signatures["host"], signatures["officer"]
    with pytest.raises(SignatureBroken) as caught:
        agree(people.contract, people.text.encode(), signatures)
    assert caught.value.reason == "wrong-key"


def test_files_of_strangers_beside_a_contract_are_passed_over(people: Any, tmp_path: Path) -> None:
    path = people.lay(tmp_path)
    signature_path(path, "stranger").write_text("nonsense")
    (tmp_path / "contract.toml.sig").write_text("what ssh-keygen leaves")
    assert read_agreement(path)

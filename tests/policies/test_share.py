"""Shares of the match key: only data parties open them, and each is its party's own for this very contract."""

from __future__ import annotations

from typing import Any

import pyrage
import pytest

from passbox.matching.hashing import derive_match_key
from passbox.policies.agreement import SignatureBroken
from passbox.policies.contract import digest
from passbox.policies.share import (
    ShareUnusable,
    check_share,
    new_share,
    open_shares,
    shares_digest,
    signed_share,
)
from passbox.policies.sign import sign, signer_of


@pytest.fixture
def shares(people: Any) -> dict[str, str]:
    return {name: made(people, name) for name in ("advertiser", "publisher")}


def made(people: Any, party: str, signer: str = "", text: str | None = None) -> str:
    contract, data = people.contract, (text or people.text).encode()
    return signed_share(new_share(contract, data, party), signer_of(people.sign[signer or party]))


def test_both_data_parties_open_the_same_two_shares(people: Any, shares: dict[str, str]) -> None:
    agreement = people.agreement()
    opened = [open_shares(agreement, shares, people.seal[name]) for name in ("publisher", "advertiser")]
    assert opened[0] == opened[1]
    assert {len(share) for share in opened[0].values()} == {32}
    assert derive_match_key(opened[0], bytes.fromhex(agreement.digest))


@pytest.mark.parametrize("name", ["host", "officer", "room"])
def test_nobody_else_opens_a_share(name: str, people: Any, shares: dict[str, str]) -> None:
    with pytest.raises(ShareUnusable) as caught:
        open_shares(people.agreement(), shares, people.seal[name])
    assert caught.value.reason == "sealed-to-others"


def test_a_missing_share_is_named(people: Any, shares: dict[str, str]) -> None:
    del shares["advertiser"]
    with pytest.raises(ShareUnusable) as caught:
        open_shares(people.agreement(), shares, people.seal["publisher"])
    assert (caught.value.party, caught.value.reason) == ("advertiser", "missing")


def refused(people: Any, party: str, share: str) -> str:
    with pytest.raises((ShareUnusable, SignatureBroken)) as caught:
        check_share(people.contract, people.text.encode(), party, share)
    assert caught.value.party == party
    return str(caught.value.reason)


def test_a_share_that_the_drafter_planted_is_refused(people: Any) -> None:
    assert refused(people, "advertiser", made(people, "advertiser", signer="publisher")) == "wrong-key"


def test_a_share_that_the_operator_planted_is_refused(people: Any) -> None:
    assert refused(people, "advertiser", made(people, "advertiser", signer="host")) == "wrong-key"


def test_swapped_shares_are_refused(people: Any, shares: dict[str, str]) -> None:
    assert refused(people, "advertiser", shares["publisher"]) == "of-another"


def test_a_share_of_another_contract_is_refused(people: Any) -> None:
    other = made(people, "advertiser", text=people.text + "# another\n")
    assert refused(people, "advertiser", other) == "of-another"


def test_a_share_whose_head_was_turned_to_this_contract_is_refused(people: Any) -> None:
    other = made(people, "advertiser", text=people.text + "# another\n")
    turned = other.replace(digest((people.text + "# another\n").encode()), digest(people.text.encode()))
    assert refused(people, "advertiser", turned) == "broken"


def test_an_unsigned_share_is_refused(people: Any) -> None:
    assert refused(people, "advertiser", new_share(people.contract, people.text.encode(), "advertiser")) == (
        "not-a-signature"
    )


def test_a_signature_for_a_contract_does_not_serve_for_a_share(people: Any) -> None:
    text = new_share(people.contract, people.text.encode(), "advertiser")
    turned = text + sign(text.encode(), people.sign["advertiser"], "passbox-contract")
    assert refused(people, "advertiser", turned) == "wrong-namespace"


@pytest.mark.parametrize("share", ["", "\n", "passbox share v1", "nonsense\n" * 100])
def test_what_is_no_share_is_refused(share: str, people: Any) -> None:
    assert refused(people, "advertiser", share) == "malformed"


def test_any_changed_character_of_a_share_is_refused(people: Any) -> None:
    share = made(people, "advertiser")
    for at in range(0, len(share) - 1, 13):
        refused(people, "advertiser", share[:at] + chr(ord(share[at]) ^ 1) + share[at + 1 :])


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)])
def test_a_share_of_another_length_is_refused_once_it_is_open(
    secret: bytes, people: Any, shares: dict[str, str]
) -> None:
    readers = [pyrage.x25519.Identity.from_str(people.seal[name]).to_public() for name in ("publisher", "advertiser")]
    sealed = pyrage.encrypt(secret, readers, armored=True).decode()
    text = f"passbox share v1 {digest(people.text.encode())} advertiser\n{sealed.rstrip()}\n"
    shares["advertiser"] = signed_share(text, signer_of(people.sign["advertiser"]))
    with pytest.raises(ShareUnusable):
        open_shares(people.agreement(), shares, people.seal["publisher"])


def test_the_digest_of_the_shares_tells_which_key_was_used_and_holds_no_secret(
    people: Any, shares: dict[str, str]
) -> None:
    again = shares | {"advertiser": made(people, "advertiser")}
    assert shares_digest(shares) == shares_digest(dict(reversed(shares.items())))
    assert shares_digest(shares) != shares_digest(again)

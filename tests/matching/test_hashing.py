import copy
import hashlib
import hmac
import pickle
import struct
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbox.matching.hashing import (
    BadShare,
    Handles,
    MatchKey,
    SchemeMismatch,
    TooFewShares,
    WrongDigest,
    derive_match_key,
    handles,
    merge,
)
from passbox.matching.identifiers import Digests, digests
from passbox.matching.schemes import known

SHARES = {"publisher": bytes(range(32)), "advertiser": bytes(range(32, 64))}
CONTRACT = hashlib.sha256(b"a contract").digest()
GOLDEN_KEY = "ecb8af0d287372b5bb23ed753ac5b487e483ca21411a91ba9a81db28706ef23f"
GOLDEN_HANDLE = (0x29E20FE7D15EB9AC, 0xC3619918D160918)  # user@example.com under uid2@1


def hkdf(material: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 by hand, one block."""
    secret = hmac.new(salt, material, hashlib.sha256).digest()
    return hmac.new(secret, info + b"\x01", hashlib.sha256).digest()


def by_hand(shares: dict[str, bytes], contract: bytes) -> bytes:
    material = b""
    for party in sorted(shares, key=str.encode):
        name = party.encode()
        material += struct.pack(">I", len(name)) + name + struct.pack(">I", 32) + shares[party]
    return hkdf(material, contract, b"passbox match key v1")


def of(*emails: str | None, scheme: str = "uid2@1") -> Digests:
    return digests(pa.chunked_array([pa.array(emails, pa.string())]), scheme, "email", "raw")


KEY = derive_match_key(SHARES, CONTRACT)


def test_the_match_key_is_the_one_written_down() -> None:
    assert KEY.reveal().hex() == GOLDEN_KEY == by_hand(SHARES, CONTRACT).hex()


def test_the_handle_is_the_one_written_down() -> None:
    message = b"passbox\0email\0uid2@1\0" + hashlib.sha256(b"user@example.com").digest()
    want = struct.unpack("<QQ", hmac.new(bytes.fromhex(GOLDEN_KEY), message, hashlib.sha256).digest()[:16])
    got = handles(of("USER@example.com "), KEY, "email", "uid2@1")
    assert (int(got.k[0]), int(got.k2[0])) == want == GOLDEN_HANDLE


share = st.binary(min_size=32, max_size=32).filter(any)


@given(
    st.dictionaries(st.text(min_size=1, max_size=8).filter(lambda t: t.isprintable()), share, min_size=2),
    share,
)
def test_the_match_key_agrees_with_hkdf_by_hand_in_any_order(shares: dict[str, bytes], contract: bytes) -> None:
    if len(set(shares.values())) < len(shares):
        return
    backwards = dict(reversed(shares.items()))
    want = by_hand(shares, contract)
    assert derive_match_key(shares, contract).reveal() == derive_match_key(backwards, contract).reveal() == want


@pytest.mark.parametrize(
    ("shares", "contract"),
    [
        (SHARES | {"publisher": bytes(range(1, 33))}, CONTRACT),
        (SHARES | {"third": bytes(range(64, 96))}, CONTRACT),
        ({"publisher": SHARES["advertiser"], "advertiser": SHARES["publisher"]}, CONTRACT),
        ({"publishe": SHARES["publisher"], "advertiser": SHARES["advertiser"]}, CONTRACT),
        (SHARES, hashlib.sha256(b"another contract").digest()),
    ],
    ids=["other-share", "one-more", "swapped", "renamed", "other-contract"],
)
def test_each_share_each_name_and_the_contract_count(shares: dict[str, bytes], contract: bytes) -> None:
    assert derive_match_key(shares, contract).reveal() != KEY.reveal()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "length"),
        (bytes(31), "length"),
        (b"x" * 33, "length"),
        (bytes(32), "zero"),
        (SHARES["advertiser"], "repeated"),
    ],
)
def test_a_share_that_adds_nothing_is_refused_without_showing_it(bad: bytes, reason: str) -> None:
    with pytest.raises(BadShare) as error:
        derive_match_key(SHARES | {"publisher": bad}, CONTRACT)
    assert (error.value.party, error.value.reason) == ("publisher", reason)


def test_a_nameless_party_is_refused() -> None:
    with pytest.raises(BadShare, match="name"):
        derive_match_key({"": SHARES["publisher"], "b": SHARES["advertiser"]}, CONTRACT)


@pytest.mark.parametrize("shares", [{}, {"publisher": SHARES["publisher"]}])
def test_one_party_alone_makes_no_key(shares: dict[str, bytes]) -> None:
    with pytest.raises(TooFewShares):
        derive_match_key(shares, CONTRACT)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_contract_digest_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(WrongDigest):
        derive_match_key(SHARES, b"c" * size)


def test_a_match_key_never_shows_its_bytes() -> None:
    shown = f"{KEY!r} {KEY} {[KEY]} {vars(type(KEY)).get('__dict__')}"
    assert KEY.reveal().hex() not in shown
    assert repr(KEY.reveal())[2:10] not in shown
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copying(KEY)
    with pytest.raises(ValueError, match="32 bytes"):
        MatchKey(b"short")


def test_handles_are_bound_to_their_scheme() -> None:
    """The same digest under two schemes is two handles: a wrong pairing finds nobody instead of some."""
    made = {scheme: handles(of("user@example.com", scheme=scheme), KEY, "email", scheme) for scheme in known()}
    assert len({of("user@example.com", scheme=scheme).values.tobytes() for scheme in known()}) == 1
    for one, two in combinations(known(), 2):
        assert made[one].k[0] != made[two].k[0]
        assert made[one].k2[0] != made[two].k2[0]


def test_handles_are_bound_to_their_kind() -> None:
    email = of("user@example.com")
    phone = Digests(email.values, email.accepted, {}, "phone", "uid2@1")
    assert handles(email, KEY, "email", "uid2@1").k[0] != handles(phone, KEY, "phone", "uid2@1").k[0]


@pytest.mark.parametrize(("kind", "scheme"), [("email", "google@1"), ("phone", "uid2@1")])
def test_digests_of_one_scheme_are_not_keyed_as_another(kind: str, scheme: str) -> None:
    with pytest.raises(SchemeMismatch) as error:
        handles(of("user@example.com"), KEY, kind, scheme)
    assert error.value.asked == (kind, scheme)


def test_refused_rows_have_no_handle() -> None:
    some = of(None, "a@b.c", "nobody", "d@e.f", "")
    made = handles(some, KEY, "email", "uid2@1")
    alone = handles(of("a@b.c", "d@e.f"), KEY, "email", "uid2@1")
    assert len(made) == 2
    assert some.rows.tolist() == [1, 3]
    assert made.k.tolist() == alone.k.tolist()
    assert made.k2.tolist() == alone.k2.tolist()


def test_a_column_of_rejects_has_no_handles() -> None:
    assert len(handles(of(None, ""), KEY, "email", "uid2@1")) == 0
    assert len(handles(of(), KEY, "email", "uid2@1")) == 0


def test_handles_show_their_size_only() -> None:
    made = handles(of("a@b.c", "d@e.f"), KEY, "email", "uid2@1")
    assert repr(made) == str(made) == "Handles(2 rows)"


def pairs(*rows: tuple[int, int]) -> Handles:
    table = np.array(rows, dtype=np.uint64).reshape(-1, 2)
    return Handles(table[:, 0].copy(), table[:, 1].copy())


@pytest.mark.parametrize(
    ("k", "k2"),
    [
        (np.zeros(2, np.int64), np.zeros(2, np.uint64)),
        (np.zeros(2, np.uint64), np.zeros(3, np.uint64)),
        (np.zeros((2, 1), np.uint64), np.zeros((2, 1), np.uint64)),
    ],
)
def test_handles_of_another_shape_are_refused(k: np.ndarray, k2: np.ndarray) -> None:
    with pytest.raises(ValueError, match="two columns"):
        Handles(k, k2)


def test_the_first_record_of_a_person_stays() -> None:
    merged = merge(pairs((9, 1), (3, 1), (9, 1), (3, 1), (5, 0)))
    assert merged.kept.tolist() == [0, 1, 4]
    assert merged.merged == 2
    assert repr(merged) == "Merged(3 kept, 2 merged)"


def test_a_second_handle_with_the_same_first_half_is_a_repeat() -> None:
    merged = merge(pairs((9, 1), (9, 2), (8, 1)))
    assert merged.kept.tolist() == [0, 2]
    assert merged.merged == 1


def test_nothing_merges_to_nothing() -> None:
    assert merge(pairs()).kept.tolist() == []
    assert merge(pairs()).merged == 0


def test_a_hundred_seeds_with_one_email_are_one_record() -> None:
    made = handles(of(*["target@example.org"] * 100, "other@example.org"), KEY, "email", "uid2@1")
    assert merge(made).kept.tolist() == [0, 100]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=20))
def test_merging_agrees_with_a_dictionary(rows: list[tuple[int, int]]) -> None:
    first: dict[int, int] = {}
    for i, (k, _) in enumerate(rows):
        first.setdefault(k, i)
    merged = merge(pairs(*rows))
    assert merged.kept.tolist() == sorted(first.values())
    assert merged.merged == len(rows) - len(first)
    again = merge(pairs(*rows).take(merged.kept))
    assert again.merged == 0

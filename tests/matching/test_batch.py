"""Compiled code answers with the very bytes that the rule gives one by one, or leaves the row alone."""

from __future__ import annotations

import hashlib
import hmac
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.matching import fast, libcrypto
from passbox.matching.hashing import MatchKey, handles
from passbox.matching.identifiers import Digests, MixedEncodings, RejectCode, digests
from passbox.matching.schemes import known, load, parse
from passbox.matching.suspects import TEST_DOMAINS, TEST_TLDS
from passbox.matching.well_known import EMAILS

batch = pytest.importorskip("passbox.matching.batch", reason="numba, the extra `fast`, is not installed")
if not batch.available():
    pytest.skip("this Python shows no OpenSSL to call", allow_module_level=True)

KEY = MatchKey(bytes(range(32)))
EMAIL_SCHEMES = [name for name in known() if "email" in load(name).rules]


@contextmanager
def compiled(used: bool) -> Iterator[None]:
    """Compiled code for columns of any size, or none at all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "WORTH_IT", 0)
        if not used:
            patch.setattr(fast, "compiled", lambda: None)
        yield


def both(column: pa.Array, scheme: str, suspicious: str = "count") -> tuple[Digests, Digests]:
    found = []
    for used in (True, False):
        with compiled(used):
            found.append(digests(column, scheme, "email", "raw", suspicious=suspicious))  # type: ignore[arg-type]
    return found[0], found[1]


def assert_same(one: Digests, two: Digests) -> None:
    assert one.values.tobytes() == two.values.tobytes()
    assert one.accepted.tolist() == two.accepted.tolist()
    assert dict(one.rejects) == dict(two.rejects)
    assert dict(one.suspects) == dict(two.suspects)


names = "gmail.com GMail.com googlemail.com example.org b.c x.test a@b.c c .d d. gmail.com. XN--a.de b.xn--c a.bxn--c"
domains = st.sampled_from([*names.split(), "b.c>", "b,c", "[b.c]"]) | st.text("abC.@-éxn", max_size=12)
mailboxes = st.text("aZ.+9 \t\x00\x7fé@<:'^", max_size=12) | st.just("x" * 318)
shaped = st.builds("{}{}@{}{}".format, st.sampled_from(["", " ", "\t ", "\n"]), mailboxes, domains, st.just(" "))
texts = st.none() | shaped | shaped | st.text(max_size=30) | st.sampled_from(["", "@", "a@", "@b.c", "+@gmail.com"])


@given(st.lists(texts, min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_every_scheme_gives_the_same_bytes_counts_and_rows_either_way(values: list[str | None]) -> None:
    column = pa.array(values, pa.string())
    for scheme in EMAIL_SCHEMES:
        assert_same(*both(column, scheme))


def test_an_address_that_many_lists_hold_is_odd_either_way() -> None:
    column = pa.array([*EMAILS, *map(str.upper, EMAILS), *(f"x{address}" for address in EMAILS)])
    for scheme in EMAIL_SCHEMES:
        for suspicious in ("count", "refuse"):
            assert_same(*both(column, scheme, suspicious))
    made = both(pa.array(EMAILS), "uid2@1")[0]
    kept = {address for address in EMAILS if "." not in address.partition("@")[0] or "gmail" not in address}
    assert made.suspects[RejectCode.TEST_VALUE] >= len(kept)
    assert made.nobodys.sum() >= len(kept)


@given(st.lists(texts, min_size=1, max_size=20))
@settings(deadline=None)
def test_what_a_contract_refuses_is_refused_either_way(values: list[str | None]) -> None:
    assert_same(*both(pa.array(values, pa.string()), "google@1", "refuse"))


ONCE = hashlib.sha256(b"").digest()
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex) | st.sampled_from(
    [
        ONCE.hex(),
        hashlib.sha256(ONCE).hexdigest(),
        "0" * 64,
        "1" * 64,
        "ab" * 20,
        "ab" * 31,
        "a@b.c",
        "",
        " ",
        "Ab" * 32,
    ]
)
written = st.builds("{}{}{}".format, st.sampled_from(["", " ", "\t\n"]), hashes, st.sampled_from(["", "\r\n"]))


@given(st.lists(st.none() | written, min_size=1, max_size=30), st.booleans(), st.sampled_from(["email", "phone"]))
@settings(deadline=None)
def test_hashes_are_read_the_same_either_way(values: list[str | None], capitals: bool, kind: str) -> None:
    """Of 32 bytes, and of 20: liveramp@1 hashes phones with SHA-1."""
    column = pa.array([value.upper() if value and capitals else value for value in values], pa.string())
    scheme, arrives = ("uid2@1", "sha256") if kind == "email" else ("liveramp@1", "sha1")
    found: list[object] = []
    for used in (True, False):
        with compiled(used):
            try:
                made = digests(column, scheme, kind, arrives)  # type: ignore[arg-type]
                found.append((made.values.tobytes(), made.accepted.tolist(), dict(made.rejects)))
            except MixedEncodings as error:
                found.append(error.found)
    assert found[0] == found[1]


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=30))
@settings(deadline=None)
def test_bytes_that_are_no_text_are_left_to_the_rule(values: list[bytes]) -> None:
    raw = pa.array(values, pa.binary())
    column = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    assert_same(*both(column, "uid2@1"))


@pytest.mark.parametrize("wide", [pa.string(), pa.large_string()])
def test_slices_nulls_and_chunks_answer_row_by_row(wide: pa.DataType) -> None:
    values = [None if i % 7 == 3 else f"User.{i}+x@{'gmail.com' if i % 2 else 'Mail.example.io'}" for i in range(999)]
    whole = pa.array(values, wide)
    column = pa.chunked_array([whole.slice(5, 100), whole.slice(105, 0), whole.slice(300, 699)])
    one, two = both(column, "uid2@1")
    assert_same(one, two)
    assert one.values[1].tobytes() == hashlib.sha256(b"user.6+x@mail.example.io").digest()


def test_room_for_a_block_grows_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that has seen small blocks only has room for these, and compiled code does not look."""
    with monkeypatch.context() as patch:
        patch.setattr(batch, "BLOCK", 10)
        spare = batch._Spare()
        assert len(spare.ends(5)) == 5
    assert len(spare.ends(batch.BLOCK + 1)) == batch.BLOCK + 1


def test_more_rows_than_a_block_are_answered_by_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BLOCK", 100)
    monkeypatch.setattr(batch, "cpu_count", lambda: 4)
    column = pa.array([f"Someone.{i}@gmail.com" for i in range(1234)])
    one, two = both(column, "uid2@1")
    assert_same(one, two)
    with compiled(True):
        fast_handles = handles(one, KEY, "email", "uid2@1")
    assert len(set(fast_handles.k.tolist())) == 1234


def test_offsets_that_lie_are_refused() -> None:
    good = pa.array(["a@b.c"] * 3)
    offsets = np.array([0, 12, 4, 15], np.int32)
    lying = pa.Array.from_buffers(pa.string(), 3, [None, pa.py_buffer(offsets), good.buffers()[2]])
    with compiled(True), pytest.raises(pa.ArrowInvalid):
        digests(lying, "uid2@1", "email", "raw")


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=32), st.binary(max_size=64), st.integers(1, 70), st.sampled_from([20, 32]))
def test_keyed_rows_are_the_first_half_of_an_hmac(secret: bytes, prefix: bytes, rows: int, size: int) -> None:
    raw = np.frombuffer(hashlib.shake_128(secret).digest(rows * size), np.uint8).reshape(rows, size)
    made = np.column_stack(batch.key_rows(secret, prefix, raw))
    for row, pair in zip(raw, made, strict=True):
        assert pair.tobytes() == hmac.digest(secret, prefix + row.tobytes(), "sha256")[:16]


@pytest.mark.parametrize("used", [True, False])
def test_a_secret_makes_hmacs_of_the_normalised_values(used: bool) -> None:
    column = pa.array([" J.D+x@gmail.com", None, "é@b.c", "A@b.c"])
    with compiled(used):
        made = digests(column, "uid2@1", "email", "raw", secret=b"a secret")
    want = [hmac.digest(b"a secret", text.encode(), "sha256") for text in ("jd@gmail.com", "é@b.c", "a@b.c")]
    assert [row.tobytes() for row in made.values[made.accepted]] == want


def test_handles_are_the_same_either_way() -> None:
    column = pa.array(["a@b.c", None, "d@e.f", "nobody", "J.D@gmail.com"])
    found = []
    for used in (True, False):
        with compiled(used):
            made = handles(digests(column, "pair@1", "email", "raw"), KEY, "email", "pair@1")
        found.append((made.k.tolist(), made.k2.tolist()))
    assert found[0] == found[1]
    assert len(found[0][0]) == 3


def test_every_scheme_for_email_is_compiled() -> None:
    for name in EMAIL_SCHEMES:
        assert batch.plan_of(load(name).rule("email"), TEST_DOMAINS, TEST_TLDS) is not None, name


@pytest.mark.parametrize(
    "steps",
    [
        '{ do = "lower-ascii" }, { do = "one-at" }',
        '{ do = "trim-spaces" }, { do = "one-at" }',
        '{ do = "trim-spaces" }, { do = "lower-ascii" }',
        '{ do = "trim-spaces" }, { do = "lower-ascii" }, { do = "one-at" }, { do = "upper-ascii" }',
        '{ do = "trim-spaces" }, { do = "lower-ascii" }, { do = "one-at" }, { do = "drop-dots", domains = ["a.b"] }, '
        '{ do = "drop-suffix", domains = ["a.b"] }',
    ],
)
def test_steps_in_another_order_are_left_to_the_rule(steps: str) -> None:
    rule = parse("new-1.toml", f'name = "new@1"\nsource = "s"\n[email]\nencoding = "hex"\nsteps = [{steps}]').rule(
        "email"
    )
    assert batch.plan_of(rule, (), ()) is None


def test_the_hash_is_the_one_that_hashlib_uses() -> None:
    found = libcrypto.find()
    assert isinstance(found, libcrypto.Sha256)
    assert libcrypto._digest(found, b"abc") == hashlib.sha256(b"abc").digest()


@pytest.mark.parametrize("error", [ImportError, RuntimeError])
def test_a_machine_without_what_it_takes_reads_one_by_one(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Missing:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "passbox.matching.batch":
                raise error("no locator available")

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "passbox.matching.batch")
    monkeypatch.delattr(sys.modules["passbox.matching"], "batch")
    fast.compiled.cache_clear()
    try:
        assert fast.compiled() is None
    finally:
        fast.compiled.cache_clear()


def test_compiled_code_that_hashes_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert batch.available()

    def hashes_otherwise(*given_: object) -> object:
        out = next(each for each in given_ if isinstance(each, np.ndarray) and each.ndim == 2)
        out[:] = 0
        return np.ones(len(out), np.uint8)

    monkeypatch.setattr(batch, "digest_rows", hashes_otherwise)
    assert not batch.available()


def test_a_planted_fault_in_compiled_code_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above would catch a rule that was compiled wrongly: here the suffix stays."""
    true = batch.plan_of

    def planted(*given_: object) -> object:
        plan = true(*given_)
        return batch.Plan(plan.trim, plan.shape, (), plan.dots, plan.tests, plan.test_tlds)

    monkeypatch.setattr(batch, "plan_of", planted)
    one, two = both(pa.array(["a+b@gmail.com", "c@gmail.com"]), "uid2@1")
    with pytest.raises(AssertionError):
        assert_same(one, two)

import base64
import hashlib
import json
import traceback
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbox.matching.identifiers import (
    Digests,
    MixedEncodings,
    NotText,
    Reject,
    RejectCode,
    digest_of,
    digests,
    normalise,
)
from passbox.matching.schemes import UnknownKind, UnknownScheme, known

VECTORS = Path(__file__).parents[1] / "vectors" / "identifiers-email.jsonl"
ROWS = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()]
RAW = [row for row in ROWS if row["arrives"] == "raw"]
HASHED = [row for row in ROWS if row["arrives"] == "sha256"]


def strings(*values: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())])


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def name(row: dict[str, str]) -> str:
    return f"{row['scheme']}-{row['input'][:30]!a}"


def test_half_of_the_vectors_are_rejections() -> None:
    assert len(ROWS) >= 80
    assert sum("reject" in row for row in ROWS) * 2 >= len(ROWS)
    assert {row["scheme"] for row in ROWS} == set(known())


@pytest.mark.parametrize("row", RAW, ids=name)
def test_a_raw_email_is_normalised_as_the_scheme_says(row: dict[str, str]) -> None:
    result = normalise(row["scheme"], "email", row["input"])
    if "reject" in row:
        assert result == Reject(RejectCode(row["reject"]))
    else:
        assert result == row["normalised"]
        assert sha(row["normalised"]) == row["sha256_hex"]


@pytest.mark.parametrize("row", HASHED, ids=name)
def test_a_hash_is_decoded_or_refused_by_reason(row: dict[str, str]) -> None:
    want = Reject(RejectCode(row["reject"])) if "reject" in row else bytes.fromhex(row["sha256_hex"])
    assert digest_of(row["input"]) == want


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_a_column_agrees_with_its_values_one_by_one(row: dict[str, str]) -> None:
    result = digests(strings(row["input"]), row["scheme"], "email", row["arrives"])  # type: ignore[arg-type]
    if "reject" in row:
        assert not result.accepted.any()
        assert not result.values.any()
        assert result.rejects == {RejectCode(row["reject"]): 1}
    else:
        assert result.accepted.all()
        assert result.values[0].tobytes().hex() == row["sha256_hex"]


@given(st.text(max_size=40) | st.emails() | st.from_regex(r"[ \t]*[A-Za-z.+]{0,9}@(gmail\.com|b\.c)\s*"))
def test_normalising_twice_changes_nothing(text: str) -> None:
    for scheme in known():
        once = normalise(scheme, "email", text)
        if isinstance(once, str):
            assert normalise(scheme, "email", once) == once


@given(st.text())
def test_no_text_at_all_breaks_the_reading(text: str) -> None:
    for scheme in known():
        assert isinstance(normalise(scheme, "email", text), str | Reject)
    assert isinstance(digest_of(text), bytes | Reject)


@given(st.binary(min_size=32, max_size=32))
def test_any_digest_is_read_from_each_encoding(raw: bytes) -> None:
    if raw == bytes(32):
        return
    for text in (raw.hex(), raw.hex().upper(), base64.b64encode(raw).decode()):
        assert digest_of(text) == raw


@given(st.text(st.characters(codec="utf-8"), max_size=12))
def test_a_list_hashed_by_its_owner_gives_the_digests_of_the_raw_list(mailbox: str) -> None:
    for scheme in known():
        text = normalise(scheme, "email", mailbox + "@example.org")
        if isinstance(text, Reject):
            continue
        raw = digests(strings(mailbox + "@example.org"), scheme, "email", "raw")
        hashed = digests(strings(sha(text)), scheme, "email", "sha256")
        assert raw.values.tobytes() == hashed.values.tobytes()


LONE = "ab" * 32, "AB" * 32, base64.b64encode(b"\xab" * 32).decode()


@pytest.mark.parametrize(("one", "two"), [(0, 1), (0, 2), (1, 2)])
def test_a_column_with_two_encodings_is_refused_as_a_whole(one: int, two: int) -> None:
    with pytest.raises(MixedEncodings) as error:
        digests(strings(LONE[one], LONE[two], LONE[one]), "plain@1", "email", "sha256")
    assert sorted(error.value.found.values()) == [1, 2]


def test_a_hash_without_letters_fits_hex_of_either_case_but_not_base64() -> None:
    digits = "12" * 32
    for other in LONE[:2]:
        assert digests(strings(digits, other), "plain@1", "email", "sha256").accepted.all()
    with pytest.raises(MixedEncodings):
        digests(strings(digits, LONE[2]), "plain@1", "email", "sha256")


def test_rejected_rows_do_not_decide_the_encoding() -> None:
    result = digests(strings(LONE[0], "AB" * 16, None, "x"), "plain@1", "email", "sha256")
    assert result.accepted.tolist() == [True, False, False, False]
    assert result.rejects == {
        RejectCode.WRONG_LENGTH: 1,
        RejectCode.EMPTY: 1,
        RejectCode.NOT_A_HASH: 1,
    }


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a@b.c", None, "A@B.c"]),
        pa.array(["a@b.c", None, "A@B.c"], pa.large_string()),
        pa.array(["a@b.c", None, "A@B.c"], pa.string_view()),
        pa.array(["a@b.c", None, "A@B.c"]).dictionary_encode(),
        pa.array(["zz", "a@b.c", None, "A@B.c", "zz"]).slice(1, 3),
        pa.chunked_array([["a@b.c"], [None, "A@B.c"]], pa.string()),
        pa.chunked_array([pa.array([], pa.string()), pa.array(["a@b.c", None, "A@B.c"])]),
    ],
    ids=["string", "large", "view", "dictionary", "slice", "chunks", "empty-chunk"],
)
def test_every_arrow_layout_of_text_reads_the_same(column: pa.ChunkedArray) -> None:
    result = digests(column, "plain@1", "email", "raw")
    assert result.accepted.tolist() == [True, False, True]
    assert result.rows.tolist() == [0, 2]
    assert result.values[2].tobytes().hex() == sha("a@b.c")
    assert result.values.shape == (3, 32)
    assert result.values.dtype == np.uint8


@pytest.mark.parametrize("column", [pa.chunked_array([], pa.string()), pa.array([], pa.string()), strings()])
def test_an_empty_column_has_no_digests(column: pa.ChunkedArray) -> None:
    result = digests(column, "plain@1", "email", "raw")
    assert result.values.shape == (0, 32)
    assert result.accepted.shape == (0,)
    assert result.rejects == {}


def test_a_column_of_nulls_is_empty_throughout() -> None:
    assert digests(pa.nulls(3), "plain@1", "email", "raw").rejects == {RejectCode.EMPTY: 3}


@pytest.mark.parametrize("column", [pa.array([1, 2]), pa.array([b"a@b.c"]), pa.array([["a@b.c"]])])
def test_a_column_that_is_not_text_is_refused(column: pa.Array) -> None:
    with pytest.raises(NotText):
        digests(column, "plain@1", "email", "raw")


def test_bytes_that_are_not_utf8_are_counted() -> None:
    offsets, data = pa.py_buffer(np.array([0, 5, 8], np.int32).tobytes()), pa.py_buffer(b"a@b.c\xff@b")
    column = pa.Array.from_buffers(pa.string(), 2, [None, offsets, data])
    result = digests(column, "plain@1", "email", "raw")
    assert result.accepted.tolist() == [True, False]
    assert result.rejects == {RejectCode.NOT_UTF8: 1}


@pytest.mark.parametrize("arrives", ["raw", "sha256"])
def test_a_scheme_or_kind_nobody_knows_is_an_error_however_the_column_arrives(arrives: str) -> None:
    with pytest.raises(UnknownScheme):
        digests(strings("a@b.c"), "uid2@9", "email", arrives)  # type: ignore[arg-type]
    with pytest.raises(UnknownKind):
        digests(strings("a@b.c"), "uid2@1", "ctv", arrives)  # type: ignore[arg-type]


def test_digests_cannot_be_written_to() -> None:
    result = digests(strings("a@b.c"), "plain@1", "email", "raw")
    with pytest.raises(ValueError, match="read-only"):
        result.values[0, 0] = 1


CANARIES = [f"canary{i:04d}.{sha(str(i))[:8]}@secret-{i % 7}.example" for i in range(1000)]
SPOILT = [
    lambda e: e,
    lambda e: e + "\x00",
    lambda e: e.replace("@", "@@"),
    lambda e: e.replace("@", " "),
    lambda e: e * 20,
    lambda e: e + "\ud800",
    lambda e: "\u202e" + e,
    sha,
    lambda e: base64.b64encode(sha(e).encode()).decode(),
    lambda e: hashlib.sha1(e.encode()).hexdigest(),
]


def said(call: object) -> str:
    """Everything a call says: its result's repr, or its whole traceback with every chained exception."""
    try:
        return repr(call())  # type: ignore[operator]
    except Exception as error:  # noqa: BLE001 - whatever it raises has to keep silent
        chain = [error, error.__cause__, error.__context__]
        return "".join(traceback.format_exception(error)) + "".join(f"{e!r}{getattr(e, 'args', '')}" for e in chain)


def broken_utf8(email: str) -> pa.Array:
    data = email.encode() + b"\xff"
    return pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, len(data)], np.int32).tobytes()), pa.py_buffer(data)]
    )


def test_no_canary_shows_in_any_repr_or_exception() -> None:
    heard = []
    for i, email in enumerate(CANARIES):
        text = SPOILT[i % len(SPOILT)](email)
        heard.append(said(lambda text=text: digest_of(text) if "@" in text else None))
        result = normalise("uid2@1", "email", text)
        heard.append(repr(result) if isinstance(result, Reject) else "")
        for arrives in ("raw", "sha256"):
            heard.append(said(lambda t=email, a=arrives: digests(broken_utf8(t), "uid2@1", "email", a)))
    encodable = [SPOILT[i % len(SPOILT)](e).encode("utf-8", "ignore").decode() for i, e in enumerate(CANARIES)]
    mixed = [sha(e) if i % 2 else sha(e).upper() for i, e in enumerate(CANARIES)]
    for column in (strings(*encodable), strings(*mixed), pa.array([[e] for e in CANARIES])):
        for arrives in ("raw", "sha256"):
            heard.append(said(lambda c=column, a=arrives: digests(c, "uid2@1", "email", a)))
            heard.append(said(lambda c=column, a=arrives: digests(c, "uid2@9", "email", a)))
    everything = "\n".join(heard).lower()
    assert "mixedencodings" in everything
    assert "nottext" in everything
    for email in CANARIES:
        for trace in (
            email,
            email.partition("@")[0],
            sha(email),
            repr(bytes.fromhex(sha(email)))[2:-1].lower(),
        ):
            assert trace not in everything


def test_the_repr_of_digests_is_its_size() -> None:
    result = digests(strings("a@b.c", "x"), "plain@1", "email", "raw")
    assert repr(result) == str(result) == "Digests(2 rows, email, plain@1)"
    assert isinstance(result, Digests)

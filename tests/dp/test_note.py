from __future__ import annotations

import base64
import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from passbox.dp import note
from passbox.dp.note import COSIGNER, BadNote, NoteKey, VerifierKey
from passbox.dp.tree import EMPTY_ROOT

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "note.json").read_text())
ORIGIN = "rooms.example/spring"
ROOT = bytes(range(32))


def key(seed: str, name: str, kind: note.Kind = note.LOG) -> NoteKey:
    return NoteKey(name, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["seeds"][seed])), kind)


LOG = key("log", ORIGIN)
OFFICER = key("officer", "officer", COSIGNER)
CHECKPOINT = note.sign_checkpoint(ORIGIN, 7, ROOT, LOG)


# --- vectors


@pytest.mark.parametrize("case", VECTORS["notes"], ids=lambda case: case["claim"])
def test_published_notes_verify(case: dict[str, Any]) -> None:
    text = note.verify_note(case["note"], case["vkey"])
    assert case["note"].startswith(text + "\n")
    if "secret" in case:
        signer = note.parse_secret(case["secret"])
        assert (signer.vkey, signer.to_secret_text()) == (case["vkey"], case["secret"])
        assert note.sign_note(text, signer) == case["note"]


@pytest.mark.parametrize("case", VECTORS["keys"], ids=lambda case: case["claim"])
def test_key_vectors(case: dict[str, Any]) -> None:
    if "reason" not in case:
        assert note.parse_vkey(case["vkey"]).to_text() == case["vkey"]
        return
    with pytest.raises(BadNote) as refused:
        note.parse_vkey(case["vkey"])
    assert refused.value.reason == case["reason"]


@pytest.mark.parametrize("case", VECTORS["checkpoints"], ids=lambda case: case["claim"])
def test_checkpoint_vectors(case: dict[str, Any]) -> None:
    if "reason" not in case:
        found = note.verify_checkpoint(case["note"], case["vkey"])
        assert found == note.Checkpoint(ORIGIN, case["size"], bytes.fromhex(case["root"]))
        assert note.verify_checkpoint(case["note"].encode(), case["vkey"]) == found
        return
    with pytest.raises(BadNote) as refused:
        note.verify_checkpoint(case["note"], case["vkey"])
    assert refused.value.reason == case["reason"]


@pytest.mark.parametrize("case", VECTORS["cosignatures"], ids=lambda case: case["claim"])
def test_cosignature_vectors(case: dict[str, Any]) -> None:
    if "reason" not in case:
        assert note.verify_cosignature(case["note"], case["vkey"]).time == case["time"]
        return
    with pytest.raises(BadNote) as refused:
        note.verify_cosignature(case["note"], case["vkey"])
    assert refused.value.reason == case["reason"]


def test_we_sign_what_the_vectors_hold() -> None:
    case = VECTORS["checkpoints"][0]
    assert note.sign_checkpoint(ORIGIN, case["size"], bytes.fromhex(case["root"]), LOG) == case["note"]
    assert LOG.to_secret_text() == VECTORS["secret"]
    case = VECTORS["cosignatures"][1]
    assert case["note"].endswith("\n\n" + note.cosign(case["note"], OFFICER, case["time"]))


# --- checkpoints


@given(st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_signed_checkpoint_verifies(size: int, root: bytes) -> None:
    text = note.sign_checkpoint(ORIGIN, size, root, LOG)
    assert note.verify_checkpoint(text, LOG.vkey) == note.Checkpoint(ORIGIN, size, root)


@given(st.data())
def test_a_checkpoint_with_one_byte_changed_is_refused(data: st.DataObject) -> None:
    raw = bytearray(CHECKPOINT.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadNote):
        note.verify_checkpoint(bytes(raw), LOG.vkey)


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_a_note_from_anywhere_raises_nothing_but_bad_note(hostile: str | bytes) -> None:
    with pytest.raises(BadNote):
        note.verify_checkpoint(hostile, LOG.vkey)
    with pytest.raises(BadNote):
        note.verify_cosignature(hostile, OFFICER.vkey)


@given(st.text(max_size=120), st.text(st.characters(codec=None), max_size=60), st.binary(max_size=90))
def test_a_well_formed_note_from_anywhere_raises_nothing_but_bad_note(text: str, name: str, raw: bytes) -> None:
    hostile = f"{text}\n\n— {name} {base64.b64encode(raw).decode()}\n"
    with pytest.raises(BadNote):
        note.verify_checkpoint(hostile, LOG.vkey)
    ours = base64.b64encode(OFFICER.verifier.key_id + raw).decode()
    with pytest.raises(BadNote):
        note.verify_cosignature(f"{text}\n\n— officer {ours}\n", OFFICER.vkey)


@pytest.mark.parametrize(("size", "root"), [(-1, ROOT), (2**63, ROOT), (1, ROOT[:31]), (1, b""), (0, ROOT)])
def test_a_head_that_could_not_be_verified_is_not_signed(size: int, root: bytes) -> None:
    with pytest.raises(BadNote) as refused:
        note.sign_checkpoint(ORIGIN, size, root, LOG)
    assert refused.value.reason == "not-a-checkpoint"


@pytest.mark.parametrize("size", ["1٣", "1_0", " 1", "1 ", "1.0", "1e3", "0x1", "", "00", "²"])
def test_a_size_is_written_in_one_way(size: str) -> None:
    text = note.sign_note(f"{ORIGIN}\n{size}\n{base64.b64encode(ROOT).decode()}\n", LOG)
    with pytest.raises(BadNote) as refused:
        note.verify_checkpoint(text, LOG.vkey)
    assert refused.value.reason == "not-a-checkpoint"


def test_a_key_signs_under_its_own_name_only() -> None:
    with pytest.raises(BadNote) as refused:
        note.sign_checkpoint("rooms.example/other", 1, ROOT, LOG)
    assert refused.value.reason == "wrong-origin"


def test_the_head_of_an_empty_log_can_be_signed() -> None:
    text = note.sign_checkpoint(ORIGIN, 0, EMPTY_ROOT, LOG)
    assert note.verify_checkpoint(text, LOG.vkey).size == 0


@pytest.mark.parametrize("text", ["", "no newline", "a tab\t\n", "a surrogate \ud800\n", "\x00\n", "é\x1f\n"])
def test_text_that_could_not_be_verified_is_not_signed(text: str) -> None:
    with pytest.raises(BadNote) as refused:
        note.sign_note(text, LOG)
    assert refused.value.reason == "not-a-note"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.just("\n"), max_size=80))
def test_any_printable_text_can_be_signed(text: str) -> None:
    assert note.verify_note(note.sign_note(text + "\n", LOG), LOG.vkey) == text + "\n"


def test_a_hundred_lines_are_read_and_one_more_is_not() -> None:
    text, line = CHECKPOINT.rsplit("\n\n", 1)
    note.verify_checkpoint(f"{text}\n\n{line * 100}", LOG.vkey)
    with pytest.raises(BadNote):
        note.verify_checkpoint(f"{text}\n\n{line * 101}", LOG.vkey)


def test_sixteen_post_quantum_lines_are_read_and_more_than_128_kib_are_not() -> None:
    stranger = f"— pq.example {base64.b64encode(b'pq01' + bytes(4700)).decode()}\n"
    note.verify_checkpoint(CHECKPOINT + stranger * 16, LOG.vkey)
    with pytest.raises(BadNote):
        note.verify_checkpoint(CHECKPOINT + stranger * 21, LOG.vkey)


# --- keys


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\u202eb", "a\x1bb"])
def test_a_key_with_an_unfit_name_cannot_be_made(name: str) -> None:
    with pytest.raises(BadNote) as refused:
        NoteKey.new(name)
    assert refused.value.reason == "not-a-key"


@pytest.mark.parametrize("kind", [note.LOG, COSIGNER])
def test_a_new_key_survives_being_stored(kind: note.Kind) -> None:
    made = NoteKey.new("officer", kind)
    again = note.parse_secret(made.to_secret_text())
    assert (again.vkey, again.kind) == (made.vkey, kind)
    assert note.parse_vkey(made.vkey, kind) == made.verifier


@given(st.data())
def test_a_mangled_secret_is_refused(data: st.DataObject) -> None:
    secret = LOG.to_secret_text()
    at = data.draw(st.integers(0, len(secret) - 1))
    other = data.draw(st.characters().filter(lambda each: each != secret[at]))
    with pytest.raises(BadNote):
        note.parse_secret(secret[:at] + other + secret[at + 1 :])


def test_every_part_of_a_key_line_is_refused() -> None:
    for low in range(len(LOG.vkey)):
        for high in range(low, len(LOG.vkey) + 1):
            if (low, high) != (0, len(LOG.vkey)):
                with pytest.raises(BadNote):
                    note.parse_vkey(LOG.vkey[low:high])


def test_a_key_does_not_show_its_secret() -> None:
    assert VECTORS["seeds"]["log"] not in repr(LOG)
    assert "private" not in repr(LOG)


@pytest.mark.parametrize("sign_bit", [0, 0x80])
def test_a_point_for_which_anyone_can_sign_is_no_key(sign_bit: int) -> None:
    order_one = bytes([1]) + bytes(30) + bytes([sign_bit])
    with pytest.raises(BadNote):
        VerifierKey(ORIGIN, order_one)
    forged = bytes([1]) + bytes(63)
    Ed25519PublicKey.from_public_bytes(bytes([1]) + bytes(31)).verify(forged, b"any text whatever")


# --- cosignatures


def test_a_cosigned_checkpoint_verifies_under_both_keys() -> None:
    both = note.add_line(CHECKPOINT, note.cosign(CHECKPOINT, OFFICER, 1_679_315_147))
    said = note.verify_cosignature(both, OFFICER.vkey)
    assert said.checkpoint == note.verify_checkpoint(both, LOG.vkey)
    assert said.time == 1_679_315_147


def test_the_same_line_is_added_once() -> None:
    line = note.cosign(CHECKPOINT, OFFICER, 5)
    once = note.add_line(CHECKPOINT, line)
    assert note.add_line(once, line) == once


@pytest.mark.parametrize(
    "line", ["", "\n", "— officer AAAA\n", "— officer", "x\n— officer AAAAAAAA\n", "\n— a AAAAAAAA\n"]
)
def test_what_is_no_signature_line_is_not_added(line: str) -> None:
    with pytest.raises(BadNote):
        note.add_line(CHECKPOINT, line)


def test_a_cosignature_fits_no_other_checkpoint() -> None:
    other = note.sign_checkpoint(ORIGIN, 8, ROOT, LOG)
    with pytest.raises(BadNote) as refused:
        note.verify_cosignature(other + note.cosign(CHECKPOINT, OFFICER, 5), OFFICER.vkey)
    assert refused.value.reason == "broken"


def test_only_a_checkpoint_is_cosigned() -> None:
    with pytest.raises(BadNote) as refused:
        note.cosign(note.sign_note("hello\n", LOG), OFFICER, 5)
    assert refused.value.reason == "not-a-checkpoint"


@pytest.mark.parametrize("time", [-1, 2**63])
def test_a_time_that_cannot_be_written_is_refused(time: int) -> None:
    with pytest.raises(ValueError, match="seconds"):
        note.cosign(CHECKPOINT, OFFICER, time)


def test_each_kind_of_key_signs_its_own_kind_of_thing() -> None:
    with pytest.raises(BadNote) as refused:
        note.cosign(CHECKPOINT, LOG, 5)
    assert refused.value.reason == "wrong-kind"
    with pytest.raises(BadNote) as refused:
        note.sign_checkpoint("officer", 1, ROOT, OFFICER)
    assert refused.value.reason == "wrong-kind"


# --- other people's tools


def openssl_agrees(public: bytes, message: bytes, signature: bytes, folder: Path) -> bool:
    der = bytes.fromhex("302a300506032b6570032100") + public
    for name, data in (("key", der), ("message", message), ("signature", signature)):
        (folder / name).write_bytes(data)
    command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in message -sigfile signature"
    return subprocess.run(command.split(), cwd=folder, capture_output=True).returncode == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_verifies_our_signatures(tmp_path: Path) -> None:
    text, line = CHECKPOINT.rsplit("\n\n", 1)
    body = base64.b64decode(line.split()[2])[4:]
    assert openssl_agrees(LOG.verifier.public, f"{text}\n".encode(), body, tmp_path)
    assert not openssl_agrees(LOG.verifier.public, f"{text}.\n".encode(), body, tmp_path)
    time, signature = struct.unpack(">Q64s", base64.b64decode(note.cosign(CHECKPOINT, OFFICER, 9).split()[2])[4:])
    message = f"cosignature/v1\ntime {time}\n{text}\n".encode()
    assert openssl_agrees(OFFICER.verifier.public, message, signature, tmp_path)

from __future__ import annotations

import base64
import contextlib
import json
import shlex
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import example, given
from hypothesis import strategies as st

from passbox.policies import sign
from passbox.policies.sign import BadKey, BadSignature, Namespace

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "sshsig.json").read_text())
NAMESPACES: tuple[Namespace, ...] = get_args(Namespace)
CONTRACT: Namespace = "passbox-contract"
MESSAGE = b'version = 1\nname = "spring-lookalike"\n'
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = sign.public_line(KEY)
SIGNATURE = sign.sign(MESSAGE, KEY, CONTRACT)

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")


def reason_of(signature: str | bytes, namespace: Namespace = CONTRACT, message: bytes = MESSAGE) -> str:
    with pytest.raises(BadSignature) as refused:
        sign.verify(message, signature, PUBLIC, namespace)
    return refused.value.reason


# --- vectors


@pytest.mark.parametrize("case", VECTORS["signatures"], ids=lambda case: case["claim"])
def test_signature_vectors(case: dict[str, Any]) -> None:
    message, rest = case["message"].encode(), (case["public_key"], case["namespace"])
    for signature in (case["signature"], case["signature"].encode()):
        if "reason" not in case:
            sign.verify(message, signature, *rest)
            continue
        with pytest.raises(BadSignature) as refused:
            sign.verify(message, signature, *rest)
        assert refused.value.reason == case["reason"]


@pytest.mark.parametrize("case", VECTORS["public_keys"], ids=lambda case: case["claim"])
def test_public_key_vectors(case: dict[str, Any]) -> None:
    if "reason" not in case:
        assert sign.parse_public_key(case["line"]) == case["key"]
        return
    with pytest.raises(BadKey) as refused:
        sign.parse_public_key(case["line"])
    assert refused.value.reason == case["reason"]


# --- OpenSSH agrees


class OpenSSH:
    """A folder in which ssh-keygen signs, verifies and makes keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["ssh-keygen", *words], cwd=self.folder, input=stdin, capture_output=True)

    def new_key(self, name: str, kind: str = "ed25519", passphrase: str = "") -> bytes:
        made = self.run("-q", "-t", kind, "-C", "ada", "-N", passphrase, "-f", name)
        assert made.returncode == 0, made.stderr
        return (self.folder / name).read_bytes()

    def write_key(self, key: Ed25519PrivateKey, passphrase: bytes | None = None) -> None:
        path = self.folder / "key"
        path.write_bytes(sign.serialise_private_key(key, passphrase))
        path.chmod(0o600)

    def sign(self, message: bytes, namespace: str, key: str = "key", *options: str) -> bytes:
        made = self.run("-Y", "sign", "-f", key, "-n", namespace, *options, stdin=message)
        assert made.returncode == 0, made.stderr
        return made.stdout

    def accepts(self, message: bytes, signature: str, public: str, namespace: str) -> bool:
        (self.folder / "allowed").write_text(f"ada {public}\n")
        (self.folder / "message.sig").write_text(signature)
        words = ["-Y", "verify", "-f", "allowed", "-I", "ada", "-n", namespace, "-s", "message.sig"]
        return self.run(*words, stdin=message).returncode == 0


@pytest.fixture
def openssh(tmp_path: Path) -> OpenSSH:
    return OpenSSH(tmp_path)


@needs_ssh_keygen
@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("message", [MESSAGE, b"", bytes(range(256)) * 500])
def test_our_signature_is_byte_for_byte_that_of_openssh(openssh: OpenSSH, namespace: Namespace, message: bytes) -> None:
    openssh.write_key(KEY)
    ours = sign.sign(message, KEY, namespace)
    assert openssh.sign(message, namespace).decode() == ours
    assert openssh.accepts(message, ours, PUBLIC, namespace)
    sign.verify(message, ours, PUBLIC, namespace)


@needs_ssh_keygen
def test_both_refuse_the_same_changes(openssh: OpenSSH) -> None:
    assert openssh.accepts(MESSAGE, SIGNATURE, PUBLIC, CONTRACT)
    lines = SIGNATURE.split("\n")
    changed = "\n".join([*lines[:-3], "A" + lines[-3][1:], *lines[-2:]])
    for message, signature, signer, namespace, reason in [
        (MESSAGE + b"x", SIGNATURE, PUBLIC, CONTRACT, "broken"),
        (MESSAGE[:-1], SIGNATURE, PUBLIC, CONTRACT, "broken"),
        (MESSAGE, SIGNATURE, PUBLIC, "passbox-job", "wrong-namespace"),
        (MESSAGE, SIGNATURE, sign.public_line(OTHER), CONTRACT, "wrong-key"),
        (MESSAGE, changed, PUBLIC, CONTRACT, "broken"),
        (MESSAGE, SIGNATURE.replace("-----END", "----END"), PUBLIC, CONTRACT, "not-a-signature"),
    ]:
        assert not openssh.accepts(message, signature, signer, namespace)
        with pytest.raises(BadSignature) as refused:
            sign.verify(message, signature, signer, namespace)
        assert refused.value.reason == reason


@needs_ssh_keygen
@pytest.mark.parametrize("case", VECTORS["signatures"], ids=lambda case: case["claim"])
def test_what_we_accept_openssh_accepts(openssh: OpenSSH, case: dict[str, Any]) -> None:
    """We may refuse more than OpenSSH does, never less."""
    message = case["message"].encode()
    accepts = openssh.accepts(message, case["signature"], case["public_key"], case["namespace"])
    assert accepts or "reason" in case


@needs_ssh_keygen
def test_the_fingerprint_is_the_one_openssh_prints(openssh: OpenSSH) -> None:
    (openssh.folder / "key.pub").write_text(f"{PUBLIC} ada\n")
    assert openssh.run("-l", "-f", "key.pub").stdout.decode().split()[1] == sign.fingerprint(f"{PUBLIC} ada")


@needs_ssh_keygen
def test_the_line_to_type_makes_the_same_signature(openssh: OpenSSH) -> None:
    openssh.write_key(KEY)
    for name in ("contract.toml", "-my contract; rm *.toml"):
        (openssh.folder / name).write_bytes(MESSAGE)
        line = sign.ssh_keygen_line(Path(name), CONTRACT, Path("key"))
        subprocess.run(line, shell=True, cwd=openssh.folder, check=True, capture_output=True)
        assert (openssh.folder / f"{name}.sig").read_text() == SIGNATURE


def test_the_line_to_type_is_quoted() -> None:
    line = sign.ssh_keygen_line(Path("a b.toml"), CONTRACT, Path("/home/ada/.ssh/id_ed25519"))
    assert line == "ssh-keygen -Y sign -f /home/ada/.ssh/id_ed25519 -n passbox-contract 'a b.toml'"
    assert shlex.split(line)[-1] == "a b.toml"


# --- private keys


@needs_ssh_keygen
def test_a_key_of_openssh_is_read(openssh: OpenSSH) -> None:
    key = sign.load_private_key(openssh.new_key("fresh"))
    public = (openssh.folder / "fresh.pub").read_text()
    assert sign.public_line(key) == sign.parse_public_key(public)
    sign.verify(MESSAGE, openssh.sign(MESSAGE, "passbox-job", "fresh"), public, "passbox-job")


@needs_ssh_keygen
def test_a_locked_key_of_openssh_needs_its_passphrase(openssh: OpenSSH) -> None:
    data = openssh.new_key("locked", passphrase="correct horse")
    public = sign.parse_public_key((openssh.folder / "locked.pub").read_text())
    assert sign.public_line(sign.load_private_key(data, b"correct horse")) == public
    for passphrase, reason in [(None, "encrypted"), (b"", "encrypted"), (b"wrong horse", "wrong-passphrase")]:
        with pytest.raises(BadKey) as refused:
            sign.load_private_key(data, passphrase)
        assert refused.value.reason == reason


@needs_ssh_keygen
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
@pytest.mark.parametrize("passphrase", ["", "correct horse"])
def test_other_kinds_of_key_are_refused_before_a_passphrase_is_asked(
    openssh: OpenSSH, kind: str, passphrase: str
) -> None:
    data = openssh.new_key("other", kind, passphrase)
    with pytest.raises(BadKey) as refused:
        sign.load_private_key(data)
    assert refused.value.reason == "not-ed25519"


@needs_ssh_keygen
@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_openssh_reads_our_keys(openssh: OpenSSH, passphrase: bytes | None) -> None:
    openssh.write_key(KEY, passphrase)
    shown = openssh.run("-y", "-f", "key", "-P", (passphrase or b"").decode())
    assert shown.stdout.decode().strip() == PUBLIC


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_key_survives_being_stored(passphrase: bytes | None) -> None:
    key = sign.new_private_key()
    again = sign.load_private_key(sign.serialise_private_key(key, passphrase), passphrase)
    assert again.private_bytes_raw() == key.private_bytes_raw()


def test_a_passphrase_that_is_not_needed_is_passed_over() -> None:
    key = sign.load_private_key(sign.serialise_private_key(KEY), b"not needed")
    assert key.private_bytes_raw() == KEY.private_bytes_raw()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        PUBLIC.encode(),
        sign.serialise_private_key(KEY)[:-40],
        sign.serialise_private_key(KEY).replace(b"OPENSSH", b"OPENSSL"),
        KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        b"\xff\xfe" + sign.serialise_private_key(KEY),
    ],
)
def test_what_is_no_openssh_key_is_refused(data: bytes) -> None:
    with pytest.raises(BadKey) as refused:
        sign.load_private_key(data, b"any")
    assert refused.value.reason == "not-a-key"


@given(st.data())
def test_a_damaged_key_raises_nothing_but_bad_key(data: st.DataObject) -> None:
    lines = sign.serialise_private_key(KEY).decode().strip().split("\n")
    blob = bytearray(base64.b64decode("".join(lines[1:-1])))
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= data.draw(st.integers(1, 255))
    damaged = "\n".join([lines[0], base64.b64encode(blob).decode(), lines[-1]])
    with contextlib.suppress(BadKey):
        sign.load_private_key(damaged.encode(), None)


# --- public keys


def test_public_bytes_are_the_point_itself() -> None:
    assert sign.public_bytes(f"{PUBLIC} ada") == KEY.public_key().public_bytes_raw()


def test_a_key_beyond_16_kib_is_refused() -> None:
    assert sign.parse_public_key(f"{PUBLIC} {'x' * 10_000}") == PUBLIC
    with pytest.raises(BadKey):
        sign.parse_public_key(f"{PUBLIC} {'x' * 20_000}")


def test_a_point_for_which_anyone_can_sign_is_no_key() -> None:
    order_one = bytes([1]) + bytes(31)
    Ed25519PublicKey.from_public_bytes(order_one).verify(bytes([1]) + bytes(63), b"any message whatever")
    blob = PUBLIC.split()[1]
    weak = base64.b64decode(blob)[:-32] + order_one
    with pytest.raises(BadKey):
        sign.verify(MESSAGE, SIGNATURE, f"ssh-ed25519 {base64.b64encode(weak).decode()}", CONTRACT)


@given(st.text(max_size=200) | st.text(st.characters(codec=None), max_size=50).map(lambda tail: PUBLIC[:40] + tail))
@example("\ud800 \ud800")
def test_a_public_key_from_anywhere_raises_nothing_but_bad_key(line: str) -> None:
    with pytest.raises(BadKey):
        sign.parse_public_key(line)


# --- hostile signatures


def armored(blob: bytes) -> str:
    body = base64.b64encode(blob).decode()
    return f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n"


def strings(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(each)) + each for each in parts)


def own_blob() -> bytes:
    return base64.b64decode("".join(SIGNATURE.split("\n")[1:-2]))


@given(st.text(max_size=300) | st.text(st.characters(codec=None), max_size=300) | st.binary(max_size=300))
@example(b"\xff\xfe")
def test_text_from_anywhere_raises_nothing_but_bad_signature(hostile: str | bytes) -> None:
    assert reason_of(hostile) == "not-a-signature"


@given(st.text(max_size=300), st.integers(0, 400), st.integers(0, 400))
def test_spliced_armor_raises_nothing_but_bad_signature(middle: str, low: int, high: int) -> None:
    spliced = SIGNATURE[:low] + middle + SIGNATURE[high:]
    if spliced.replace("\n", "") != SIGNATURE.replace("\n", ""):
        assert reason_of(spliced) in get_args(sign.SignatureReason)


@given(st.binary(max_size=300))
def test_armored_bytes_raise_nothing_but_bad_signature(blob: bytes) -> None:
    for each in (blob, b"SSHSIG" + blob, b"SSHSIG\0\0\0\1" + blob, own_blob()[:61] + blob):
        assert reason_of(armored(each)) in get_args(sign.SignatureReason)


names = st.sampled_from([b"ssh-ed25519", b"ssh-rsa", b"sk-ssh-ed25519@openssh.com", b"", b"\xff"])
points = st.binary(max_size=40) | st.binary(min_size=32, max_size=32) | st.just(KEY.public_key().public_bytes_raw())
hash_names = st.sampled_from([b"sha512", b"sha256", b"SHA512", b"md5", b"shake_128", b"blake2b", b"", b"\xff"])


@given(
    names,
    points,
    st.sampled_from([CONTRACT.encode(), b"", b"\xff"]),
    hash_names,
    names,
    st.binary(max_size=70),
)
def test_well_formed_but_false_signatures_raise_nothing_but_bad_signature(
    kind: bytes, point: bytes, namespace: bytes, hash_name: bytes, signature_kind: bytes, raw: bytes
) -> None:
    public, signature = strings(kind, point), strings(signature_kind, raw)
    blob = own_blob()[:10] + strings(public, namespace, b"", hash_name, signature)
    assert reason_of(armored(blob)) in get_args(sign.SignatureReason)


@given(st.data())
def test_any_byte_changed_in_a_signature_is_refused(data: st.DataObject) -> None:
    blob = bytearray(own_blob())
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    reason_of(armored(bytes(blob)))


@given(st.binary(max_size=400), st.binary(max_size=400), st.sampled_from(NAMESPACES), st.sampled_from(NAMESPACES))
def test_a_signature_fits_its_own_message_and_purpose_only(
    message: bytes, other: bytes, namespace: Namespace, purpose: Namespace
) -> None:
    signature = sign.sign(message, KEY, namespace)
    sign.verify(message, signature, PUBLIC, namespace)
    if purpose != namespace:
        assert reason_of(signature, purpose, message) == "wrong-namespace"
    if other != message:
        assert reason_of(signature, namespace, other) == "broken"


def test_a_signature_beyond_16_kib_is_refused() -> None:
    assert reason_of(SIGNATURE + "\n" * 20_000) == "not-a-signature"
    assert reason_of(armored(own_blob() + bytes(20_000))) == "not-a-signature"

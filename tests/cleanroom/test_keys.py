"""Keys stay in a folder of their own, whole or not at all; cards are believed only as far as they can be checked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pyrage
import pytest

from passbox.cleanroom import newkeys as module
from passbox.cleanroom.cards import read_card, role_of
from passbox.cleanroom.keys import Keys, KeysUnusable, open_keys
from passbox.cleanroom.newkeys import make
from passbox.dp.note import NoteKey
from passbox.policies.sign import new_private_key, public_line, serialise_private_key, sign, verify


def no_passphrase() -> bytes:
    raise AssertionError("nobody should be asked")


def ssh_keygen(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", path], check=True, stdin=subprocess.DEVNULL)
    return path


def test_keys_are_for_their_owner_only_and_the_card_holds_their_public_half(tmp_path: Path) -> None:
    old = os.umask(0o000)
    try:
        made = make(tmp_path, "publisher", "publisher", None, None)
    finally:
        os.umask(old)
    assert made.keys.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in made.keys.folder.iterdir()} == {0o600}
    card = read_card(made.card, "party")
    assert card["sign"] == public_line(made.keys.signing(no_passphrase))
    assert card["seal"] == str(pyrage.x25519.Identity.from_str(made.keys.seal_identity()).to_public())


def test_making_keys_again_changes_nothing(tmp_path: Path) -> None:
    make(tmp_path, "host", "operator", None, "rooms.example/spring")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert not make(tmp_path, "host", "operator", None, "rooms.example/spring").created
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_operator_may_ask_for_its_room_later(tmp_path: Path) -> None:
    first = make(tmp_path, "host", "operator", None, None)
    made = make(tmp_path, "host", "operator", None, "rooms.example/spring")
    assert made.created
    assert made.room_card is not None
    assert made.keys.sign_public() == first.keys.sign_public()
    assert read_card(made.room_card, "room")["name"] == "rooms.example/spring"


def test_other_keys_than_those_that_are_there_are_not_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "host", "operator", None, "rooms.example/spring")
    with pytest.raises(KeysUnusable):
        make(tmp_path, "host", "operator", None, "rooms.example/autumn")
    with pytest.raises(KeysUnusable):
        make(tmp_path, "host", "operator", ssh_keygen(tmp_path / "id"), None)
    with pytest.raises(KeysUnusable):
        make(tmp_path, "host", "officer", None, None)


def test_a_room_that_is_asked_for_later_adds_its_keys_and_card_and_changes_nothing_else(tmp_path: Path) -> None:
    make(tmp_path, "publisher", "publisher", None, None)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert role_of(tmp_path, "publisher") == "publisher"
    make(tmp_path, "publisher", "publisher", None, "rooms.example/spring")
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert before.items() <= after.items()
    assert {path.name for path in after.keys() - before.keys()} == {
        "room.seal",
        "room.checkpoint",
        "publisher.room.toml",
    }


def test_a_card_of_others_in_the_way_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    make(tmp_path, "publisher", "publisher", None, None)
    (tmp_path / "host.party.toml").write_bytes((tmp_path / "publisher.party.toml").read_bytes())
    before = sorted(tmp_path.rglob("*"))
    for name, role, room in (("publisher", "operator", "rooms.example/spring"), ("host", "operator", None)):
        with pytest.raises(KeysUnusable) as caught:
            make(tmp_path, name, role, None, room)
        assert "--" not in caught.value.remedy
    assert sorted(tmp_path.rglob("*")) == before


def test_a_crash_leaves_no_half_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "serialise_private_key", killed)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, "publisher", "publisher", None, None)
    assert list(tmp_path.iterdir()) == []
    assert make(tmp_path, "publisher", "publisher", None, None).created


def test_an_existing_ssh_key_signs_and_is_not_copied(tmp_path: Path) -> None:
    path = ssh_keygen(tmp_path / "id")
    keys = make(tmp_path, "officer", "officer", path, None).keys
    assert keys.signing(no_passphrase)
    assert not (keys.folder / "sign").exists()
    path.rename(tmp_path / "moved")
    with pytest.raises(KeysUnusable):
        keys.signing(no_passphrase)


def test_an_encrypted_ssh_key_asks_for_its_passphrase(tmp_path: Path) -> None:
    keys = make(tmp_path, "officer", "officer", ssh_keygen(tmp_path / "id", passphrase="open sesame"), None).keys
    assert public_line(keys.signing(lambda: b"open sesame")) == keys.sign_public()
    for given, rule in ((b"wrong", "does not open"), (b"", "no passphrase")):
        with pytest.raises(KeysUnusable) as caught:
            keys.signing(lambda given=given: given)  # type: ignore[misc]
        assert rule in caught.value.rule


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_of_another_kind_are_refused_before_anything_is_made(kind: str, tmp_path: Path) -> None:
    path = ssh_keygen(tmp_path / "id", kind)
    for given in (path, path.with_suffix(".pub")):
        with pytest.raises(KeysUnusable) as caught:
            make(tmp_path, "officer", "officer", given, None)
        assert "Ed25519" in caught.value.rule
    assert not (tmp_path / "officer.keys").exists()


def test_a_security_key_is_refused_by_its_kind(tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text("sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t me\n")
    with pytest.raises(KeysUnusable):
        make(tmp_path, "officer", "officer", tmp_path / "id.pub", None)


def test_a_private_key_without_its_public_half_says_how_to_write_it(tmp_path: Path) -> None:
    path = ssh_keygen(tmp_path / "id")
    path.with_suffix(".pub").unlink()
    with pytest.raises(KeysUnusable) as caught:
        make(tmp_path, "officer", "officer", path, None)
    assert "ssh-keygen -y" in caught.value.remedy
    with pytest.raises(KeysUnusable) as caught:
        make(tmp_path, "officer", "officer", tmp_path / "nowhere", None)
    assert "no such key" in caught.value.rule


def test_a_key_that_is_not_the_cards_does_not_sign(tmp_path: Path) -> None:
    keys = make(tmp_path, "officer", "officer", None, None).keys
    (keys.folder / "sign").write_bytes(serialise_private_key(new_private_key()))
    with pytest.raises(KeysUnusable) as caught:
        keys.signing(no_passphrase)
    assert "not the key of" in caught.value.rule


def test_a_public_key_alone_cannot_sign_here(tmp_path: Path) -> None:
    path = ssh_keygen(tmp_path / "id")
    keys = make(tmp_path, "officer", "officer", path.with_suffix(".pub"), None).keys
    assert not keys.can_sign()
    with pytest.raises(KeysUnusable) as caught:
        keys.signing(no_passphrase)
    assert "public half" in caught.value.rule


def test_what_an_own_key_signs_ssh_keygen_verifies(tmp_path: Path) -> None:
    keys = make(tmp_path, "officer", "officer", ssh_keygen(tmp_path / "id"), None).keys
    verify(b"x", sign(b"x", keys.signing(no_passphrase), "passbox-job"), keys.sign_public(), "passbox-job")


def read_all(keys: Keys) -> None:
    for read in (keys.sign_public, keys.seal_public, keys.room_seal, keys.room_checkpoint):
        read()
    keys.signing(no_passphrase)


@pytest.mark.parametrize("name", ["seal", "sign", "sign.pub", "room.seal", "room.checkpoint"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"AGE-SECRET-KEY-1QQQ", b"x" * 200_000])
def test_a_damaged_file_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    keys = make(tmp_path, "host", "operator", None, "rooms.example/spring").keys
    (keys.folder / name).write_bytes(content)
    with pytest.raises(KeysUnusable) as caught:
        read_all(keys)
    assert caught.value.path == keys.folder / name


@pytest.mark.parametrize("name", ["nowhere", "empty", "file"])
def test_what_is_no_key_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(KeysUnusable):
        open_keys(tmp_path / name)


GOOD = {
    "name": "advertiser",
    "role": "advertiser",
    "sign": public_line(new_private_key()),
    "seal": str(pyrage.x25519.Identity.generate().to_public()),
}
ROOM = {
    "operator": "host",
    "name": "rooms.example/spring",
    "seal": GOOD["seal"],
    "checkpoint": NoteKey.new("rooms.example/spring").vkey,
}


def card(path: Path, fields: dict[str, str]) -> Path:
    path.write_text("".join(f"{key} = '{value}'\n" for key, value in fields.items()))
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x]\\nevil"},
        {"name": "Upper"},
        {"name": ""},
        {"role": "king"},
        {"sign": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7"},
        {"sign": GOOD["sign"] + ' comment"'},
        {"seal": "age1xyz"},
        {"seal": GOOD["seal"].upper()},
        {"more": "x"},
    ],
)
def test_a_card_is_checked_before_it_goes_into_a_contract(change: dict[str, str], tmp_path: Path) -> None:
    assert read_card(card(tmp_path / "good.toml", GOOD), "party") == GOOD
    with pytest.raises(KeysUnusable):
        read_card(card(tmp_path / "bad.toml", GOOD | change), "party")


@pytest.mark.parametrize(
    "change", [{"operator": "a b"}, {"name": "x"}, {"name": "a\\nb"}, {"seal": "x"}, {"checkpoint": "x+y+z"}]
)
def test_a_room_card_is_checked_too(change: dict[str, str], tmp_path: Path) -> None:
    assert read_card(card(tmp_path / "good.toml", ROOM), "room") == ROOM
    with pytest.raises(KeysUnusable):
        read_card(card(tmp_path / "bad.toml", ROOM | change), "room")


@pytest.mark.parametrize("data", [b"", b"\xff", b"name = 1", b"[" * 50_000, b"x" * 300_000])
def test_what_is_no_card_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_bytes(data)
    for kind in ("party", "room"):
        with pytest.raises(KeysUnusable):
            read_card(tmp_path / "card.toml", kind)  # type: ignore[arg-type]

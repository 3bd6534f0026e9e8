"""`passbox keys`, as typed, and passphrases on a real terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

Typed = Callable[..., tuple[int, str, str]]


def test_keys_are_made_shown_and_left_as_they_are(
    passbox: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = passbox("keys", "new", "publisher", "--json")
    made = json.loads(out)
    assert (code, made["created"], made["cards"]) == (0, True, ["publisher.party.toml"])
    assert not json.loads(passbox("keys", "new", "publisher", "--json")[1])["created"]
    shown = json.loads(passbox("keys", "show", "publisher.keys", "--json")[1])
    assert (shown["fingerprint"], shown["can_sign"]) == (made["fingerprint"], True)
    assert "AGE-SECRET-KEY" not in json.dumps(shown)


def test_a_card_goes_to_who_drafts_the_contract(
    passbox: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from the publisher to itself."""
    monkeypatch.chdir(tmp_path)
    assert "send the cards to whoever drafts the contract" in passbox("keys", "new", "advertiser")[2]
    err = passbox("keys", "new", "publisher")[2]
    assert "send the cards" not in err
    assert "gather the others' cards" in err


def test_a_key_is_shown_on_a_line_of_its_own(passbox: Typed, agreed: Path) -> None:
    """So that it can be copied from any terminal."""
    lines = passbox("keys", "show", "officer.keys")[1].splitlines()
    assert (agreed / "officer.keys" / "sign.pub").read_text().strip() in lines
    assert json.loads(passbox("keys", "show", "officer.keys", "--json")[1])["seal"] in lines


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["new", "Publisher"], 2),
        (["new", "../x", "--role", "officer"], 2),
        (["new", "x" * 41, "--role", "officer"], 2),
        (["new", "somebody"], 2),
        (["new", "somebody", "--role", "king"], 2),
        (["new", "host", "--room", "a room"], 2),
        (["new", "host", "--room", "\x1b[2J"], 2),
        (["new", "host", "--room", "rooms.example/x+y"], 2),
        (["new", "officer", "--ssh-key", "nowhere"], 3),
        (["show", "nowhere.keys"], 3),
        (["show", "."], 3),
    ],
)
def test_what_makes_no_keys_leaves_none(
    arguments: list[str], code: int, passbox: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    got, out, err = passbox("keys", *arguments)
    assert got == code
    assert err.startswith("error: ")
    assert "fault in passbox" not in err
    assert "\x1b" not in out + err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def encrypted(agreed: Path) -> Path:
    """The officer's key, under a passphrase."""
    key = agreed / "officer.keys" / "sign"
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "open sesame", "-f", key], check=True, capture_output=True)
    for path in agreed.glob("contract.toml.*"):
        path.unlink()
    return agreed


def terminal(folder: Path) -> pexpect.spawn:
    arguments = ["-m", "passbox", "contract", "sign", "contract.toml", "--key", "officer.keys"]
    return pexpect.spawn(sys.executable, arguments, cwd=str(folder), timeout=60, encoding="utf-8")


def test_an_encrypted_key_asks_on_the_terminal_and_shows_nothing(encrypted: Path) -> None:
    child = terminal(encrypted)
    child.expect("passphrase of the key of officer.keys: ")
    child.sendline("open sesame")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "open sesame" not in child.before
    assert (encrypted / "contract.toml.officer.sig").exists()


def test_a_wrong_passphrase_is_one_line(encrypted: Path) -> None:
    child = terminal(encrypted)
    child.expect("passphrase of")
    child.sendline("close sesame")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    assert "the passphrase does not open it" in child.before
    assert not (encrypted / "contract.toml.officer.sig").exists()


def test_without_a_terminal_nothing_is_read_as_a_passphrase(encrypted: Path) -> None:
    arguments = [sys.executable, "-m", "passbox", "contract", "sign", "contract.toml", "--key", "officer.keys"]
    done = subprocess.run(
        arguments, cwd=encrypted, input=b"open sesame\n", capture_output=True, check=False, start_new_session=True
    )
    assert done.returncode == 3
    assert b"on a terminal" in done.stderr
    assert b"sesame" not in done.stdout + done.stderr

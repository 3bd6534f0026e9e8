"""`passbox keys`, as typed, and passphrases on a real terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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


def test_a_data_party_that_runs_the_room_keeps_its_role(
    passbox: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it asks for the room's keys at once or later."""
    monkeypatch.chdir(tmp_path)
    at_once = ["keys", "new", "publisher", "--room", "rooms.example/spring", "--json"]
    assert json.loads(passbox(*at_once)[1])["role"] == "publisher"
    assert passbox("keys", "new", "acme", "--role", "advertiser")[0] == 0
    code, out, _ = passbox("keys", "new", "acme", "--room", "rooms.example/autumn", "--json")
    made = json.loads(out)
    assert (code, made["role"], made["cards"]) == (0, "advertiser", ["acme.party.toml", "acme.room.toml"])
    assert 'role = "advertiser"' in (tmp_path / "acme.party.toml").read_text()
    assert json.loads(passbox("keys", "new", "host", "--room", "rooms.example/x", "--json")[1])["role"] == "operator"


def test_no_hint_of_a_command_names_an_option_it_lacks(
    passbox: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "officer.party.toml").write_text("something else")
    code, _, err = passbox("keys", "new", "officer")
    assert code == 3
    assert "--out" not in err
    assert not (tmp_path / "officer.keys").exists()


def test_an_officer_whose_key_is_with_an_agent_is_told_that_it_cannot_witness(
    passbox: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "id"], check=True, stdin=subprocess.DEVNULL)
    assert "cosigns no ledger" in passbox("keys", "new", "officer", "--ssh-key", "id.pub")[2]
    assert "cosigns no ledger" not in passbox("keys", "new", "advertiser", "--ssh-key", "id.pub")[2]
    assert "cosigns no ledger" not in passbox("keys", "new", "second", "--role", "officer", "--ssh-key", "id")[2]


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
def with_agent(agreed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Publisher and officer, whose private keys only a running agent has."""
    socket = tmp_path / "s"
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        for name in ("publisher", "officer"):
            key = agreed / f"{name}.keys" / "sign"
            added = (subprocess.run(["ssh-add", "-q", key], check=False, capture_output=True) for _ in range(1000))
            assert any(done.returncode == 0 or time.sleep(0.05) for done in added)
            key.unlink()
        yield agreed
    finally:
        process.terminate()
        process.wait()


def test_keys_with_an_agent_prepare_and_sign_jobs_in_one_command(passbox: Typed, with_agent: Path) -> None:
    words = ["--contract=contract.toml", "--key=publisher.keys"]
    assert passbox("prepare", "visitors.csv", "--dataset=visitors", *words)[0] == 0
    assert passbox("job", "new", "overlap", words[0], "--epsilon=0.25")[0] == 0
    assert passbox("job", "sign", "overlap.toml", *words)[0] == 0
    job, signature = (with_agent / f"overlap.toml{end}" for end in ("", ".publisher.sig"))
    (with_agent / "signers").write_text(f"publisher {(with_agent / 'publisher.keys' / 'sign.pub').read_text()}")
    check = ["ssh-keygen", "-Y", "verify", "-n", "passbox-job", "-f", "signers", "-I", "publisher", "-s", signature]
    assert subprocess.run(check, input=job.read_bytes(), check=False, capture_output=True).returncode == 0


def test_without_its_agent_a_key_signs_nothing_and_says_what_to_start(
    passbox: Typed, with_agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK")
    words = ["--contract=contract.toml", "--key=publisher.keys"]
    code, _, err = passbox("prepare", "visitors.csv", "--dataset=visitors", *words)
    assert (code, len(err.splitlines()), "`ssh-add` the key" in err) == (3, 2, True)
    assert not list(with_agent.glob("visitors.*s"))
    assert os.listdir(with_agent).count("visitors.bundle") == 0


def test_an_agent_cosigns_no_ledger_and_the_remedy_is_said(passbox: Typed, with_agent: Path) -> None:
    new = ["room", "new", "spring", "--contract=contract.toml", "--key=host.keys"]
    assert passbox(*new)[0] == 0
    assert passbox("ledger", "export", "spring")[0] == 0
    words = ["--contract=contract.toml", "--key=officer.keys", "--seen=spring.seen"]
    code, _, err = passbox("ledger", "cosign", "spring.ledger", *words)
    assert code == 3
    assert "a cosignature is no SSH signature" in err
    assert "uses a key file" in err
    assert not (with_agent / "spring.seen").exists()


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
    return pexpect.spawn(sys.executable, arguments, cwd=str(folder), timeout=300, encoding="utf-8")


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


def test_a_contract_is_signed_by_the_agent_at_once_and_without_one_it_is_said_what_to_type(
    passbox: Typed, with_agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["contract", "sign", "contract.toml", "--key=publisher.keys", "--json"]
    (with_agent / "contract.toml.publisher.sig").unlink()
    (with_agent / "contract.toml.publisher.share").unlink()
    code, out, _ = passbox(*words)
    assert (code, json.loads(out)["signed"]) == (0, True)
    assert passbox("contract", "verify", "contract.toml")[0] == 0
    monkeypatch.delenv("SSH_AUTH_SOCK")
    code, out, _ = passbox(*words)
    assert (code, json.loads(out)["signed"]) == (0, False)

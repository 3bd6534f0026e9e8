"""Signing at a party: with its own key, and with one that an agent or a token holds."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from passbox.cleanroom.agent import AgentUnable
from passbox.cleanroom.bundle import open_bundle
from passbox.cleanroom.cards import room_card
from passbox.cleanroom.keys import Keys, KeysUnusable
from passbox.cleanroom.newkeys import make
from passbox.cleanroom.prepare import Task, prepare
from passbox.cleanroom.signing import (
    HalfSigned,
    NoParty,
    NotMyKeys,
    lines_to_type,
    party_of,
    refuse_faults,
    sign_contract,
    sign_job,
    standing,
    take_signatures,
    unsigned_path,
)
from passbox.policies.agreement import SignatureBroken, SignatureMissing, read_agreement, signature_path
from passbox.policies.contract import InvalidContract
from passbox.policies.share import ShareUnusable, open_shares, share_path
from passbox.policies.sign import new_private_key, sign, signer_of, verify

TODAY = date(2027, 1, 10)


@pytest.fixture
def contract(signed: Any, tmp_path: Path) -> Path:
    """The contract alone, signed by nobody."""
    return Path(shutil.copy(signed.contract, tmp_path))


def signs_as(signed: Any, contract: Path, name: str) -> Any:
    return sign_contract(contract, signed.keys(name), signer_of(signed.signing_key(name)), TODAY)


def test_all_that_sign_have_agreed(signed: Any, contract: Path) -> None:
    for name in ("publisher", "advertiser", "officer", "host"):
        done = signs_as(signed, contract, name)
        assert (done.share is not None) == (name in ("publisher", "advertiser"))
    refuse_faults(standing(contract))
    assert read_agreement(contract).data == contract.read_bytes()


def test_signing_again_keeps_the_share(signed: Any, contract: Path) -> None:
    """Another share would be another match key than the one the others used already."""
    share = signs_as(signed, contract, "publisher").share
    before = share.read_bytes()
    assert signs_as(signed, contract, "publisher").share.read_bytes() == before


def test_a_share_that_does_not_hold_is_made_anew(signed: Any, contract: Path) -> None:
    share = share_path(contract, "publisher")
    for content in (b"nonsense", b"\xff\xfe", signed.shares()["advertiser"].encode()):
        share.write_bytes(content)
        signs_as(signed, contract, "publisher")
        assert {row.party: row.share for row in standing(contract)}["publisher"] == "signed"


def test_keys_of_nobody_sign_nothing(signed: Any, contract: Path, tmp_path: Path) -> None:
    stranger = make(tmp_path, "stranger", "officer", None, None).keys
    with pytest.raises(NoParty):
        sign_contract(contract, stranger, signer_of(new_private_key()), TODAY)
    assert list(tmp_path.glob("*.sig")) == []


def test_a_party_with_a_comment_behind_its_key_is_found(signed: Any, contract: Path) -> None:
    key = signed.keys("officer").sign_public()
    contract.write_text(contract.read_text().replace(key, f"{key} officer@example"))
    assert signs_as(signed, contract, "officer").party == "officer"


def test_what_was_changed_after_somebody_signed_it_is_signed_by_nobody(signed: Any, contract: Path) -> None:
    signs_as(signed, contract, "advertiser")
    contract.write_text(contract.read_text().replace("epsilon = 3.0", "epsilon = 9.0"))
    for name in ("publisher", "advertiser"):
        with pytest.raises(SignatureBroken) as caught:
            signs_as(signed, contract, name)
        assert caught.value.party == "advertiser"
    assert not signature_path(contract, "publisher").exists()


def test_an_expired_contract_is_not_signed(signed: Any, contract: Path) -> None:
    with pytest.raises(InvalidContract):
        sign_contract(contract, signed.keys("officer"), signer_of(signed.signing_key("officer")), date(2030, 1, 1))


def test_the_first_fault_beside_a_contract_is_named(signed: Any, contract: Path) -> None:
    with pytest.raises(SignatureMissing) as missing:
        refuse_faults(standing(contract))
    assert set(missing.value.parties) == {"publisher", "advertiser", "officer", "host"}
    for name in ("publisher", "advertiser", "officer", "host"):
        signs_as(signed, contract, name)
    share = share_path(contract, "advertiser")
    good = share.read_bytes()
    for content, error in ((b"x", ShareUnusable), (good[:-9], SignatureBroken)):
        share.write_bytes(content)
        with pytest.raises(error):
            refuse_faults(standing(contract))
    share.write_bytes(share_path(contract, "publisher").read_bytes())
    with pytest.raises(ShareUnusable) as caught:
        refuse_faults(standing(contract))
    assert caught.value.reason == "of-another"
    share.unlink()
    with pytest.raises(ShareUnusable) as caught:
        refuse_faults(standing(contract))
    assert caught.value.reason == "missing"


# -- a key that is elsewhere -----------------------------------------------------------------------------------------


@pytest.fixture
def agent(signed: Any, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An ssh-agent that holds the publisher's and the officer's keys."""
    if not (shutil.which("ssh-agent") and shutil.which("ssh-add")):
        pytest.skip("ssh-agent is not installed")
    socket = tmp_path / "s"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    environment = os.environ | {"SSH_AUTH_SOCK": str(socket)}
    for name in ("publisher", "officer"):
        add = ["ssh-add", "-q", signed.folder / f"{name}.keys" / "sign"]
        for _ in range(1000):
            if (
                socket.exists()
                and subprocess.run(add, env=environment, check=False, capture_output=True).returncode == 0
            ):
                break
            time.sleep(0.05)
    yield environment
    process.terminate()
    process.wait()


def elsewhere(signed: Any, folder: Path, name: str) -> Keys:
    """A party's folder as it is where an agent holds the private key."""
    (folder / "id.pub").write_text(signed.keys(name).sign_public() + " from the agent\n")
    keys = make(folder, name, "publisher" if name == "publisher" else "officer", folder / "id.pub", None).keys
    (keys.folder / "seal").write_text(signed.keys(name).seal_identity())
    return keys


def test_the_lines_to_type_work_with_an_agent(
    signed: Any, contract: Path, tmp_path: Path, agent: dict[str, str]
) -> None:
    keys = elsewhere(signed, tmp_path, "publisher")
    done = lines_to_type(contract, keys, TODAY)
    assert done.signature is None
    assert len(done.lines) == 2
    assert lines_to_type(contract, keys, TODAY).lines == done.lines
    for line in done.lines:
        subprocess.run(shlex.split(line), env=agent, check=True, capture_output=True)
    unsigned = unsigned_path(keys, share_path(contract, "publisher"))
    signature, share = contract.with_name("contract.toml.sig"), unsigned.with_name(f"{unsigned.name}.sig")
    taken = take_signatures(contract, keys, signature, share, TODAY)
    assert (taken.signature, taken.share) == (signature_path(contract, "publisher"), share_path(contract, "publisher"))
    assert not unsigned.exists()
    for name in ("advertiser", "officer", "host"):
        signs_as(signed, contract, name)
    shares = {name: share_path(contract, name).read_text() for name in ("publisher", "advertiser")}
    assert open_shares(read_agreement(contract), shares, signed.keys("advertiser").seal_identity())


def test_a_party_without_data_types_one_line(
    signed: Any, contract: Path, tmp_path: Path, agent: dict[str, str]
) -> None:
    keys = elsewhere(signed, tmp_path, "officer")
    (line,) = lines_to_type(contract, keys, TODAY).lines
    subprocess.run(shlex.split(line), env=agent, check=True, capture_output=True)
    assert take_signatures(contract, keys, contract.with_name("contract.toml.sig"), None, TODAY).share is None
    assert signature_path(contract, "officer").exists()


def nobody_asks() -> bytes:
    raise AssertionError("there is no passphrase to ask for")


@pytest.mark.usefixtures("asked")
def test_an_agent_signs_a_contract_and_the_share_that_waits(signed: Any, contract: Path, tmp_path: Path) -> None:
    """The share is the one that was written to be signed by hand: its other half may be under way."""
    keys = elsewhere(signed, tmp_path, "publisher")
    done = lines_to_type(contract, keys, TODAY)
    assert done.share
    waiting = unsigned_path(keys, done.share).read_text()
    signed_now = sign_contract(contract, keys, keys.signer(nobody_asks), TODAY)
    assert signed_now.share == done.share
    assert done.share.read_text().startswith(waiting)
    assert not unsigned_path(keys, done.share).exists()
    assert {row.party: (row.signature, row.share) for row in standing(contract)}["publisher"] == ("signed", "signed")


def test_an_agent_that_does_not_sign_leaves_nothing_behind(
    signed: Any, contract: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    keys = elsewhere(signed, tmp_path, "publisher")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    with pytest.raises(AgentUnable):
        sign_contract(contract, keys, keys.signer(nobody_asks), TODAY)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


@pytest.fixture
def asked(agent: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """This process asks that agent."""
    monkeypatch.setenv("SSH_AUTH_SOCK", agent["SSH_AUTH_SOCK"])


def test_an_agent_signs_jobs_and_bundles_as_the_key_itself_would(
    signed: Any, tmp_path: Path, asked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = elsewhere(signed, tmp_path, "publisher")
    agents, own = keys.signer(nobody_asks), signer_of(signed.signing_key("publisher"))
    assert agents(b"bytes", "passbox-loss") == own(b"bytes", "passbox-loss")
    path = tmp_path / "overlap.toml"
    path.write_text(signed.job_text("overlap"))
    _, at = sign_job(path, "publisher", agents)
    verify(path.read_bytes(), at.read_text(), keys.sign_public(), "passbox-job")
    row = "V-1,person@example.com,40,,,"
    (tmp_path / "visitors.csv").write_text(f"visitor_id,email,age,region,device,topics\n{row}\n")
    task = Task(tmp_path / "visitors.csv", signed.agreement, "visitors", tmp_path / "visitors.bundle")
    assert prepare(task, keys, agents, signed.shares(), signed.now).written
    made = open_bundle(task.out)
    verify(made.manifest_bytes, made.signature, keys.sign_public(), "passbox-bundle")


def test_an_agent_that_is_not_there_or_holds_another_key_is_one_line_and_writes_nothing(
    signed: Any, tmp_path: Path, asked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "overlap.toml"
    path.write_text(signed.job_text("overlap"))
    stranger = elsewhere(signed, tmp_path, "host")
    with pytest.raises(AgentUnable, match="no agent or token signed"):
        sign_job(path, "host", stranger.signer(nobody_asks))
    keys = elsewhere(signed, tmp_path, "publisher")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "nowhere"))
    with pytest.raises(AgentUnable, match="no agent or token signed"):
        sign_job(path, "publisher", keys.signer(nobody_asks))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AgentUnable, match="no `ssh-keygen`"):
        sign_job(path, "publisher", keys.signer(nobody_asks))
    assert not list(tmp_path.glob("*.sig"))


@pytest.mark.parametrize("lie", ["of other bytes", "for another purpose", "by another key", "nonsense"])
def test_what_an_agent_gives_is_verified_before_it_is_used(
    lie: str, signed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the place of `ssh-keygen`, which gives a signature that does not hold."""
    publisher = signed.signing_key("publisher")
    lies = {
        "of other bytes": sign(b"other", publisher, "passbox-job"),
        "for another purpose": sign(b"bytes", publisher, "passbox-bundle"),
        "by another key": sign(b"bytes", signed.signing_key("host"), "passbox-job"),
        "nonsense": "nonsense",
    }
    (tmp_path / "lie").write_text(lies[lie])
    program = tmp_path / "ssh-keygen"
    program.write_text(f"#!/bin/sh\nexec /bin/cat {tmp_path}/lie\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AgentUnable, match="does not hold"):
        elsewhere(signed, tmp_path, "publisher").signer(nobody_asks)(b"bytes", "passbox-job")


def test_a_cosignature_takes_the_key_itself_and_says_so(signed: Any, tmp_path: Path, asked: None) -> None:
    with pytest.raises(KeysUnusable) as caught:
        elsewhere(signed, tmp_path, "officer").cosigning(nobody_asks)
    assert "a cosignature is no SSH signature" in caught.value.rule
    assert "key file" in caught.value.remedy
    assert signed.keys("officer").cosigning(nobody_asks)


def test_half_a_signature_is_refused_and_nothing_is_put_down(signed: Any, contract: Path, tmp_path: Path) -> None:
    keys, key = elsewhere(signed, tmp_path, "publisher"), signed.signing_key("publisher")
    lines_to_type(contract, keys, TODAY)
    unsigned = unsigned_path(keys, share_path(contract, "publisher"))
    good, share = tmp_path / "good.sig", tmp_path / "share.sig"
    good.write_text(sign(contract.read_bytes(), key, "passbox-contract"))
    share.write_text(sign(unsigned.read_bytes(), key, "passbox-share"))
    cases: list[tuple[Path | None, Path | None, type[Exception]]] = [
        (good, None, HalfSigned),
        (None, share, HalfSigned),
        (share, share, SignatureBroken),
        (good, good, SignatureBroken),
    ]
    for signature, share_signature, error in cases:
        with pytest.raises(error):
            take_signatures(contract, keys, signature, share_signature, TODAY)
        assert not signature_path(contract, "publisher").exists()
        assert not share_path(contract, "publisher").exists()
    assert take_signatures(contract, keys, good, share, TODAY).share


def test_an_unsigned_share_of_an_older_draft_is_made_anew(signed: Any, contract: Path, tmp_path: Path) -> None:
    keys = elsewhere(signed, tmp_path, "publisher")
    lines_to_type(contract, keys, TODAY)
    unsigned = unsigned_path(keys, share_path(contract, "publisher"))
    before = unsigned.read_bytes()
    contract.write_text(contract.read_text() + "# changed\n")
    lines_to_type(contract, keys, TODAY)
    assert unsigned.read_bytes() != before


def test_a_party_is_found_by_its_key(signed: Any, contract: Path) -> None:
    assert party_of(signed.agreement.contract, signed.keys("host")) == "host"


@pytest.mark.parametrize(("party", "key"), [("publisher", "party.publisher.seal"), ("host", "room.seal")])
def test_nobody_signs_a_contract_that_seals_its_things_to_somebody_else(
    signed: Any, contract: Path, party: str, key: str
) -> None:
    """Who drafts the contract writes down all keys: with another seal key in it, it could open a share or a bundle."""
    import pyrage

    theirs = str(pyrage.x25519.Identity.generate().to_public())
    keys = signed.keys(party)
    own = keys.seal_public() if party != "host" else room_card(keys, "host").seal
    contract.write_text(contract.read_text().replace(own, theirs))
    for left in contract.parent.glob("contract.toml.*"):
        left.unlink()
    with pytest.raises(NotMyKeys) as caught:
        sign_contract(contract, keys, signer_of(signed.signing_key(party)), TODAY)
    assert caught.value.key == key
    assert not list(contract.parent.glob("contract.toml.*"))


def test_a_share_that_somebody_planted_beside_the_contract_is_not_signed(
    signed: Any, contract: Path, tmp_path: Path
) -> None:
    keys = elsewhere(signed, tmp_path, "publisher")
    planted = contract.with_name("contract.toml.publisher.share.unsigned")
    planted.write_text("passbox share v1 planted\n")
    done = lines_to_type(contract, keys, TODAY)
    assert not any(str(planted) in line for line in done.lines)
    assert planted.read_text() == "passbox share v1 planted\n"

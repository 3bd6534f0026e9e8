"""A room made anew after its disk was lost: nothing that may have been spent is forgotten, nothing is drawn twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from passbox.cleanroom.audit import LedgerBroken, verify_log
from passbox.cleanroom.log import read_log
from passbox.policies.agreement import read_agreement
from passbox.policies.contract import parse
from passbox.policies.loss import approvers

if TYPE_CHECKING:
    from .desk import Desk


def spent(desk: Desk) -> dict[str, int]:
    _, said = desk.type("operator", "ledger", "show", "spring")
    return {line["account"]: line["rho"] for line in said["accounts"]}  # type: ignore[attr-defined]


def recover(desk: Desk) -> tuple[int, dict[str, object]]:
    words = ("--contract", "contract.toml", "--key", "host.keys", "--statement", "loss.toml")
    return desk.type("operator", "ledger", "recover", "kept.ledger", "spring", *words)


def approve(desk: Desk, *names: str, seen: str = "spring.seen") -> list[int]:
    """Everybody who is named gets the copy and the statement, signs it, and sends the signature back."""
    codes = []
    for name in names:
        home, operator = desk.home / name, desk.home / "operator"
        shutil.copytree(operator / "kept.ledger", home / "kept.ledger", dirs_exist_ok=True)
        shutil.copy(operator / "loss.toml", home)
        more = ("--seen", seen) if name == "officer" else ()
        words = ("kept.ledger", "loss.toml", "--contract", "contract.toml", "--key", f"{name}.keys")
        codes.append(desk.type(name, "ledger", "approve", *words, *more)[0])
        if codes[-1] == 0:
            shutil.copy(home / f"loss.toml.{name}.sig", operator)
    return codes


@pytest.fixture
def lost(desk: Desk) -> Desk:
    """A desk after another job, of which a copy was kept; then one that is in no copy; then the disk is gone."""
    desk.job(0.4, "kept")
    desk.export()
    shutil.move(desk.home / "operator" / "spring.ledger", desk.home / "operator" / "kept.ledger")
    desk.job(0.3, "unseen")
    desk.before = spent(desk)  # type: ignore[attr-defined]
    shutil.rmtree(desk.home / "operator" / "spring")
    return desk


def test_a_lost_room_is_made_anew_and_charges_what_may_have_been_spent(lost: Desk) -> None:
    code, said = recover(lost)
    assert (code, said["created"]) == (0, False)
    assert recover(lost)[0] == 4
    assert approve(lost, "publisher", "advertiser", "officer") == [0, 0, 0]
    code, said = recover(lost)
    assert (code, said["created"]) == (0, True)
    assert all(rho >= lost.before[name] for name, rho in spent(lost).items())  # type: ignore[attr-defined]
    assert recover(lost) == (0, {**said, "created": False})
    contract = ("--contract", "contract.toml")
    assert lost.type("operator", "ledger", "verify", "spring", *contract)[0] == 0


def test_it_goes_on_once_a_witness_has_seen_it(lost: Desk) -> None:
    recover(lost)
    approve(lost, "publisher", "advertiser", "officer")
    recover(lost)
    operator = lost.home / "operator"
    for name in ("visitors", "buyers"):
        assert lost.type("operator", "submit", "spring", f"{name}.bundle")[0] == 0, list(operator.iterdir())
    lost.type("operator", "match", "spring")
    assert lost.job(0.2, "waits")[0] == 6
    lost.export()
    assert lost.cosign()[0] == 0
    assert lost.accept()[0] == 0
    assert lost.job(0.2, "waits")[0] == 0
    lost.export()
    assert lost.cosign()[0] == 0


def test_what_the_copy_names_is_never_drawn_again(lost: Desk) -> None:
    recover(lost)
    approve(lost, "publisher", "advertiser", "officer")
    recover(lost)
    for name in ("visitors", "buyers"):
        lost.type("operator", "submit", "spring", f"{name}.bundle")
    lost.type("operator", "match", "spring")
    code, said = lost.type("operator", "run", "spring", "kept.toml")
    assert code == 5
    assert "noise-lost" in str(said)


@pytest.mark.parametrize("absent", ["publisher", "advertiser", "officer"])
def test_each_owner_and_the_witness_must_agree(lost: Desk, absent: str) -> None:
    recover(lost)
    approve(lost, *({"publisher", "advertiser", "officer"} - {absent}))
    code, said = recover(lost)
    assert code == 4
    assert absent in str(said)
    assert not (lost.home / "operator" / "spring").exists()


def test_a_witness_that_has_seen_more_does_not_agree(desk: Desk) -> None:
    """The operator offers an older copy than the one that was cosigned."""
    desk.job(0.4, "kept")
    desk.export()
    shutil.move(desk.home / "operator" / "spring.ledger", desk.home / "operator" / "kept.ledger")
    desk.job(0.3, "seen")
    desk.export()
    assert desk.cosign()[0] == 0
    shutil.rmtree(desk.home / "operator" / "spring")
    recover(desk)
    assert approve(desk, "officer") == [4]
    assert approve(desk, "officer", seen="no.memory") == [0], "without its memory a witness cannot know"


def test_a_smaller_loss_is_not_signed_and_not_taken(lost: Desk) -> None:
    recover(lost)
    statement = lost.home / "operator" / "loss.toml"
    text = statement.read_text()
    for line in text.splitlines():
        if line.startswith('"'):
            text = text.replace(line, line.partition(" = ")[0] + " = 1")
    statement.write_text(text)
    assert approve(lost, "publisher", "officer") == [5, 5]
    assert recover(lost)[0] == 5


def test_a_verifier_wants_the_statement_and_its_signatures(lost: Desk) -> None:
    recover(lost)
    approve(lost, "publisher", "advertiser", "officer")
    recover(lost)
    lost.export()
    export = lost.home / "officer" / "spring.ledger"
    agreement = read_agreement(lost.home / "officer" / "contract.toml")
    entries = [json.loads(entry) for entry in read_log(export).entries]
    digest = entries[-1]["statement"]
    assert [entry["kind"] for entry in entries].count("carry") == 1
    verify_log(read_log(export), agreement)
    for name in (f"{digest}.toml", f"{digest}.toml.publisher.sig", f"{digest}.toml.officer.sig"):
        held = (export / "requests" / name).read_bytes()
        (export / "requests" / name).unlink()
        with pytest.raises(LedgerBroken) as broken:
            verify_log(read_log(export), agreement)
        assert broken.value.entry == len(entries) - 1
        (export / "requests" / name).write_bytes(held)


def test_a_room_that_is_still_there_is_not_made_anew(desk: Desk) -> None:
    desk.export()
    shutil.move(desk.home / "operator" / "spring.ledger", desk.home / "operator" / "kept.ledger")
    recover(desk)
    approve(desk, "publisher", "advertiser", "officer")
    words = ("--contract", "contract.toml", "--key", "host.keys", "--statement", "loss.toml")
    assert desk.type("operator", "ledger", "recover", "kept.ledger", "other", *words)[0] == 3


def test_a_second_room_with_the_same_keys_is_refused(desk: Desk) -> None:
    """Its ledger would be a fresh one, and every cap with it; also where the first was removed."""
    words = ("--contract", "contract.toml", "--key", "host.keys")
    before = desk.type("operator", "room", "new", "second", *words)
    shutil.rmtree(desk.home / "operator" / "spring")
    after = desk.type("operator", "room", "new", "spring", *words)
    assert (before[0], after[0]) == (3, 3)
    assert "ledger recover" in str(after)


def test_no_later_head_can_be_cosigned_without_one_of_those_who_approve(home: Path) -> None:
    """Of n witnesses, k make a head count: any k and any n - k + 1 have one in common."""
    text = (home / "operator" / "contract.toml").read_text()
    for by, need in ((["officer"], 1), (["officer", "publisher", "advertiser"], 2)):
        names = ", ".join(f'"{name}"' for name in by)
        lines = [
            f"cosign = {{ by = [{names}], ahead = 0.25, need = {need} }}" if line.startswith("cosign") else line
            for line in text.splitlines()
        ]
        found = approvers(parse("\n".join(lines).encode()))
        assert found is not None
        assert need + found.enough > len(by)
        assert need + found.enough - 1 == len(by)

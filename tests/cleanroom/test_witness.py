"""A cosigned ledger cannot be taken back: rollbacks, forks and private spending beyond the window are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from passbox.dp.note import COSIGNER, NoteKey, add_line, cosign

if TYPE_CHECKING:
    from .desk import Desk


def test_a_job_beyond_the_window_waits_for_a_cosignature_and_then_runs(desk: Desk) -> None:
    assert desk.job(1.2, "first")[0] == 0
    code, error = desk.job(1.3, "second")
    assert code == 6
    assert "before the next head of the ledger is cosigned" in str(error)
    desk.export()
    assert desk.cosign()[0] == 0
    assert desk.accept()[0] == 0
    assert desk.job(1.3, "second")[0] == 0


def test_the_refusal_names_a_job_that_fits_and_it_does(desk: Desk) -> None:
    desk.job(1.2, "first")
    _, error = desk.job(1.3, "second")
    largest = str(error).split("ask epsilon = ")[1].split(",")[0]
    assert desk.job(float(largest), "third")[0] == 0


def test_an_honest_ledger_is_cosigned_again_and_again(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.job(0.1 if name == "a" else 0.2, name)
        desk.export()
        code, said = desk.cosign()
        assert code == 0
        assert said["entries"] == int(str(said["before"])) + 1
        assert desk.accept()[0] == 0
        assert desk.accept()[0] == 0


def test_the_verifier_says_how_far_the_ledger_is_cosigned(desk: Desk) -> None:
    desk.export()
    code, said = desk.type("officer", "ledger", "verify", "spring.ledger", "--contract", "contract.toml")
    assert code == 0
    assert said["witnessed"] == {"officer": 5}


def test_a_restored_copy_is_refused_by_the_witness(desk: Desk, tmp_path: Path) -> None:
    room = desk.home / "operator" / "spring"
    shutil.copytree(room, tmp_path / "before", symlinks=True)
    desk.job(0.1)
    desk.export()
    desk.cosign()
    shutil.rmtree(room)
    shutil.copytree(tmp_path / "before", room, symlinks=True)
    desk.export()
    code, error = desk.cosign()
    assert code == 4
    assert "rolled back" in str(error)


def test_a_restored_copy_pays_for_nothing_once_it_learns_what_was_cosigned(desk: Desk, tmp_path: Path) -> None:
    room = desk.home / "operator" / "spring"
    shutil.copytree(room, tmp_path / "before", symlinks=True)
    desk.job(0.1)
    desk.export()
    desk.cosign()
    shutil.rmtree(room)
    shutil.copytree(tmp_path / "before", room, symlinks=True)
    assert desk.accept()[0] == 4
    code, error = desk.job(0.1, "again")
    assert code == 4
    assert "rolled back" in str(error)


def test_a_fork_is_named_by_the_witness_and_by_the_room(desk: Desk, tmp_path: Path) -> None:
    room = desk.home / "operator" / "spring"
    shutil.copytree(room, tmp_path / "before", symlinks=True)
    desk.job(0.1, "one-history")
    desk.export()
    desk.cosign()
    shutil.rmtree(room)
    shutil.copytree(tmp_path / "before", room, symlinks=True)
    desk.job(0.2, "another-history")
    desk.export()
    code, error = desk.cosign()
    assert code == 4
    assert "another history" in str(error)
    assert desk.accept()[0] == 4


def test_only_a_witness_of_the_contract_cosigns(desk: Desk) -> None:
    """The command refuses a stranger, and the room what a stranger made without it."""
    home = desk.home / "advertiser"
    words = ("--contract", "contract.toml", "--key", "advertiser.keys", "--seen", "seen", "--out", "x.cosigned")
    shutil.copytree(desk.home / "operator" / "spring.ledger", home / "spring.ledger")
    assert desk.type("advertiser", "ledger", "cosign", "spring.ledger", *words)[0] == 5
    assert not (home / "x.cosigned").exists()
    checkpoint = (home / "spring.ledger" / "checkpoint").read_text()
    stranger = NoteKey.new("rooms.example/advertiser", COSIGNER)
    (home / "x.cosigned").write_text(add_line(checkpoint, cosign(checkpoint, stranger, 1_800_000_000)))
    assert desk.type("operator", "ledger", "accept", "spring", "../advertiser/x.cosigned")[0] == 4


def test_a_changed_cosignature_is_refused(desk: Desk) -> None:
    path = desk.home / "officer" / "spring.officer.cosigned"
    lines = path.read_text().splitlines()
    lines[-1] = lines[-1][:-8] + "AAAAAAA="
    path.write_text("\n".join(lines) + "\n")
    assert desk.accept()[0] == 4


def test_an_operator_that_spends_beyond_the_window_does_not_verify(desk: Desk) -> None:
    """It drops the cosignature from its copy: then nothing vouches for what was spent."""
    desk.job(1.2, "first")
    desk.export()
    desk.cosign()
    desk.accept()
    desk.job(1.2001, "second")
    desk.export()
    shutil.rmtree(desk.home / "officer" / "spring.ledger" / "witnesses")
    code, error = desk.type("officer", "ledger", "verify", "spring.ledger", "--contract", "contract.toml")
    assert code == 4
    assert "further ahead" in str(error)


def test_a_memory_that_is_not_ones_own_is_refused(desk: Desk) -> None:
    (desk.home / "officer" / "spring.seen").write_text("nothing of the kind")
    assert desk.cosign()[0] == 3

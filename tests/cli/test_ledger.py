"""`passbox ledger`, as an officer types it: copies that were tampered with, are not there, or come from elsewhere."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from passbox.cli.explain import explain
from passbox.dp.window import RolledBack

Typed = Callable[..., tuple[int, str, str]]

CONTRACT = "--contract=contract.toml"
COSIGN = ["ledger", "cosign", "spring.ledger", CONTRACT]


@pytest.fixture
def exported(passbox: Typed, agreed: Path) -> Path:
    """A room in which nothing was spent, and a copy of its ledger: two caps."""
    assert passbox("room", "new", "spring", CONTRACT, "--key=host.keys")[0] == 0
    assert passbox("ledger", "export", "spring")[0] == 0
    return agreed / "spring.ledger"


def entries(copy: Path) -> Path:
    (path,) = (copy / "tile" / "entries").glob("*.p/*")
    return path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"kind":"cap"', b'"kind":"cup"'),
        (b'"rho"', b'"rh\xf6"'),
        (b'"epsilon":"3.0"', b'"epsilon":"nan"'),
        (b'"owner"', b'"other"'),
        (b'"seq":0', b'"seq":-'),
        (b"Z", b"z"),
        (b"{", b"["),
    ],
)
def test_a_copy_whose_entries_have_lost_their_shape_is_not_shown(
    old: bytes, new: bytes, passbox: Typed, exported: Path
) -> None:
    path = entries(exported)
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    code, out, err = passbox("ledger", "show", exported)
    assert (code, out) == (4, "")
    assert "`passbox ledger verify`" in err
    code, out, _ = passbox("ledger", "show", exported, "--json")
    assert (code, json.loads(out)["error"]["rule"]) == (4, "ledger-broken")
    assert passbox("ledger", "verify", exported, CONTRACT)[0] == 4


@pytest.mark.parametrize("change", [None, b"", b"version = 1"])
def test_that_a_copy_carries_another_contract_is_said_and_changes_nothing(
    change: bytes | None, passbox: Typed, exported: Path
) -> None:
    """It is verified by one's own. With the right one nothing is said."""
    _, _, err = passbox("ledger", "verify", exported, CONTRACT)
    assert "contract/" not in err
    path = exported / "contract" / "contract.toml"
    path.unlink() if change is None else path.write_bytes(change)
    code, _, err = passbox("ledger", "verify", exported, CONTRACT)
    assert (code, "folder contract/ holds" in err) == (0, True)
    said = json.loads(passbox("ledger", "verify", exported, CONTRACT, "--json")[1])
    assert (said["verified"], said["same_contract"]) == (True, False)


def test_no_bit_of_a_copy_can_be_flipped_so_that_a_command_breaks(passbox: Typed, exported: Path) -> None:
    """Shown as it is, or refused; never verified, and never a fault of passbox. Nothing rests on what is passed over:
    hashes that only help to find a fault, the copy's own contract, the verifier beside it."""
    rng = random.Random(5)
    paths = sorted(path for path in exported.rglob("*") if path.is_file() and path.parent != exported)
    for path in [exported / "checkpoint", *paths] * 4:
        whole = path.read_bytes()
        at, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        shown, _, err = passbox("ledger", "show", exported)
        assert shown in (0, 4), (path.name, at, bit, err)
        verified = passbox("ledger", "verify", exported, CONTRACT)[0]
        passed_over = "contract" in path.parts or "0" in path.parts
        assert verified == 4 or (verified == 0 and passed_over), (path.name, at, bit)
        path.write_bytes(whole)


@pytest.mark.parametrize("command", [["show"], ["verify", CONTRACT]])
def test_a_path_that_holds_no_ledger_is_said_to_hold_none(command: list[str], passbox: Typed, agreed: Path) -> None:
    for where, said in (("nowhere", "there is no such folder"), ("contract.toml", "a folder was expected")):
        code, _, err = passbox("ledger", command[0], where, *command[1:])
        assert (code, said in err) == (3, True), err


def test_an_export_leaves_another_folder_as_it_is(passbox: Typed, exported: Path) -> None:
    before = sorted(Path("host.keys").iterdir())
    code, _, err = passbox("ledger", "export", "spring", "--out=host.keys")
    assert (code, "move it away, or choose another `--out`" in err) == (3, True)
    assert sorted(Path("host.keys").iterdir()) == before
    assert passbox("ledger", "export", "spring")[0] == 0


def test_a_record_of_processing_takes_the_place_of_its_own_beginning_only(passbox: Typed, exported: Path) -> None:
    export, record = ["ledger", "export", "spring", "--csv=record.csv"], Path("record.csv")
    assert passbox(*export)[0] == 0
    whole = record.read_bytes()
    for earlier in (whole, whole[: len(whole) // 2]):
        record.write_bytes(earlier)
        assert passbox(*export)[0] == 0
        assert record.read_bytes() == whole
    record.write_text("mine")
    code, _, err = passbox(*export)
    assert (code, "another file is there, and was left as it is" in err, "`--csv`" in err) == (3, True, True)
    assert record.read_text() == "mine"


@pytest.mark.parametrize(("csv", "code"), [("nodir/x.csv", 3), ("contract.toml", 3), ("copy/x.csv", 2), ("copy", 2)])
def test_an_export_whose_record_cannot_be_written_writes_nothing(
    csv: str, code: int, passbox: Typed, exported: Path
) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert passbox("ledger", "export", "spring", "--out=copy", f"--csv={csv}")[0] == code
    assert not Path("copy").exists()
    assert {path: path.read_bytes() for path in before} == before


def test_only_a_witness_cosigns(passbox: Typed, exported: Path) -> None:
    for name in ("publisher", "host"):
        code, _, err = passbox(*COSIGN, f"--key={name}.keys", "--seen=seen")
        assert (code, "is no witness of this contract: it names officer" in err) == (5, True)
        assert not Path("seen").exists()


def test_a_new_memory_is_said_to_be_new(passbox: Typed, exported: Path) -> None:
    cosign = [*COSIGN, "--key=officer.keys"]
    code, out, err = passbox(*cosign, "--seen=seen")
    assert (code, "`seen` is new: this is the first checkpoint it remembers" in out) == (0, True)
    assert "warning" not in err
    assert "is new" not in passbox(*cosign, "--seen=seen")[1]
    code, _, err = passbox("ledger", "accept", "spring", "spring.officer.cosigned")
    assert (code, "`passbox plan spring JOB`" in err) == (0, True)
    assert passbox("ledger", "export", "spring")[0] == 0
    _, out, err = passbox(*cosign, "--seen=sene")
    assert "`sene` is new" in out
    assert "is it the file you kept?" in err


def test_a_witness_that_sees_less_than_before_is_told_what_it_can_do() -> None:
    """It has no room to restore."""
    said = explain(RolledBack("officer", 2, 5))
    assert said.exit == 4
    assert "asks the operator for a newer export" in said.hint
    assert "cosigns nothing" in said.hint

"""`passbox doctor match` on lists of hashes, as it is typed: what a party learns of how its own column was made."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from passbox.matching.identifiers import normalise
from passbox.matching.schemes import KINDS, known, load
from passbox.matching.schemes.setting import Setting

Typed = Callable[..., tuple[int, str, str]]
SETTING = Setting("US", 24)
VALUES = {
    "email": [
        f"{name}{at}@{domain}"
        for at, (name, domain) in enumerate(
            product(("Jo.", "É", "jo.+x", "j o"), ("GMail.com", "googlemail.com", "b.io"))
        )
    ],
    "phone": [*(f"(415) 555-{at}" for at in range(2000, 2010)), "+44 20 7946 0958"],
    "idfa": [f"6D92078A-8246-4BA4-AE5B-{at:012X}" for at in range(1, 12)],
    "gaid": [f"97987bca-ae59-4c7d-94ba-{at:012x}" for at in range(1, 12)],
    "maid": [f"97987BCA-ae59-4c7d-94ba-{at:012x}" for at in range(1, 12)],
    "android-id": [f"AF3802a4{at:08x}" for at in range(1, 12)],
}


def hashed(value: str, kind: str, scheme: str) -> str:
    written = normalise(scheme, kind, value, SETTING)
    assert isinstance(written, str)
    return hashlib.new(load(scheme).rule(kind).hash, written.encode()).hexdigest()


def write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def typed(passbox: Typed, path: Path, kind: str, scheme: str, *more: object) -> dict[str, Any]:
    words = ("--kind", kind, "--scheme", scheme, "--arrives", load(scheme).rule(kind).hash)
    code, out, err = passbox("doctor", "match", path, *words, *more, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


LISTS = [(kind, name) for kind in KINDS for name in known() if kind in load(name).rules and kind in VALUES]


@pytest.mark.parametrize(("kind", "made_by"), LISTS)
def test_no_pair_of_schemes_ends_in_a_silent_empty_match_of_hashed_lists(
    kind: str, made_by: str, passbox: Typed, tmp_path: Path
) -> None:
    """Both lists arrive hashed, one by the contract's scheme and one by another, and nobody kept raw values.

    A hash of another size is named as that. Else the doctor, asked with values of the list, says which scheme made
    them, where the two do not hash them alike.
    """
    values = VALUES[kind]
    path = write(tmp_path / "list.csv", [[kind], *([hashed(value, kind, made_by)] for value in values)])
    (tmp_path / "known").write_text("\n".join(values) + "\n")
    for agreed in (name for name in known() if kind in load(name).rules and name != made_by):
        found = typed(passbox, path, kind, agreed, "--known", tmp_path / "known")
        if load(agreed).rule(kind).hash != load(made_by).rule(kind).hash:
            (cause,) = (each for each in found["causes"] if each["detail"] == "wrong-length")
            assert (cause["share"], cause["certain"]) == (1, True)
            continue
        unlike = sum(hashed(value, kind, agreed) != hashed(value, kind, made_by) for value in values)
        shares = {each["scheme"]: each["share"] for each in found["known"]["recipes"] if each["layers"] == "once"}
        assert shares[made_by] == 1
        assert shares[agreed] == pytest.approx(1 - unlike / len(values))
        assert any(each["certain"] and each["name"] == "scheme" for each in found["causes"]) is bool(unlike)


@pytest.mark.parametrize(("kind", "agreed"), LISTS)
def test_a_hashed_list_is_told_of_every_scheme_that_would_hash_it_otherwise(
    kind: str, agreed: str, passbox: Typed, tmp_path: Path
) -> None:
    """Without raw or known values: those whose hashes are as long."""
    values, rule = VALUES[kind], load(agreed).rule(kind)
    path = write(tmp_path / "list.csv", [[kind], *([hashed(value, kind, agreed)] for value in values)])
    (cause,) = (each for each in typed(passbox, path, kind, agreed)["causes"] if each["name"] == "scheme")
    for other in (name for name in known() if kind in load(name).rules and load(name).rule(kind).hash == rule.hash):
        unlike = any(hashed(value, kind, agreed) != hashed(value, kind, other) for value in values)
        assert other in cause["remedy"] or not unlike
    assert "--known" in cause["remedy"]


# -- raw values beside hashes ------------------------------------------------------------------------------------------


def gmail(at: int) -> str:
    return f"p.{at}+x@gmail.com"


def once(at: int) -> str:
    return hashed(gmail(at), "email", "uid2@1")


MIXED: dict[str, tuple[Callable[[int], str], str, str]] = {
    "as written": (lambda at: hashlib.sha256(gmail(at).encode()).hexdigest(), "scheme", "as they were written"),
    "twice": (lambda at: hashlib.sha256(once(at).encode()).hexdigest(), "encoding", "twice"),
    "other people": (lambda at: once(at + 1000), "no-scheme", "hashes of other people"),
    "salted": (lambda at: hashlib.sha256(b"pepper" + gmail(at).encode()).hexdigest(), "no-scheme", "salted or keyed"),
}


@pytest.mark.parametrize("fine", [70, 50, 0])
@pytest.mark.parametrize("case", MIXED)
def test_rows_that_the_agreed_scheme_does_not_explain_are_lost_however_many_it_does(
    case: str, fine: int, passbox: Typed, tmp_path: Path
) -> None:
    other, name, told = MIXED[case]
    rows = [[gmail(at), once(at) if at < fine else other(at)] for at in range(100)]
    path = write(tmp_path / "mix.csv", [["raw", "email"], *rows])
    found = typed(passbox, path, "email", "uid2@1", "--raw-column", "raw")
    (cause,) = found["causes"]
    assert (cause["name"], cause["rows"], cause["certain"]) == (name, 100 - fine, True)
    assert told in cause["what"]
    assert "--raw-column" not in cause["remedy"], "it was given"
    words = ("--kind", "email", "--scheme", "uid2@1", "--arrives", "sha256", "--raw-column", "raw")
    _, out, err = passbox("doctor", "match", path, *words)
    assert [line.split()[-1] for line in out.splitlines() if "uid2@1 (agreed)" in line] == [f"{fine:.1f}%"]
    assert "nothing in it costs matches" not in out
    assert "passbox job new overlap" not in err, "nobody is sent to pay for a count of such hashes"


def test_hashes_as_agreed_cost_nothing(passbox: Typed, tmp_path: Path) -> None:
    path = write(tmp_path / "fine.csv", [["raw", "email"], *([gmail(at), once(at)] for at in range(100))])
    assert typed(passbox, path, "email", "uid2@1", "--raw-column", "raw")["causes"] == []


# -- known values ------------------------------------------------------------------------------------------------------


@pytest.fixture
def hashes(tmp_path: Path) -> Path:
    return write(tmp_path / "list.csv", [["email"], *([once(at)] for at in range(50))])


ASK = ("--kind", "email", "--scheme", "pair@1", "--arrives", "sha256")


def test_known_values_come_through_a_pipe_and_are_never_shown(
    passbox: Typed, hashes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = f"{gmail(3)}\r\n\n {gmail(4)} \n{gmail(3)}\n\xff\ncanary7f3a@b.io\n".encode("latin-1")
    for more in ((), ("--json",)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(piped)))
        code, out, err = passbox("doctor", "match", hashes, *ASK, "--known", "-", *more)
        assert code == 0
        assert not [value for value in (gmail(3), gmail(4), "7f3a", once(3)) if value in out + err]
        assert "uid2@1" in out
    assert (json.loads(out)["known"]["values"], json.loads(out)["known"]["found"]) == (3, 2)


@pytest.mark.parametrize(
    ("lines", "told"), [("", "no known value was read"), ("a@b.io\n" * 10_001, "more than 10,000 known values")]
)
def test_too_few_and_too_many_known_values_are_refused(
    lines: str, told: str, passbox: Typed, hashes: Path, tmp_path: Path
) -> None:
    (tmp_path / "known").write_text(lines)
    code, out, err = passbox("doctor", "match", hashes, *ASK, "--known", tmp_path / "known")
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_lines_that_are_no_addresses_are_no_known_values(
    more: list[str], passbox: Typed, hashes: Path, tmp_path: Path
) -> None:
    """As where a whole list of several columns is named: that none of its lines stands in a column tells nothing."""
    rows = [["customer", "email", "region"], *(["C-1", gmail(at), "north"] for at in range(12))]
    path = write(tmp_path / "crm.csv", rows)
    code, out, err = passbox("doctor", "match", hashes, *ASK, "--known", path, *more)
    assert (code, "no line is an e-mail address (13 different lines read)" in out + err) == (2, True)
    assert "salted" not in out + err
    path.write_text(f"email\n{gmail(3)}\nC-1,{gmail(4)},north\n")
    code, out, err = passbox("doctor", "match", hashes, *ASK, "--known", path, *more)
    assert code == 0
    if more:
        found = json.loads(out)
        assert (found["known"]["values"], found["known"]["found"], found["passed_over"]) == (1, 1, 2)
    else:
        assert "2 of these 3 different lines are no e-mail addresses, and were passed over" in out


def test_known_values_are_for_hashed_columns(passbox: Typed, hashes: Path, agreed: Path) -> None:
    (agreed / "known").write_text("a@b.io\n")
    for words in (ASK[:-2], ("--contract", "contract.toml", "--dataset", "buyers")):
        code, _, err = passbox("doctor", "match", hashes, *words, "--known", "known")
        assert (code, "arrives raw" in err) == (2, True)


def test_of_several_keys_known_values_are_of_the_best_that_arrives_hashed(passbox: Typed, drafted: Path) -> None:
    text = (drafted / "contract.toml").read_text().replace('keys = ["email"]', 'keys = ["email", "phone"]')
    text = text.replace('scheme.email = "uid2@1"', 'scheme.email = "uid2@1"\nscheme.phone = "uid2@1"')
    line = 'identifiers.email = "raw"'
    (drafted / "two.toml").write_text(text.replace(line, f'{line}\nidentifiers.phone = "sha256"'))
    phone = "+14155552671"
    write(drafted / "two.csv", [["email", "phone"], ["a@b.io", hashed(phone, "phone", "meta@1")]])
    (drafted / "known").write_text(phone)
    words = ("doctor", "match", "two.csv", "--contract", "two.toml", "--dataset", "buyers", "--known", "known")
    code, out, err = passbox(*words, "--json")
    assert (code, err) == (0, "")
    (key,) = json.loads(out)["keys"]
    assert key["kind"] == "phone"
    assert "meta@1" in key["causes"][0]["what"]


def test_known_values_whose_file_is_not_there_are_told_with_it(passbox: Typed, hashes: Path, tmp_path: Path) -> None:
    code, _, err = passbox("doctor", "match", hashes, *ASK, "--known", tmp_path / "nosuch")
    assert code != 1
    assert "nosuch" in err


# -- what to do --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "cell", "remedy"),
    [
        ("uid2@1", base64.b64encode(b"ab" * 32).decode(), "decode column phone once"),
        ("uid2@1", "ab" * 20, "32, 40 and 128 hex digits are MD5, SHA-1 and SHA-512"),
        ("liveramp@1", "ab" * 32, "32, 64 and 128 hex digits are MD5, SHA-256 and SHA-512"),
        ("liveramp@1", "ab" * 32, "hash the normalised values with SHA-1"),
        ("liveramp@1", "xyz", "a SHA-1 is 40 hex digits"),
    ],
)
def test_a_doctor_says_what_prepare_says_of_hashes_that_are_none(
    scheme: str, cell: str, remedy: str, passbox: Typed, tmp_path: Path
) -> None:
    found = typed(passbox, write(tmp_path / "list.csv", [["phone"], [cell]]), "phone", scheme)
    (cause,) = (each for each in found["causes"] if each["name"] == "encoding")
    assert remedy in cause["remedy"]
    assert "--max-rejects" not in cause["remedy"], "that is an option of another command"


@pytest.mark.parametrize(
    ("arrives", "cell", "remedy"),
    [
        ("sha1", "ab" * 32, "hash the normalised values with SHA-1"),
        ("sha1", "4155552671", "the contract says sha1"),
        ("raw", "ab" * 20, 'SHA-1 (40) is for a contract with `identifiers.phone = "sha1"`'),
    ],
)
def test_prepare_speaks_of_the_hash_that_the_scheme_makes(
    arrives: str, cell: str, remedy: str, passbox: Typed, drafted: Path
) -> None:
    path = drafted / "contract.toml"
    text = path.read_text().replace('keys = ["email"]', 'keys = ["phone"]')
    text = text.replace('scheme.email = "uid2@1"', 'scheme.phone = "liveramp@1"')
    line = f'identifiers.phone = "{arrives}"' + ('\ncountry = "US"' if arrives == "raw" else "")
    path.write_text(text.replace('identifiers.email = "raw"', line))
    write(drafted / "buyers.csv", [["phone"], [cell]])
    words = ("prepare", "buyers.csv", "--contract", "contract.toml", "--dataset", "buyers")
    code, _, err = passbox(*words, "--check")
    assert code == 0, err
    assert remedy in err
    for name in ("publisher", "advertiser", "officer", "host"):
        assert passbox("contract", "sign", "contract.toml", f"--key={name}.keys")[0] == 0
    code, _, err = passbox(*words, "--key", "advertiser.keys")
    assert (code, remedy in err) == (3, True), err


def test_a_hashed_column_is_said_to_hide_its_scheme_and_what_is_said_to_type_works(
    passbox: Typed, drafted: Path
) -> None:
    path = drafted / "contract.toml"
    head, mark, tail = path.read_text().partition("[dataset.buyers]")
    path.write_text(head + mark + tail.replace('identifiers.email = "raw"', 'identifiers.email = "sha256"'))
    write(drafted / "buyers.csv", [["hash", "raw"], *([once(at), gmail(at)] for at in range(50))])
    words = ("--contract", "contract.toml", "--dataset", "buyers", "--column", "email=hash", "--check")
    code, out, _ = passbox("prepare", "buyers.csv", *words)
    assert code == 0
    command = out.split("`passbox ")[1].split("`")[0]
    (drafted / "FILE").write_text(gmail(7) + "\n")
    assert passbox(*command.split())[0] == 0
    assert json.loads(passbox(*command.split(), "--json")[1])["known"]["found"] == 1
    beside = [*command.split()[:-2], "--raw-column", "raw", "--json"]
    assert json.loads(passbox(*beside)[1])["causes"] == []
    _, out, _ = passbox("prepare", "visitors.csv", "--contract", "contract.toml", "--dataset", "visitors", "--check")
    assert "arrives hashed" not in out

"""`passbox prepare`, as typed: one line and an exit code for every bad file, and nobody in any output."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

Typed = Callable[..., tuple[int, str, str]]

VISITORS = ["prepare", "visitors.csv", "--contract=contract.toml", "--dataset=visitors", "--key=publisher.keys"]
BUYERS = ["prepare", "buyers.csv", "--contract=contract.toml", "--dataset=buyers", "--key=advertiser.keys"]


def test_preparing_says_what_to_send_and_what_stays(passbox: Typed, agreed: Path) -> None:
    code, out, err = passbox(*VISITORS)
    assert code == 0
    assert "rows in the bundle" in out
    assert err.splitlines() == [
        "warning: 60 rows are fewer than smallest_seed = 1000: overlap will be refused",
        "warning: 60 rows are fewer than the 200 that a lookalike needs: it will be refused",
        "next: send `visitors.bundle` to host; `visitors.ids` stays here",
    ]
    code, out, err = passbox(*VISITORS)
    assert code == 0
    assert "nothing changed" in out
    code, out, _ = passbox(*BUYERS, "--json")
    assert (code, json.loads(out)["home"], json.loads(out)["ids"]) == (0, "buyers.made", None)


def test_check_needs_neither_keys_nor_signatures_and_writes_nothing(passbox: Typed, drafted: Path) -> None:
    before = sorted(drafted.iterdir())
    code, out, err = passbox(*VISITORS[:-1], "--check")
    assert code == 0
    assert "rows ready" in out
    assert "without `--check`" in err
    assert sorted(drafted.iterdir()) == before


def test_check_says_how_many_rejects_there_would_be(passbox: Typed, drafted: Path) -> None:
    text = (drafted / "visitors.csv").read_text()
    (drafted / "visitors.csv").write_text(text + "V-x,nobody,34,north\nV-y,a@b.c,1e309,north\n")
    code, out, err = passbox(*VISITORS[:-1], "--check")
    assert code == 0
    assert "left out: email: not-an-email" in out
    assert "--max-rejects 2" in err


@pytest.mark.parametrize(
    ("rows", "more", "fits", "told"),
    [
        ([], [], True, ""),
        (["V-x,nobody,34,north"], [], False, "1 of 61 rows break a rule"),
        (["V-x,nobody,34,north"], ["--max-rejects=1"], True, ""),
        (None, ["--max-rejects=9"], False, "no row of it can be used"),
    ],
)
def test_check_says_whether_prepare_would_take_the_file(
    rows: list[str] | None, more: list[str], fits: bool, told: str, passbox: Typed, agreed: Path
) -> None:
    path, typed = agreed / "visitors.csv", [*VISITORS, *more]
    text = path.read_text()
    path.write_text("visitor_id,email,age,region\nV-x,nobody,34,north\n" if rows is None else text + "\n".join(rows))
    code, out, err = passbox(*typed, "--check", "--json")
    assert (code, json.loads(out)["fits"]) == (0, fits)
    code, out, err = passbox(*typed, "--check")
    assert (code, "`prepare` would refuse it" in out) == (0, not fits)
    assert told in out
    assert "--max-rejects" not in err or "would refuse" in out
    assert passbox(*typed)[0] == (0 if fits else 3)


def test_check_offers_to_leave_no_rows_out_where_none_would_be_left(passbox: Typed, drafted: Path) -> None:
    contract = drafted / "contract.toml"
    head, _, tail = contract.read_text().partition("[dataset.buyers]\n")
    contract.write_text(f'{head}[dataset.buyers]\nsuspicious = "refuse"\n{tail}')
    (drafted / "buyers.csv").write_text("email\nJo <jo@b.de>\n")
    code, out, err = passbox(*BUYERS[:-1], "--check", "--max-rejects=5")
    assert (code, "no row of it can be used" in out) == (0, True)
    assert "export `jo@b.de`" in err
    assert "--max-rejects" not in err


def test_check_says_each_reason_in_the_table_and_with_its_lines_and_no_third_time(
    passbox: Typed, drafted: Path
) -> None:
    path = drafted / "visitors.csv"
    path.write_text(path.read_text() + "V-x,nobody,34,north\n")
    out = passbox(*VISITORS[:-1], "--check")[1]
    assert "visitors.csv: 1 of 61 rows break a rule, 0 may" in " ".join(out.split())
    assert out.count("not-an-email") == 2
    path.write_text("visitor_id,email,age,region\nV-x,nobody,34,north\n")
    _, out, err = passbox(*VISITORS[:-1], "--check")
    assert "no row of it can be used" in out
    assert "fewer than" not in err


def test_dummies_alone_are_no_list_under_check_either(passbox: Typed, agreed: Path) -> None:
    (agreed / "buyers.csv").write_text("email\nnobody\n")
    typed = [*BUYERS, "--pad-to=2000", "--max-rejects=5", "--json"]
    code, out, _ = passbox(*typed, "--check")
    assert (code, json.loads(out)["fits"]) == (0, False)
    assert passbox(*typed)[0] == 3


@pytest.mark.parametrize("spoil", ["no header", "semicolons", "not UTF-8", "no file", "too little padding"])
def test_check_is_done_only_where_rows_could_be_looked_at(spoil: str, passbox: Typed, drafted: Path) -> None:
    path, typed = drafted / "buyers.csv", [*BUYERS[:-1], "--check", "--json"]
    if spoil == "no header":
        path.write_text(path.read_text().partition("\n")[2])
    elif spoil == "semicolons":
        path.write_text("email;age\na@b.de;3\n")
    elif spoil == "not UTF-8":
        path.write_bytes(b"email\nJ\xf6@b.de\n")
    elif spoil == "no file":
        path.unlink()
    code, out, _ = passbox(*typed, *(["--pad-to=3"] if spoil == "too little padding" else []))
    assert (code, "fits" in json.loads(out)) == (3, False)
    told = "With --check the exit code is 0 also where its rows would be refused: `fits` in `--json` says which."
    assert told in " ".join(passbox("prepare", "--help")[1].split())


def test_a_spreadsheets_file_gives_the_records_of_the_same_file_without_its_mark(passbox: Typed, drafted: Path) -> None:
    path = drafted / "visitors.csv"
    before = json.loads(passbox(*VISITORS[:-1], "--check", "--json")[1])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"V-x,nobody,34,north\r\n")
    after = json.loads(passbox(*VISITORS[:-1], "--check", "--json")[1])
    assert after["rows"] == before["rows"]
    assert after["first"] == {**before["first"], "email: not-an-email": {"lines": [before["read"] + 2]}}


def test_a_folder_that_is_not_there_is_named_before_anything_is_read(passbox: Typed, agreed: Path) -> None:
    (agreed / "visitors.csv").write_bytes(b"\xff")
    code, _, err = passbox(*VISITORS, "--out=nowhere/v.bundle")
    assert code == 3
    assert err.splitlines()[0] == "error: nowhere: there is no such folder"


def test_addresses_with_more_around_them_are_odd_and_warned_of(passbox: Typed, drafted: Path) -> None:
    text = (drafted / "visitors.csv").read_text()
    (drafted / "visitors.csv").write_text(text + "V-x,Jo Ek <jo@b.de>,34,north\nV-y,mailto:jo@b.de,34,north\n")
    code, out, err = passbox(*VISITORS[:-1], "--check")
    assert code == 0
    assert "kept, but odd: email: unlikely-address" in out
    assert "email: 2 rows hold no plain address" in err
    assert "email: unlikely-address: in lines 62 and 63" in " ".join(out.split())
    found = json.loads(passbox(*VISITORS[:-1], "--check", "--json")[1])["first"]
    assert found == {"email: test-value": {"lines": [2, 3, 4]}, "email: unlikely-address": {"lines": [62, 63]}}
    code, out, _ = passbox("identifiers", "explain", "--kind=email", "mailto:jo@b.de")
    assert (code, "odd, unlikely-address" in out) == (0, True)


def test_check_names_the_first_lines_of_each_reason_and_what_would_be_accepted(passbox: Typed, drafted: Path) -> None:
    """Lines as an editor counts them: blank ones, and line breaks inside quotes, are lines too. No value is said."""
    path = drafted / "visitors.csv"
    head, *rows = path.read_text().splitlines()
    assert head == "visitor_id,email,age,region"
    rows[:2] = ["", "V-x,nobody-7f3a,34,north", "", *(f"V-{at},p{at}@b.io,34,Atlantis7f3a" for at in range(5))]
    rows += ['"V-""7f3a\n",p9@b.io,1e309,north', "V-y,p8@b.io,1e309,north", ",p7@b.io,34,north"]
    path.write_text("\n".join([head, *rows]) + "\n")
    _, out, err = passbox(*VISITORS[:-1], "--check")
    said, last = " ".join(out.split()), len(rows) + 2
    assert "email: not-an-email: in line 3" in said
    assert "region: value not declared: first in lines 5, 6 and 7; it takes one of" in said
    assert f"age: not finite: in lines {last - 3} and {last - 1}; it takes a number from" in said
    assert f"visitor_id: empty: in line {last}" in said
    assert "7f3a" not in out + err
    found = json.loads(passbox(*VISITORS[:-1], "--check", "--json")[1])
    assert found["first"]["region: value not declared"] == {"lines": [5, 6, 7]}
    pl.read_csv(path, infer_schema=False).write_parquet(drafted / "visitors.parquet")
    out = passbox("prepare", "visitors.parquet", *VISITORS[2:-1], "--check")[1]
    assert "email: not-an-email: in row 2" in " ".join(out.split())


def test_check_names_the_line_of_an_id_that_is_another_persons(passbox: Typed, drafted: Path) -> None:
    path = drafted / "visitors.csv"
    head, *rows = path.read_text().splitlines()
    rows += ["V-x,nobody,34,north", "V-3,p9@b.io,34,north", "V-y,p8@b.io,34,north", "V-y,p7@b.io,34,north"]
    path.write_text("\n".join([head, *rows]) + "\n")
    found = json.loads(passbox(*VISITORS[:-1], "--check", "--json")[1])
    assert found["first"]["visitor_id: an ID of another person"] == {"lines": [len(rows) - 1, len(rows) + 1]}
    said = " ".join(passbox(*VISITORS[:-1], "--check")[1].split())
    assert f"visitor_id: an ID of another person: in lines {len(rows) - 1} and {len(rows) + 1}" in said


def test_lengths_of_time_are_refused_by_name_where_text_is_declared(passbox: Typed, drafted: Path) -> None:
    """As pandas writes a column of timedelta."""
    table = pl.read_csv(drafted / "visitors.csv").with_columns(pl.col("age").cast(pl.Duration("ns")).alias("region"))
    table.write_parquet(drafted / "visitors.parquet")
    code, out, err = passbox("prepare", "visitors.parquet", *VISITORS[2:-1], "--check")
    assert (code, out) == (3, "")
    told, hint = err.splitlines()
    assert "region" in told
    assert "export it as text or numbers" in hint


BAD: dict[str, tuple[bytes, str]] = {
    "raw e-mails where hashes are declared": (b"", "raw-email-in-hashed-column"),
    "hashes of the wrong length": (b"email\n" + b"ab" * 20 + b"\n", "wrong-length"),
    "base64 of hex": (b"email\n" + base64.b64encode(b"ab" * 32) + b"\n", "base64-of-hex"),
    "hash of nothing": (
        b"email\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
        "hash-of-nothing",
    ),
    "mixed encodings": (b"email\n" + b"ab" * 32 + b"\n" + b"q" * 42 + b"g=\n", "mixes encodings"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_hashed_column_that_is_none_is_refused_with_its_reason(case: str, passbox: Typed, drafted: Path) -> None:
    path = drafted / "contract.toml"
    head, _, tail = path.read_text().partition("[dataset.buyers]")
    path.write_text(
        head + "[dataset.buyers]" + tail.replace('identifiers.email = "raw"', 'identifiers.email = "sha256"')
    )
    for name in ("publisher", "advertiser", "officer", "host"):
        assert passbox("contract", "sign", "contract.toml", f"--key={name}.keys")[0] == 0
    data, rule = BAD[case]
    if data:
        (drafted / "buyers.csv").write_bytes(data)
    code, out, err = passbox(*BUYERS, "--max-rejects=100")
    assert code == 3
    assert rule in err
    assert len(err.splitlines()) == 2
    assert "person." not in out + err
    assert not list(drafted.glob("*.bundle"))


def test_another_list_under_the_same_name_is_sent_to_a_bundle_of_another_name(passbox: Typed, agreed: Path) -> None:
    """Whichever of the two files is in the way, and the hint works as it stands."""
    assert passbox(*BUYERS)[0] == 0
    (agreed / "buyers.csv").write_text("email\nsomebody@example.com\n")
    code, _, err = passbox(*BUYERS)
    assert code == 3
    (out,) = re.findall(r"`(--out \S+)`", err)
    assert passbox(*BUYERS, *out.split())[0] == 0


def test_md5_where_raw_is_declared_is_not_sent_to_a_contract_for_sha256(passbox: Typed, agreed: Path) -> None:
    (agreed / "buyers.csv").write_text("email\n" + "9dd4e461268c8034f5c8564e155c67a6\n" * 3)
    code, _, err = passbox(*BUYERS)
    assert code == 3
    assert "MD5 and SHA-1 (32 and 40 hex digits) match nobody" in err


def test_a_missing_column_is_told_with_its_file(passbox: Typed, agreed: Path) -> None:
    (agreed / "buyers.csv").write_text("mail\na@example.com\n")
    assert "error: buyers.csv: it has no column email" in passbox(*BUYERS)[2]


def test_random_bytes_in_place_of_parquet_are_told_as_that(passbox: Typed, agreed: Path) -> None:
    (agreed / "buyers.parquet").write_bytes(bytes(range(256)) * 20)
    err = passbox("prepare", "buyers.parquet", *BUYERS[2:])[2]
    assert "not a whole Parquet file" in err
    assert "iconv" not in err


def test_hints_name_the_contract_that_was_typed(passbox: Typed, agreed: Path) -> None:
    for path in agreed.glob("contract.toml*"):
        path.rename(agreed / path.name.replace("contract.toml", "spring.toml"))
    (agreed / "spring.toml.advertiser.share").unlink()
    err = passbox(*BUYERS[:2], "--contract=spring.toml", *BUYERS[3:])[2]
    assert "spring.toml.advertiser.share" in err
    assert "contract.toml" not in err
    (agreed / "spring.toml").write_text("version = 2")
    for path in agreed.glob("spring.toml.*"):
        path.unlink()
    assert "`passbox contract check spring.toml`" in passbox("contract", "show", "spring.toml")[2]


USAGE = {
    "no keys": (VISITORS[:-1], 2),
    "an unknown data set": ([*VISITORS[:3], "--dataset=cats", VISITORS[4]], 3),
    "another's keys": ([*VISITORS[:-1], "--key=advertiser.keys"], 3),
    "no key folder": ([*VISITORS[:-1], "--key=nowhere.keys"], 3),
    "no such file": (["prepare", "nowhere.csv", *VISITORS[2:]], 3),
    "a folder": (["prepare", ".", *VISITORS[2:]], 3),
    "no contract": ([*VISITORS[:2], "--contract=nowhere.toml", *VISITORS[3:]], 3),
    "a column nobody has": ([*VISITORS, "--column=email=mail"], 3),
    "an identifier nobody matches on": ([*VISITORS, "--column=phone=region"], 2),
    "many rejects": ([*VISITORS, "--max-rejects=all"], 2),
    "a bundle over its own IDs": ([*VISITORS, "--out=visitors.ids"], 2),
    "a folder that is not there": ([*VISITORS, "--out=nowhere/visitors.bundle"], 3),
}


@pytest.mark.parametrize("case", USAGE)
def test_each_mistake_is_one_line_a_hint_and_its_exit_code(case: str, passbox: Typed, agreed: Path) -> None:
    arguments, expected = USAGE[case]
    before = sorted(agreed.iterdir())
    code, out, err = passbox(*arguments)
    assert code == expected
    assert out == ""
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error", "hint"]
    assert "fault in passbox" not in err
    assert sorted(agreed.iterdir()) == before
    code, out, err = passbox(*arguments, "--json")
    assert (code, json.loads(out)["error"]["exit"], err) == (expected, expected, "")


def test_an_unsigned_contract_prepares_nothing(passbox: Typed, agreed: Path) -> None:
    (agreed / "contract.toml.officer.sig").unlink()
    code, _, err = passbox(*VISITORS)
    assert code == 4
    assert "not signed by officer" in err
    assert not list(agreed.glob("visitors.bundle"))


def test_a_missing_share_prepares_nothing(passbox: Typed, agreed: Path) -> None:
    (agreed / "contract.toml.advertiser.share").unlink()
    code, _, err = passbox(*VISITORS)
    assert code == 4
    assert "share of the match key of advertiser is missing" in err


CANARY = "canary"

SPOILED: dict[str, Callable[[str], bytes]] = {
    "good": lambda text: text.encode(),
    "no header": lambda text: text.partition("\n")[2].encode(),
    "ragged and not UTF-8": lambda text: text.replace("canary9@", "canary,\udcff,9@").encode(
        "utf-8", "surrogateescape"
    ),
    "UTF-16": lambda text: text.encode("utf-16"),
    "NUL": lambda text: text.replace("canary9@", "canary9\0@").encode(),
    "no addresses": lambda text: text.replace("@", "").encode(),
    "regions nobody declared": lambda text: re.sub(r"canary(\d+)(.*),north", r"canary\1\2,canary\1", text).encode(),
    "ages of letters": lambda text: re.sub(r"canary(\d+)@(.*),34", r"canary\1@\2,canary\1", text).encode(),
    "IDs twice": lambda text: text.replace("V-canary1,", "V-canary2,").encode(),
    "another header": lambda text: text.replace("age", "years", 1).encode(),
    "escape sequences": lambda text: text.replace("canary9@", "\x1b[2Jcanary9@").encode(),
    "a quote never closed": lambda text: (text + '"canary,' + text * 30).encode(),
}


TYPE_ALL = """
import sys
from passbox.cli.app import run
for line in sys.stdin.read().splitlines():
    code = run(line.split())
    print("exit", code, flush=True)
"""


def test_nobody_of_a_thousand_shows_in_any_output(agreed: Path) -> None:
    """In a process of its own, so that warnings and tracebacks of libraries are heard too."""
    rows = [f"V-canary{n},canary{n}@bird.example,34,{'north' if n % 2 else 'south'}" for n in range(1000)]
    text = "\n".join(["visitor_id,email,age,region", *rows, ""])
    lines, cards = [], "--party=publisher.party.toml --party=advertiser.party.toml --party=host.party.toml"
    for at, spoil in enumerate(SPOILED.values()):
        (agreed / f"{at}.csv").write_bytes(spoil(text))
        line = " ".join(["prepare", f"{at}.csv", *VISITORS[2:], f"--out={at}.bundle"])
        lines += [f"{line} --check", f"{line} --max-rejects=2", f"{line} --max-rejects=2 --json"]
        lines += [f"contract new {cards} --room=host.room.toml --from={at}.csv --out={at}.toml"]
    done = subprocess.run(
        [sys.executable, "-c", TYPE_ALL], cwd=agreed, input="\n".join(lines), capture_output=True, text=True, check=True
    )
    exits = [line for line in done.stdout.splitlines() if line.startswith("exit ")]
    assert len(exits) == len(lines)
    assert set(exits) == {"exit 0", "exit 3"}
    assert CANARY not in (done.stdout + done.stderr).lower()
    assert "\x1b" not in done.stdout + done.stderr
    assert len(list(agreed.glob("*.bundle"))) == 3
    for path in agreed.rglob("*"):
        if path.is_file() and path.suffix not in (".csv", ".ids"):
            assert CANARY.encode() not in path.read_bytes().lower(), path.name

"""`passbox identifiers` and `passbox doctor match`, as they are typed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Typed = Callable[..., tuple[int, str, str]]


def piped(data: bytes, *words: str) -> list[dict[str, object]]:
    done = subprocess.run([sys.executable, "-m", "passbox", *words], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_byte_order_mark_before_the_first_line_is_no_part_of_it(passbox: Typed, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"\xef\xbb\xbfa@b.io\na@b.io\n")
    words = ("identifiers", "normalise", "--scheme", "uid2@1", "--kind", "email", str(tmp_path / "list"))
    out = passbox(*words)[1]
    assert [json.loads(line)["normalised"] for line in out.splitlines()] == ["a@b.io"] * 2


def test_lines_that_are_piped_in_become_one_object_each() -> None:
    lines = b" JANE.SAOIRSE@gmail.com \r\nnobody\n\xff@b.c\n\n" + b"x" * 10_000_000 + b"\nlast@b.c"
    out = piped(lines, "identifiers", "normalise", "--scheme", "uid2@1", "--kind", "email", "-")
    assert [each["input_line"] for each in out] == [1, 2, 3, 4, 5, 6]
    assert [each["rejected"] for each in out] == [None, "not-an-email", "not-utf8", "empty", "too-long", None]
    assert out[0] == {
        "input_line": 1,
        "input": " JANE.SAOIRSE@gmail.com ",
        "normalised": "janesaoirse@gmail.com",
        "sha256_hex": "92ee26057ed9dea2535d6c8b141d48373932476599196e00352254896db5888f",
        "sha256_base64": "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8=",
        "rejected": None,
    }
    assert all(each["sha256_hex"] is None and each["sha256_base64"] is None for each in out if each["rejected"])


def test_a_pipe_that_is_closed_early_is_no_fault() -> None:
    script = f"yes a@b.c | {sys.executable} -m passbox identifiers normalise --scheme uid2@1 --kind email | head -1"
    done = subprocess.run(["bash", "-c", script + "; exit ${PIPESTATUS[1]}"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["normalised"] == "a@b.c"


def test_a_file_is_read_as_what_is_piped_in(passbox: Typed, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("0491 570 006\n+61 491 570 006\n")
    words = ("identifiers", "normalise", "--scheme", "uid2@1", "--kind", "phone", str(tmp_path / "list"))
    code, out, _ = passbox(*words, "--country", "au")
    assert code == 0
    assert [json.loads(line)["normalised"] for line in out.splitlines()] == ["+61491570006"] * 2
    _, out, _ = passbox(*words)
    assert [json.loads(line)["rejected"] for line in out.splitlines()] == ["no-country-code", None]


def test_a_convention_that_hashes_with_sha1_says_so(passbox: Typed, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("+1 (555) 123-4567\n")
    file = str(tmp_path / "list")
    _, out, _ = passbox("identifiers", "normalise", "--scheme", "liveramp@1", "--kind", "phone", file)
    found = json.loads(out)
    assert found["sha1_hex"] == "b8e04c986aa87857dfb4d364371d1a4195abf1bb"
    assert (found["sha256_hex"], found["sha256_base64"]) == (None, None)


def test_every_step_is_shown_with_what_it_leaves(passbox: Typed) -> None:
    words = ("identifiers", "explain", "--scheme", "uid2@1", "--kind", "email", " Jane.Doe+x@Gmail.com")
    _, out, _ = passbox(*words)
    rows = [line.split() for line in out.splitlines() if line.strip()]
    assert [row[0] for row in rows if row[0] in ("trim-spaces", "lower-ascii", "drop-suffix", "drop-dots")]
    assert "janedoe@gmail.com" in out
    assert hashlib.sha256(b"janedoe@gmail.com").hexdigest() in out
    _, out, _ = passbox(*words, "--json")
    steps = json.loads(out)["steps"]
    assert [step["text"] for step in steps][-3:] == ["jane.doe@gmail.com", "janedoe@gmail.com", "janedoe@gmail.com"]


def test_the_step_that_refuses_is_the_last(passbox: Typed) -> None:
    _, out, _ = passbox("identifiers", "explain", "--scheme", "plain@1", "--kind", "idfa", "0" * 32, "--json")
    found = json.loads(out)
    assert [step["refused"] for step in found["steps"]] == [None, None, "no-hyphens"]
    assert found["rejected"] == "no-hyphens"


def test_without_a_scheme_all_stand_side_by_side(passbox: Typed) -> None:
    _, out, _ = passbox("identifiers", "explain", "--kind", "email", "Jane.Doe+x@GoogleMail.com", "--json")
    found = {name: each["normalised"] for name, each in json.loads(out)["schemes"].items()}
    assert found["uid2@1"] == "jane.doe+x@googlemail.com"
    assert found["google@1"] == "janedoe@googlemail.com"
    assert found["cm360@1"] == "janedoe+x@googlemail.com"


def test_schemes_are_listed_with_their_kinds(passbox: Typed) -> None:
    _, out, _ = passbox("identifiers", "schemes", "--json")
    listed = {each["name"]: each["kinds"] for each in json.loads(out)["schemes"]}
    assert set(listed["uid2@1"]) == {"email", "phone"}
    assert listed["liveramp@1"]["phone"] == {"hash": "sha1", "encoding": "hex"}
    assert {"ctv", "ip", "first-party"} <= set(listed["plain@1"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--scheme uid2@9 --kind email", "there is no scheme of that name"),
        ("--scheme uid2@1 --kind fax", "that is no kind of identifier"),
        ("--scheme uid2@1 --kind ctv", "uid2@1 says nothing about this kind"),
        ("--scheme plain@1 --kind ip", "an IP address is a household's for a while only"),
        ("--scheme uid2@1 --kind phone --country XX", "that is no country"),
    ],
)
def test_what_is_asked_wrongly_is_one_line_and_a_hint(words: str, told: str, passbox: Typed) -> None:
    code, out, err = passbox("identifiers", "normalise", *words.split())
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {told}")
    assert len(err.splitlines()) == 2


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A list as they are: e-mails of Gmail and others, hashed twice beside, and when each was seen."""
    rows = ["email,hash,seen"]
    for i in range(200):
        email = f"Jo.{i}+x@{'gmail.com' if i % 2 else 'b.io'}".lower()
        once = hashlib.sha256(email.encode()).hexdigest()
        rows.append(f"{email},{hashlib.sha256(once.encode()).hexdigest()},{2020 + i % 7}-01-01")
    path = tmp_path / "list.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_doctor_names_causes_with_their_share(passbox: Typed, people: Path) -> None:
    words = ("doctor", "match", str(people), "--kind", "email", "--scheme", "uid2@1", "--last-seen", "seen")
    code, out, err = passbox(*words, "--json")
    assert (code, err) == (0, "")
    causes = {(each["name"], each["share"]) for each in json.loads(out)["causes"]}
    assert ("gmail", 0.5) in causes
    assert {"scheme", "stale"} <= {name for name, _ in causes}
    _, out, err = passbox(*words)
    assert "no other list was read" in out
    assert "passbox job new overlap" in err


def test_raw_values_beside_hashes_show_a_column_hashed_twice(passbox: Typed, people: Path) -> None:
    words = (
        "--kind",
        "email",
        "--scheme",
        "plain@1",
        "--arrives",
        "sha256",
        "--column",
        "hash",
        "--raw-column",
        "email",
    )
    _, out, _ = passbox("doctor", "match", str(people), *words, "--json")
    (cause,) = (each for each in json.loads(out)["causes"] if each["name"] == "encoding")
    assert cause["share"] == 1
    assert "twice, the second time of its hex" in cause["what"]


def test_two_lists_are_not_compared_for_nothing(passbox: Typed, people: Path) -> None:
    code, out, err = passbox("doctor", "match", str(people), str(people), "--kind", "email", "--scheme", "uid2@1")
    assert (code, out) == (5, "")
    assert "it is paid for" in err
    assert "passbox job new overlap" in err


@pytest.mark.parametrize(
    "words",
    ["", "--kind email", "--kind email --scheme uid2@1 --bundle x", "--kind email --scheme uid2@1 --overlap x"],
)
def test_a_doctor_who_is_told_too_little_says_what_is_missing(words: str, passbox: Typed, people: Path) -> None:
    code, _, err = passbox("doctor", "match", str(people), *words.split())
    assert code == 2
    assert len(err.splitlines()) == 2


def test_no_value_is_echoed_where_a_list_cannot_be_read(passbox: Typed, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"email,seen\ncanary7f3a@b.c,never\n")
    words = ("doctor", "match", str(path), "--kind", "email", "--scheme", "uid2@1", "--last-seen", "seen")
    code, out, err = passbox(*words)
    assert code == 3
    assert "7f3a" not in out + err


def test_the_machine_is_still_looked_at_without_a_word_more(passbox: Typed) -> None:
    code, out, _ = passbox("doctor", "--json")
    assert code == 0
    assert {"python", "sqlite"} <= {each["what"] for each in json.loads(out)["findings"]}


def test_a_value_that_every_scheme_refuses_has_no_hash_in_common(passbox: Typed) -> None:
    _, out, _ = passbox("identifiers", "explain", "--kind", "email", "nobody")
    assert "all schemes refuse it" in out
    _, out, _ = passbox("identifiers", "explain", "--kind", "email", "jane@b.io")
    assert "all schemes give one hash" in out


def test_a_number_without_its_country_says_what_lacks_and_what_helps(passbox: Typed) -> None:
    typed = ("identifiers", "explain", "--kind", "phone", "0301234567")
    _, out, err = passbox(*typed)
    assert "its country code lacks" in out
    assert "--country" in err
    _, _, err = passbox(*typed, "--scheme", "uid2@1")
    assert "--country" in err
    _, out, err = passbox(*typed, "--country", "DE")
    assert "country code lacks" not in out
    assert "--country" not in err


def test_where_a_scheme_is_published_is_shown_whole(passbox: Typed) -> None:
    _, listed, _ = passbox("identifiers", "schemes", "--json")
    _, out, _ = passbox("identifiers", "schemes")
    lines = out.splitlines()
    for each in json.loads(listed)["schemes"]:
        assert any(line.split() == [each["name"], each["source"]] for line in lines)


def test_a_list_with_two_keys_is_looked_at_by_both(passbox: Typed, agreed: Path) -> None:
    text = (agreed / "contract.toml").read_text()
    text = text.replace('keys = ["email"]', 'keys = ["email", "phone"]')
    text = text.replace('scheme.email = "uid2@1"', 'scheme.email = "uid2@1"\nscheme.phone = "uid2@1"')
    text = text.replace(
        'identifiers.email = "raw"', 'identifiers.email = "raw"\nidentifiers.phone = "raw"\ncountry = "none"'
    )
    (agreed / "two.toml").write_text(text)
    (agreed / "two.csv").write_text("email,phone\na@b.io,+15551234567\nnobody,5551234567\nc@d.io,5551234568\n")
    words = ("doctor", "match", "two.csv", "--contract", "two.toml", "--dataset", "visitors")
    code, out, err = passbox(*words, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [each["kind"] for each in found["keys"]] == ["email", "phone"]
    assert found["causes"] == found["keys"][0]["causes"]
    assert ("country-code", 2) in {(each["name"], each["rows"]) for each in found["keys"][1]["causes"]}
    _, out, _ = passbox(*words)
    assert "3 rows of email" in out
    assert "3 rows of phone" in out
    _, out, _ = passbox(*words, "--kind", "phone", "--json")
    assert [each["kind"] for each in json.loads(out)["keys"]] == ["phone"]


def test_what_wins_nothing_is_not_what_to_mend_first(passbox: Typed, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("email\njo@example.com\njo@example.com\nan@example.org\nhej@b.io\nnobody\n")
    words = ("doctor", "match", str(path), "--kind", "email", "--scheme", "uid2@1")
    _, out, err = passbox(*words)
    assert "test-values" in out
    assert "mend first: form not-an-email" in out
    assert "passbox job new overlap --contract contract.toml --epsilon 0.25" in err
    path.write_text("email\njo@example.com\njo@example.com\n")
    _, out, _ = passbox(*words)
    assert "test-values" in out
    assert "mend first" not in out


def test_what_a_doctor_says_to_type_next_works_as_typed(passbox: Typed, agreed: Path, people: Path) -> None:
    words = ("--contract", "contract.toml", "--dataset", "visitors")
    _, _, err = passbox("doctor", "match", str(people), *words)
    typed = err.split("`")[1].split()
    assert typed[:4] == ["passbox", "job", "new", "overlap"]
    code, _, err = passbox(*typed[1:])
    assert code == 0, err


@pytest.mark.parametrize("option", ["--column", "--raw-column", "--last-seen"])
def test_a_column_that_is_not_there_is_told_with_its_option(option: str, passbox: Typed, people: Path) -> None:
    words = ("doctor", "match", str(people), "--kind", "email", "--scheme", "uid2@1")
    code, _, err = passbox(*words, option, "nosuch")
    told, hint = err.splitlines()
    assert (code, "no column nosuch among its 3" in told) == (3, True)
    assert f"with `{option}`" in hint


def test_a_column_of_no_dates_is_told_what_dates_look_like(passbox: Typed, people: Path) -> None:
    words = ("doctor", "match", str(people), "--kind", "email", "--scheme", "uid2@1", "--last-seen", "email")
    code, _, err = passbox(*words)
    assert (code, "cannot be read as a date" in err) == (3, True)
    assert "`--last-seen`, written such as 2026-11-29" in err

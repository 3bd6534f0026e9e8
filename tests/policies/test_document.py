"""A document is read, or refused with its place and its rule, whatever it holds."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from passbox.policies.document import LARGEST_FILE, InvalidContract, place, read_document, read_toml

BAD = {
    "too large": (b"#" * (LARGEST_FILE + 1), "larger than 1 MB"),
    "UTF-16": ("version = 1".encode("utf-16"), "not UTF-8"),
    "Latin-1": (b'purpose = "M\xfcller"', "not UTF-8"),
    "no TOML": (b"version = = 1", "not valid TOML"),
    "a doubled key": (b"version = 1\nversion = 1", "twice"),
    "a doubled table": (b"[room]\n[room]", "twice"),
    "a table over a value": (b"a = 1\n[a]", "twice"),
    "NUL": (b'a = "\0"', "not valid TOML"),
    "an escape sequence": (b'a = "\x1b[2J"', "not valid TOML"),
    "a huge integer": (b"a = " + b"1" * 5000, "too long"),
    "deep lists": (b"a = " + b"[" * 100_000, "too deep"),
    "deep tables": (b"a = " + b"{ b = " * 5_000, "too deep"),
    "deep keys": (b".".join([b"a"] * 200_000) + b" = 1", "too deep"),
    "deep quoted keys": (b".".join([b'"a b"'] * 100_000) + b" = 1", "too deep"),
    "a deep header": (b"[" + b".".join([b"a"] * 200_000) + b"]", "too deep"),
    "deep keys beside a quote": (b'"\\"".' + b".".join([b"a"] * 1_000) + b'."b" = 1', "too deep"),
    "deep keys behind lines": (b'a = { b = """\n"""", ' + b".".join([b"a"] * 1_000) + b'."b" = 1 }', "too deep"),
    "deep keys behind an apostrophe": (
        b"a = { b = '''\n'''', " + b".".join([b"a"] * 1_000) + b".'b' = 1 }",
        "too deep",
    ),
    "quotes that never end": (b'a = "' + b'\\"' * 400_000, "not valid TOML"),
    "lines that never end": (b'a = """\\"' * 100_000, "not valid TOML"),
    "an unclosed string": (b'a = "' + b"x" * 900_000, "not valid TOML"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_document_is_refused_with_its_rule(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nests by its dots never meets a parser that takes memory in the square of them."""
    data, rule = BAD[case]
    if rule == "too deep" and b"." in data:
        monkeypatch.setattr(tomllib, "loads", None)
    with pytest.raises(InvalidContract) as caught:
        read_toml(data, "contract")
    (problem,) = caught.value.problems
    assert rule in problem.rule
    assert problem.remedy


def test_the_place_of_a_mistake_is_its_line() -> None:
    with pytest.raises(InvalidContract) as caught:
        read_toml(b"a = 1\nb = 2\nb = 3\n", "contract")
    assert caught.value.problems[0].where.startswith("line 3")


def test_dots_in_text_and_comments_are_no_depth() -> None:
    dots = b"x." * 100
    for quote in (b'"', b"'", b'"""', b"'''"):
        data = b"a = " + quote + dots + quote + b" # " + dots
        assert read_toml(data, "contract") == {"a": dots.decode()}


def test_a_list_of_many_numbers_is_no_depth() -> None:
    numbers = [at / 10 for at in range(1, 1000)]
    assert read_toml(f"bins.depth = {numbers}".encode(), "job") == {"bins": {"depth": numbers}}


def test_no_more_of_a_file_is_read_than_a_contract_may_hold(tmp_path: Path) -> None:
    path = tmp_path / "contract.toml"
    with path.open("wb") as file:
        file.truncate(10**10)
    assert len(read_document(path)) == LARGEST_FILE + 1


def test_a_long_key_does_not_flood_the_screen() -> None:
    assert len(place("dataset", "x" * 10_000)) <= 120

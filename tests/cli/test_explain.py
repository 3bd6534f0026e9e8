"""Every error a person can meet has its words: one line, one hint, one exit code."""

from __future__ import annotations

import errno
import importlib
import inspect
import json
import pkgutil
import sqlite3
from pathlib import Path

import pytest

import passbox
from passbox.cleanroom.files import write
from passbox.cli.explain import TABLES, WORDS, explain
from passbox.cli.explanation import INTERNAL, STORAGE, Explanation, tell
from passbox.cli.words import NoRole
from passbox.policies.agreement import SignatureMissing
from passbox.policies.document import InvalidContract
from passbox.policies.request import KINDS, parse_job

FAULTS_OF_OURS = {
    "PriceTooLow",
    "SpecificationMismatch",
    "OverflowPossible",
    "SensitivityExceeded",
    "DesignMismatch",
    "ColumnMismatch",
    "SchemeMismatch",
    "WrongDigest",
    "BadScheme",
    "BadProof",
    "BadTree",
    "CertificateUnreadable",
    "BadNote",
    "BadSignature",
    "MixedEncodings",
    "NotFlat",
    "NotText",
    "NotSealed",
    "OtherBytes",
    "Unfit",
    "UnknownKind",
    "UnknownScheme",
    "WindowMissing",
    "WrongHash",
}
"""Errors that are turned into another, or that only a fault in the code itself can raise."""


def error_classes() -> dict[str, type[BaseException]]:
    found: dict[str, type[BaseException]] = {}
    for module in pkgutil.walk_packages(passbox.__path__, "passbox."):
        if module.name == "passbox.__main__":
            continue
        for name, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(value, BaseException) and value.__module__.startswith("passbox"):
                found[name] = value
    return found


def test_every_error_class_has_an_explanation() -> None:
    public = {name for name in error_classes() if not name.startswith("_")}
    assert sorted(public - set(WORDS) - FAULTS_OF_OURS) == []


def test_no_explanation_is_for_an_error_that_is_gone() -> None:
    ours = set(error_classes())
    others = {"OSError", "MemoryError", "OperationalError", "DatabaseError", "KeyboardInterrupt", "Abort"}
    assert sorted(set(WORDS) - ours - others) == []
    assert sorted(FAULTS_OF_OURS - ours) == []


def test_no_error_is_explained_in_two_places() -> None:
    assert len(WORDS) == sum(len(table.WORDS) for table in TABLES)


@pytest.mark.parametrize("error", [ValueError("secret@example.com"), KeyError("secret@example.com"), RuntimeError()])
def test_an_unknown_error_is_internal_and_says_nothing_of_its_values(error: Exception) -> None:
    words = explain(error)
    assert words.exit == INTERNAL
    assert "secret" not in f"{words}"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_and_promises_only_what_holds(code: int) -> None:
    for error in (OSError(code, "x", "a"), OSError(f"x (os error {code})"), sqlite3.OperationalError("disk is full")):
        words = explain(error)
        assert (words.rule, words.exit) == ("disk-full", STORAGE)
        assert "nothing is charged twice" in words.hint
        assert "nothing was" not in words.hint


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "x", "a"), RuntimeError()])
def test_what_pays_nothing_does_not_speak_of_charges(error: BaseException) -> None:
    assert "charged" in explain(error).hint
    words = explain(error, pays=False)
    assert "charged" not in words.hint
    assert words.hint.endswith("type it again") or words.rule == "internal"


def test_a_ledger_on_a_full_disk_is_shown_once_there_is_room() -> None:
    hint = explain(sqlite3.OperationalError("disk is full")).hint
    assert hint.index("free some space first") < hint.index("`passbox ledger show ROOM`")
    assert "an exported ledger can be read" in hint


def test_a_bad_word_on_the_command_line_is_a_matter_of_usage() -> None:
    assert explain(NoRole("that is no ε for a job", "write another")).rule == "usage"


def test_a_failing_ledger_says_where_to_see_what_was_charged() -> None:
    words = explain(sqlite3.OperationalError("disk I/O error"))
    assert words.exit == STORAGE
    assert "`passbox ledger show ROOM` says what was charged" in words.hint


def test_a_missing_folder_is_named_and_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "x.toml"
    with pytest.raises(FileNotFoundError) as error:
        write(target, b"")
    words = explain(error.value)
    assert words.message == f"{target.parent}: there is no such folder"
    (tmp_path / "nowhere").write_text("a file")
    with pytest.raises(NotADirectoryError) as error:
        write(target, b"")
    assert explain(error.value).message == f"{target.parent}: it is not a folder"


def test_a_job_without_a_signature_names_who_may_sign_and_that_one_is_enough() -> None:
    several, one = (explain(SignatureMissing("job", who)) for who in (("advertiser", "publisher"), ("publisher",)))
    assert "advertiser or publisher; one is enough" in several.message
    assert "enough" not in one.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a,b,c", "not valid TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"version = 1", "kind: it does not say"),
        (b'kind = "cat"', f"kind: this kind is not known (use one of {', '.join(KINDS)})"),
        (b'kind = "overlap"\nepsilon = 99.0', "; epsilon: must be above 0"),
    ],
)
def test_a_file_that_is_no_job_is_told_in_the_keys_people_write(text: bytes, said: str) -> None:
    with pytest.raises(InvalidContract) as error:
        parse_job(text)
    words = explain(error.value)
    assert said in words.message
    assert "contract new" not in words.message + words.hint
    assert "overlap." not in words.message


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_is_one_line_and_130(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(explain(KeyboardInterrupt()), as_json) == 130
    out, err = capsys.readouterr()
    assert (len(err.splitlines()), out) == (1, "") if not as_json else json.loads(out)["error"]["exit"] == 130


def test_an_error_as_json_has_the_four_fields() -> None:
    assert set(Explanation("rule", "message", "hint", 3).as_json()["error"]) == {"rule", "message", "hint", "exit"}

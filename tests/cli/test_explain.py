"""Every error a person can meet has its words: one line, one hint, one exit code."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import passbox
from passbox.cli.explain import _WORDS, INTERNAL, Explanation, explain

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
    "BadNote",
    "BadSignature",
    "MixedEncodings",
    "NotText",
    "UnknownKind",
    "UnknownScheme",
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
    assert sorted(public - set(_WORDS) - FAULTS_OF_OURS) == []


def test_no_explanation_is_for_an_error_that_is_gone() -> None:
    ours = set(error_classes())
    others = {"OSError", "MemoryError", "OperationalError", "DatabaseError", "KeyboardInterrupt"}
    assert sorted(set(_WORDS) - ours - others) == []
    assert sorted(FAULTS_OF_OURS - ours) == []


@pytest.mark.parametrize("error", [ValueError("secret@example.com"), KeyError("secret@example.com"), RuntimeError()])
def test_an_unknown_error_is_internal_and_says_nothing_of_its_values(error: Exception) -> None:
    words = explain(error)
    assert words.exit == INTERNAL
    assert "secret" not in f"{words}"


def test_an_error_as_json_has_the_four_fields() -> None:
    assert set(Explanation("rule", "message", "hint", 3).as_json()["error"]) == {"rule", "message", "hint", "exit"}

"""A machine is told what it lacks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from passbox.cleanroom.machine import examine_machine


def advice(what: str) -> tuple[bool, str]:
    found = next(item for item in examine_machine() if item.what == what)
    return found.fine, found.advice


def test_an_sqlite_that_can_corrupt_its_log_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))
    assert advice("sqlite")[0] is False
    assert "lock" in advice("sqlite")[1]
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    assert advice("sqlite")[0] is True


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert advice("ssh-keygen")[0] is False


def test_the_command_lists_all_of_it(passbox: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = passbox("doctor")
    assert code == 0
    assert all(item.what in out for item in examine_machine())

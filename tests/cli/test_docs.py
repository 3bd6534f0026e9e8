"""What docs/identifiers.md shows is what is printed."""

from __future__ import annotations

import csv
import hashlib
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

Typed = Callable[..., tuple[int, str, str]]
EMAILS = ["Anna.Berg@gmail.com", "J.Doe+shop@GoogleMail.com", "mia@posteo.de", "Tom.Ray@gmail.com", "kim@web.de"]


def blocks(root: Path) -> list[str]:
    return re.findall(r"```console\n(.*?)```", (root / "docs" / "identifiers.md").read_text(), re.DOTALL)


def test_the_commands_print_the_lines_that_the_page_shows(
    passbox: Typed, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("buyers.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["email", "sha256"])
        rows.writerows([email, hashlib.sha256(email.lower().encode()).hexdigest()] for email in EMAILS)
    for block in blocks(root):
        command, *shown = block.splitlines()
        code, out, _ = passbox(*shlex.split(command.removeprefix("$ passbox ")))
        assert code == 0, command
        printed = [line.strip() for line in out.splitlines()]
        assert [line for line in shown if line.strip() not in printed] == []
    assert len(blocks(root)) == 2

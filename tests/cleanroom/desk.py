"""A desk: commands typed in the folders of a demo, and what they print."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from passbox.cli.app import run


class Desk:
    """Types commands in the folders of a demo."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self._capsys, self._monkeypatch = home, capsys, monkeypatch

    def type(self, person: str, *words: str) -> tuple[int, dict[str, object]]:
        self._monkeypatch.chdir(self.home / person)
        self._capsys.readouterr()
        code = run([*words, "--json"])
        return code, json.loads(self._capsys.readouterr().out)

    def job(self, epsilon: float, name: str = "more") -> tuple[int, dict[str, object]]:
        """The publisher asks for another overlap, and the operator runs it."""
        publisher, operator = self.home / "publisher", self.home / "operator"
        text = (publisher / "overlap.toml").read_text()
        (publisher / f"{name}.toml").write_text(re.sub(r"(?m)^epsilon = \S+", f"epsilon = {epsilon}", text))
        self.type("publisher", "job", "sign", f"{name}.toml", "--contract", "contract.toml", "--key", "publisher.keys")
        for left in (f"{name}.toml", f"{name}.toml.publisher.sig"):
            shutil.copy(publisher / left, operator / left)
        return self.type("operator", "run", "spring", f"{name}.toml")

    def export(self) -> None:
        self.type("operator", "ledger", "export", "spring")
        shutil.rmtree(self.home / "officer" / "spring.ledger", ignore_errors=True)
        shutil.copytree(self.home / "operator" / "spring.ledger", self.home / "officer" / "spring.ledger")

    def cosign(self, *more: str) -> tuple[int, dict[str, object]]:
        words = ("--contract", "contract.toml", "--key", "officer.keys", "--seen", "spring.seen")
        return self.type("officer", "ledger", "cosign", "spring.ledger", *words, *more)

    def accept(self) -> tuple[int, dict[str, object]]:
        return self.type("operator", "ledger", "accept", "spring", "../officer/spring.officer.cosigned")

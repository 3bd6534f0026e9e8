"""What a machine must have for a room to keep its promises, looked up rather than assumed."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from dataclasses import dataclass
from importlib.metadata import version

SAFE_SQLITE = (3, 51, 3)
"""From this release on, two connections that reset a WAL at once cannot corrupt it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. fine: False where somebody should act. advice: what it means, in a sentence."""

    what: str
    found: str
    fine: bool
    advice: str


def examine_machine() -> list[Finding]:
    """Python, SQLite, the libraries that privacy rests on, and the tools others check us with."""
    return [_python(), _sqlite(), _opendp(), _polars(), *(_tool(*tool) for tool in TOOLS)]


TOOLS = (
    ("ssh-keygen", "checks signatures without passbox, and signs with keys that an agent or a token holds"),
    ("openssl", "lets the one-file verifier check checkpoints without passbox"),
)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", found, sys.version_info >= (3, 11), "3.11 or newer is needed")


def _sqlite() -> Finding:
    fine = sqlite3.sqlite_version_info >= SAFE_SQLITE
    advice = (
        "no known fault of its write-ahead log"
        if fine
        else "it can corrupt a write-ahead log when several connections write; passbox holds a lock of its own around "
        "every write, so never open a ledger with other tools while a room runs"
    )
    return Finding("sqlite", sqlite3.sqlite_version, fine, advice)


def _opendp() -> Finding:
    found = version("opendp")
    return Finding("opendp", found, found.startswith("0.16."), "noise is drawn by 0.16; another release was not tested")


def _polars() -> Finding:
    found = version("polars")
    fine = int(found.split(".")[0]) >= 2
    return Finding("polars", found, fine, "2.0 or newer is needed; `opendp[polars]` would pin an old one")


def _tool(name: str, purpose: str) -> Finding:
    path = shutil.which(name)
    return Finding(name, path or "not found", path is not None, purpose)

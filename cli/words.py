"""What people type, checked before anything is opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path


class NoRole(Exception):
    """A word on the command line that is not one of a few. rule, remedy: plain words."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(rule, remedy)
        self.rule, self.remedy = rule, remedy


class NoSuchDataset(Exception):
    """A data set that the contract does not name."""

    def __init__(self, name: str, known: str) -> None:
        super().__init__(name, known)
        self.name, self.known = name, known


def plain_name(name: str) -> str:
    """A party's name: lower case, begins with a letter. Errors: NoRole."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise NoRole("that is no name for a party", "use up to 40 of a-z, 0-9, - and _, a letter first")
    return name


def pairs(options: list[str], shape: str) -> dict[str, str]:
    """`a=b` options as a map. Errors: NoRole."""
    split = [option.partition("=") for option in options]
    if wrong := [head for head, mark, tail in split if not (head and mark and tail)]:
        raise NoRole(f"an option does not have the shape {shape} ({len(wrong)} of {len(options)})", f"write {shape}")
    return {head: tail for head, _, tail in split}


def share(text: str) -> float:
    """A count such as 250, or a share such as 1%. Errors: NoRole."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e12 or (text.endswith("%") and value >= 1):
        raise NoRole("that is no count and no share", "write a number of rows such as 250, or a share such as 1%")
    return value


def passphrase(what: Path) -> Callable[[], bytes]:
    """Asks for a passphrase on the terminal, when it is needed."""

    def ask() -> bytes:
        import getpass

        return getpass.getpass(f"passphrase of {what}: ").encode()

    return ask

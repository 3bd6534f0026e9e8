"""A stage: people who type commands in folders of their own, and hand files to each other."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .help import typed
from .show import Capture, captured, consoles, draw

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Stage:
    """Types commands as a person, in that person's folder, and keeps what they gave."""

    folder: Path
    context: typer.Context
    quiet: bool
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def console(self) -> Console:
        return consoles()[0]

    def tell(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text, style="italic", soft_wrap=not self.console.is_terminal)

    def head(self, text: str) -> None:
        if not self.quiet:
            self.console.print(f"\n{text}", style="bold")

    def type(self, person: str, command: str, *, keep: str = "", brief: bool = False) -> dict[str, Any]:
        """Type one `passbox` command; the JSON it would have printed."""
        from .explanation import STOPPED

        self._prompt(person, command)
        with contextlib.chdir(self.folder / person), captured() as capture, self._waiting():
            app, words = self.context.obj, shlex.split(command)[1:]
            if typed(app, words).main(words, prog_name="passbox", standalone_mode=False, obj=app) == STOPPED:
                raise KeyboardInterrupt
        self._show(capture, brief)
        data = dict(capture.results[-1].data)
        if keep:
            self.results[keep] = data
        return data

    def carry(self, sender: str, names: Sequence[str], *receivers: str) -> None:
        """Copy files between folders, as mail would."""
        for receiver in receivers:
            paths = [f"../{sender}/{name}" for name in names]
            self._prompt(receiver, shlex.join(["cp", "-r", *paths, "."]))
            for name in names:
                source, target = self.folder / sender / name, self.folder / receiver / Path(name).name
                if source.is_dir():
                    shutil.copytree(source, target)
                else:
                    shutil.copy(source, target)

    def gather(self, names: Mapping[str, str]) -> None:
        """Everybody copies everybody else's signature and share. names: folder to the party's name."""
        for receiver in names:
            theirs = {person: f"contract.toml.{name}.*" for person, name in names.items() if person != receiver}
            self._prompt(receiver, " ".join(["cp", *(f"../{person}/{files}" for person, files in theirs.items()), "."]))
            for person, files in theirs.items():
                for path in sorted((self.folder / person).glob(files)):
                    shutil.copy(path, self.folder / receiver)

    def _prompt(self, person: str, command: str) -> None:
        if not self.quiet:
            from rich.text import Text

            self.console.print(Text.assemble((f"{person}$ ", "cyan"), command), soft_wrap=True)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        err = consoles()[1]
        if self.quiet or not err.is_terminal:
            yield
            return
        with err.status("working"):
            yield

    def _show(self, capture: Capture, brief: bool) -> None:
        if self.quiet:
            return
        for result in capture.results:
            for part in result.parts[:1] if brief else result.parts:
                draw(self.console, part)


# -- scenes that every demo has --------------------------------------------------------------------------------------


def keys_made(stage: Stage) -> None:
    """Everybody makes keys, and hands a card to the publisher."""
    stage.head("1. Keys: everybody makes their own, and hands out a card")
    for person in ("publisher", "advertiser", "officer"):
        stage.type(person, f"passbox keys new {person}", brief=True)
    stage.type("operator", "passbox keys new host --room rooms.example/spring", brief=True)
    stage.carry("advertiser", ["advertiser.party.toml"], "publisher")
    stage.carry("officer", ["officer.party.toml"], "publisher")
    stage.carry("operator", ["host.party.toml", "host.room.toml"], "publisher")


def signed_by_all(stage: Stage) -> None:
    """Everybody signs the publisher's contract."""
    stage.carry("publisher", ["contract.toml"], "advertiser", "officer", "operator")
    signs = {"publisher": "publisher", "advertiser": "advertiser", "officer": "officer", "operator": "host"}
    for person, name in signs.items():
        stage.type(person, f"passbox contract sign contract.toml --key {name}.keys", brief=True)
    stage.gather(signs)
    stage.type("officer", "passbox contract verify contract.toml")


def verified(stage: Stage) -> None:
    """The officer verifies the ledger, and cosigns it."""
    stage.head("7. The ledger: verified by the officer from the export alone")
    stage.type("operator", "passbox ledger export spring", brief=True)
    stage.carry("operator", ["spring.ledger"], "officer")
    stage.type("officer", "passbox ledger show spring.ledger", keep="ledger")
    stage.type("officer", "passbox ledger verify spring.ledger --contract contract.toml", keep="verified")
    stage.head("8. Cosigned: from now on nobody can take back what the officer has seen")
    cosign = "passbox ledger cosign spring.ledger --contract contract.toml --key officer.keys --seen spring.seen"
    stage.type("officer", cosign)
    stage.carry("officer", ["spring.officer.cosigned"], "operator")
    stage.type("operator", "passbox ledger accept spring spring.officer.cosigned", keep="cosigned")

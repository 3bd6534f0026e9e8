"""`--help` answers in a blink, because nothing heavy is imported for it, and every command has `--json`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer.main import get_command

from passbox.cli.app import app

HEAVY = ("polars", "pyarrow", "numpy", "sklearn", "opendp", "pydantic", "cryptography", "pyrage", "rich")


def commands() -> Iterator[tuple[tuple[str, ...], object]]:
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        if inner is None:
            yield (name,), command
        else:
            yield from (((name, child), found) for child, found in inner.items())


@pytest.mark.parametrize("words", [("--help",), ("keys", "--help"), ("run", "--help"), ("demo", "--help")])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    code = f"import sys; from passbox.cli.app import run; run({list(words)!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stderr.split())
    assert "Usage: passbox" in done.stdout


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, passbox; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {*HEAVY, "typer"} & set(done.stdout.split())


@pytest.mark.parametrize(("words", "command"), list(commands()))
def test_every_command_has_json_and_says_what_it_does(words: tuple[str, ...], command: object) -> None:
    options = {option for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]
    assert "--json" in options, words
    assert command.help, words  # type: ignore[attr-defined]


def test_every_exported_name_is_there() -> None:
    import passbox

    assert all(callable(getattr(passbox, name)) for name in passbox.__all__)
    with pytest.raises(AttributeError):
        passbox.nothing  # noqa: B018

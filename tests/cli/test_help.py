"""`--help` answers in a blink, because nothing heavy is imported for it, and every command has `--json`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from passbox.cli.app import app, run
from passbox.cli.help import built, typed

Typed = Callable[..., tuple[int, str, str]]

HEAVY = ("polars", "pyarrow", "numpy", "sklearn", "opendp", "pydantic", "cryptography", "pyrage", "rich")


def commands() -> Iterator[tuple[tuple[str, ...], object]]:
    for name, command in built(app).commands.items():
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


def test_the_help_of_a_plan_says_where_to_read_whether_a_job_fits(passbox: Typed) -> None:
    """That the exit code is 0 and `fits` tells is held by tests/cleanroom/test_job.py."""
    said = " ".join(passbox("plan", "--help")[1].split())
    assert "Exit code 0 whether or not the job fits the budget: `fits` in `--json` says which." in said


@pytest.mark.parametrize(("words", "command"), list(commands()))
def test_every_command_has_json_and_says_what_it_does(words: tuple[str, ...], command: object) -> None:
    options = {option for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]
    assert "--json" in options, words
    assert command.help, words  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", [(), ("ledger",), ("contract",), ("room",), ("job",), ("keys",), ("release",)])
def test_lists_of_commands_are_whole_sentences_at_80_columns(
    words: tuple[str, ...], passbox: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = passbox(*words, "--help")
    assert code == 0
    assert "..." not in out.replace("[ARGS]...", "")
    assert max(map(len, out.splitlines())) <= 80
    listed = out.partition("Commands:\n")[2].partition("\n\n")[0]
    assert listed.rstrip().endswith(".")


def test_help_lists_the_exit_codes_and_what_is_typed_without_words_gets_it_too(passbox: Typed) -> None:
    _, out, _ = passbox("--help")
    assert "130 stopped by Ctrl-C" in " ".join(out.split())
    assert passbox() == (2, "", out)


def test_arguments_are_named_in_one_manner() -> None:
    for words, command in commands():
        named = [each for each in command.params if each.param_type_name == "argument"]  # type: ignore[attr-defined]
        assert all(each.metavar == each.metavar.upper() for each in named), words


def test_the_version_is_the_packages(passbox: Typed) -> None:
    assert passbox("--version") == (0, f"passbox {version('passbox')}\n", "")


MISTYPED = {
    "demo --people many": "`--people` takes a whole number",
    "demo --epsilon much": "`--epsilon` takes a number",
    "plan": "`ROOM` is missing",
    "job new overlap": "`--contract` is missing",
    "demo --peple 3": "there is no option `--peple`; did you mean `--people`",
    "demoo": "there is no command 'demoo'. Did you mean 'demo'?",
    "demo --people": "option '--people' requires an argument",
}


@pytest.mark.parametrize("line", MISTYPED)
def test_what_is_mistyped_is_told_in_plain_words(line: str, passbox: Typed) -> None:
    code, out, err = passbox(*line.split())
    assert (code, out) == (2, "")
    assert err.splitlines()[0].startswith(f"error: {MISTYPED[line]}")
    assert len(err.splitlines()) == 2


def test_every_exported_name_is_there() -> None:
    import passbox

    assert all(callable(getattr(passbox, name)) for name in passbox.__all__)
    with pytest.raises(AttributeError):
        passbox.nothing  # noqa: B018


def test_a_command_that_another_was_typed_before_is_run_and_none_is_passed_over(agreed: Path) -> None:
    """Only the typed command's parameters are read: what is typed after it in one process has its own."""
    assert run(["keys", "show", "publisher.keys"]) == run(["contract", "verify", "contract.toml"]) == 0
    assert run(["--", "keys", "show", "nobody.keys"]) == run(["keys", "--", "show", "nobody.keys"]) == 3
    with pytest.raises(RuntimeError):
        typed(app, ["keys", "show"]).main(["contract", "verify"], prog_name="passbox", standalone_mode=False)

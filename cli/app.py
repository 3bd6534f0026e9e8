"""`passbox`: the verbs, in the order of the job. Heavy imports happen inside the commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from . import (
    audit,
    contract,
    demo,
    doctor,
    identifiers,
    job,
    keys,
    ledger,
    model,
    prepare,
    recovery,
    release,
    room,
    text,
)
from .help import help_of, path_of, typed
from .streams import UNREAD, flushed, nobody_reads, spell

if TYPE_CHECKING:
    from .explanation import Explanation

EXIT_CODES = (
    "Exit codes: 0 done, 1 internal, 2 usage, 3 bad input, 4 signature or tampering, 5 refused by the contract, "
    "6 budget, 7 storage, 130 stopped by Ctrl-C, 141 nobody read on."
)

app = typer.Typer(
    name="passbox",
    help="A data clean room: only noisy aggregates and audience IDs leave, each paid for in a ledger.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

app.command("demo", short_help="Run the whole job in a scratch room, as its people would.")(demo.demo)
app.add_typer(keys.app, name="keys")
app.add_typer(contract.app, name="contract")
app.command("prepare")(prepare.prepare)
app.add_typer(identifiers.app, name="identifiers")
app.add_typer(room.app, name="room")
app.command("submit", short_help="Take a bundle in, verified, whole or not at all.")(room.submit)
app.command("match")(room.match)
app.add_typer(job.app, name="job")
app.command("plan", short_help="Say what a job would cost, and whether it fits.")(job.plan)
app.command("run", short_help="Run a signed job: check, pay, release, seal.")(job.run)
app.add_typer(release.app, name="release")
app.add_typer(model.app, name="model")
app.add_typer(ledger.app, name="ledger")
room.app.command("close")(recovery.close)
ledger.app.command("recover")(recovery.recover)
ledger.app.command("approve")(recovery.approve)
app.add_typer(audit.app, name="audit")
app.add_typer(text.app, name="text")
app.add_typer(doctor.app, name="doctor")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        sys.stdout.write(f"passbox {version('passbox')}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    del version


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    spell()
    code = run(sys.argv[1:] if arguments is None else list(arguments))
    unread = not flushed()
    sys.exit(code or (UNREAD if unread else 0))


def run(arguments: list[str]) -> int:
    """Run one command; its exit code. Errors become one line and a hint, or JSON."""
    as_json = "--json" in arguments
    try:
        if HELP & set(arguments):
            sys.stdout.write(help_of(app, arguments))
            return 0
        code = typed(app, arguments).main(arguments, prog_name="passbox", standalone_mode=False, obj=app)
    except SystemExit:  # of the parser, which takes a closed pipe for its own
        if nobody_reads():
            return UNREAD
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the edge: every error becomes words here
        if isinstance(error, BrokenPipeError) and nobody_reads():
            return UNREAD
        return _failed(error, arguments, as_json)
    return _failed(KeyboardInterrupt(), arguments, as_json) if code == STOPPED else int(code or 0)


HELP = {"--help", "-h"}
STOPPED = 130
"""What the parser makes of Ctrl-C."""
PAYING = ("demo", "room", "run", "ledger")
"""Verbs that may charge an account, or carry what was charged before; all others have no charge to speak of."""


def _failed(error: BaseException, arguments: list[str], as_json: bool) -> int:
    from .explanation import USAGE, tell

    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(help_of(app, arguments))
        return USAGE
    words = _words(error, arguments)
    try:
        return tell(words, as_json)
    except OSError:  # nobody reads, or nothing more can be written: the exit code says it all the same
        return words.exit


def _words(error: BaseException, arguments: list[str]) -> Explanation:
    """What the parser has to say of what was typed, or we of what went wrong."""
    if hasattr(error, "format_message"):
        from .usage import usage

        return usage(error, path_of(app, arguments))
    from .explain import explain

    return explain(error, _contract(arguments), pays=arguments[0] in PAYING)


def _contract(words: Sequence[str]) -> str:
    """The contract's file as it was typed; "" where none was."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--contract" or word.startswith("--contract="):
            return word.partition("=")[2] or following
    named = words[:1] == ["contract"] and len(words) > 2 and words[1] != "new" and not words[2].startswith("-")
    return words[2] if named else ""

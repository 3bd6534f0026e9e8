"""`passbox`: the verbs, in the order of the job. Heavy imports happen inside the commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer

from . import contract, demo, doctor, job, keys, ledger, prepare, release, room

app = typer.Typer(
    name="passbox",
    help="A data clean room: only noisy aggregates and audience IDs leave, each paid for in a ledger.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

app.command("demo")(demo.demo)
app.add_typer(keys.app, name="keys")
app.add_typer(contract.app, name="contract")
app.command("prepare")(prepare.prepare)
app.add_typer(room.app, name="room")
app.command("submit")(room.submit)
app.command("match")(room.match)
app.add_typer(job.app, name="job")
app.command("plan")(job.plan)
app.command("run")(job.run)
app.add_typer(release.app, name="release")
app.add_typer(ledger.app, name="ledger")
app.add_typer(doctor.app, name="doctor")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Run one command; its exit code. Errors become one line and a hint, or JSON."""
    from .explain import USAGE, tell

    as_json = "--json" in arguments
    if HELP & set(arguments):
        return _help(arguments)
    try:
        code = app(arguments, prog_name="passbox", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the edge: every error becomes words here
        if usage := getattr(error, "format_message", None):
            return _usage(error, usage(), as_json)
        if type(error).__name__ in ("Exit", "Abort"):
            return int(getattr(error, "exit_code", USAGE))
        return tell(error, as_json)
    return int(code) if isinstance(code, int) else 0


HELP = {"--help", "-h"}


def _help(arguments: list[str]) -> int:
    """Help for the command that the words name. Nothing is parsed, since parsing imports pydantic (60 ms)."""
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="passbox", **command.context_settings)
    for word in arguments:
        if word not in getattr(command, "commands", {}):
            break
        command = command.commands[word]
        context = command.context_class(command, info_name=word, parent=context)
    sys.stdout.write(command.get_help(context) + "\n")
    return 0


def _usage(error: BaseException, message: str, as_json: bool) -> int:
    from .explain import USAGE, Explanation
    from .show import note, print_json

    context = getattr(error, "ctx", None)
    command = context.command_path if context else "passbox"
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(message + "\n")
        return USAGE
    words = Explanation("usage", message.rstrip("."), f"`{command} --help` shows how", USAGE)
    if as_json:
        print_json(words.as_json())
    else:
        note(f"error: {words.message}", "bold red")
        note(f"hint: {words.hint}", "dim")
    return USAGE

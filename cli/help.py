"""The commands of an app: to run one of them, or its help. No signature is read but that command's: it takes long."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cache
from inspect import getdoc
from typing import Any

import typer

VERSION = "--version"
"""Asked first, it is answered before any command is looked at."""


def help_of(app: typer.Typer, arguments: Sequence[str]) -> str:
    """Help for the command that the words name."""
    command, context = _walk(app, arguments)
    for each in getattr(command, "commands", {}).values():
        each.short_help = each.short_help or _sentence(each.help or "")
    return str(command.get_help(context)) + "\n"


def path_of(app: typer.Typer, arguments: Sequence[str]) -> str:
    """The words that name a command, without what follows them."""
    return str(_walk(app, arguments)[1].command_path)


def typed(app: typer.Typer, arguments: Sequence[str]) -> Any:
    """All commands of an app, to run the one that the first words name; where they name none, any.

    Read once a process, however often it is typed in it. Of the others nothing but their names is there to be run.
    """
    words = (VERSION,) if arguments[:1] == [VERSION] else _named(app, arguments)
    return _built_for(app, words)


@cache
def _built_for(app: typer.Typer, words: tuple[str, ...]) -> Any:
    return built(_along(app, words) if words else app)


def _named(app: typer.Typer, words: Sequence[str]) -> tuple[str, ...]:
    """The words that name a command that is no group; none where the first of them do not."""
    if not words:
        return ()
    if any(each.name == words[0] for each in app.registered_commands):
        return (words[0],)
    group = next((each.typer_instance for each in app.registered_groups if each.name == words[0]), None)
    inner = _named(group, words[1:]) if group else ()
    return (words[0], *inner) if inner else ()


def built(app: typer.Typer) -> Any:
    """All commands of an app, their arguments named in capitals, as people write them."""
    command: Any = typer.main.get_command(app)
    waiting = [command]
    while waiting:
        for each in (inner := waiting.pop()).params:
            if each.param_type_name == "argument":
                each.metavar = each.metavar or each.name.upper().strip("_")
        waiting += getattr(inner, "commands", {}).values()
    return command


def _walk(app: typer.Typer, arguments: Sequence[str]) -> tuple[Any, Any]:
    """The command that the words name, as far as they do, and its context."""
    command = built(_along(app, arguments))
    context = command.context_class(command, info_name="passbox", **command.context_settings)
    for word in arguments:
        if word not in getattr(command, "commands", {}):
            break
        command = command.commands[word]
        context = command.context_class(command, info_name=word, parent=context)
    return command, context


def _along(app: typer.Typer, words: Sequence[str]) -> typer.Typer:
    """The same tree, where only commands along the words have their parameters."""
    thin = copy(app)
    thin.registered_commands = [each if each.name in words[:1] else _bare(each) for each in app.registered_commands]
    thin.registered_groups = [
        _thin(each, words[1:] if each.name in words[:1] else ()) for each in app.registered_groups
    ]
    return thin


def _bare(info: Any) -> Any:
    bare = copy(info)
    bare.help, bare.callback = info.help or getdoc(info.callback), _unread
    return bare


def _thin(info: Any, words: Sequence[str]) -> Any:
    thin = copy(info)
    thin.typer_instance = _along(info.typer_instance, words)
    return thin


def _unread() -> None:
    """Errors: RuntimeError."""
    raise RuntimeError("a command was typed whose parameters were not read")


def _sentence(text: str) -> str:
    """The first sentence, whole: what the parser makes of a long one is cut in the middle."""
    head, stop, _ = " ".join(text.split()).partition(". ")
    return head + stop.strip()

"""A process with everything imported that forks one child a command: what a run costs without its imports.

It never runs a command itself, so that its children inherit no thread pool and no open ledger. One request a line on
stdin, in JSON; for each the child's process id, and then how it ended, on stdout.

    {"in": FOLDER, "stopped": true, "do": [[WORDS...]]}               a command, stopped before its first call
    {"in": FOLDER, "reader": KEYS, "to": FILE, "do": ["look", [WORDS...], "look"]}

The second form looks at the folder (`look.py`) as often as it is told to, and types commands in between until one
fails; what it saw and how the commands ended stands in FILE, as JSON.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import pkgutil
import resource
import signal
import sys
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import look

LAYERS = {"cli", "cleanroom", "dp", "matching", "modelling", "policies"}


def import_everything() -> None:
    """Also what commands import only when they need it. The stand-alone verifier is no module: importing runs it."""
    import opendp._data  # noqa: F401
    import pyarrow.pandas_compat  # noqa: F401
    import scipy.linalg
    import scipy.special  # noqa: F401
    import typer._adapters  # noqa: F401

    import passbox
    from passbox.cli.app import app
    from passbox.cli.help import built
    from passbox.cli.help import typed as read
    from passbox.policies.document import InvalidContract
    from passbox.policies.request import parse_job

    for module in pkgutil.walk_packages(passbox.__path__, "passbox."):
        if module.name.split(".")[1] in LAYERS and not module.name.endswith("verify_ledger"):
            importlib.import_module(module.name)
    for name, command in built(app).commands.items():
        for inner in getattr(command, "commands", ("",)):
            read(app, [name, inner])
    with suppress(InvalidContract):
        parse_job(b'kind = "none"')


def typed(words: list[str]) -> int:
    """A command as a person types it; nothing is shown. Its exit code."""
    from passbox.cli.app import run

    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return run(words)


def set_clocks(years: int) -> None:
    """All clocks of this process go wrong by so much."""
    from passbox.cleanroom import room
    from passbox.cli import words

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Wrong:
            return cls.fromtimestamp(time.time() + years * 365.25 * 86_400, tz)

    room.datetime = words.datetime = Wrong


def done(request: dict[str, Any]) -> int:
    os.chdir(request["in"])
    if "years" in request:
        set_clocks(request["years"])
    if "largest" in request:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest"], resource.RLIM_INFINITY))
    if request.get("stopped"):
        os.kill(os.getpid(), signal.SIGSTOP)
    found: list[Any] = []
    code = 0
    for what in request["do"]:
        if what != "look":
            code = code or typed(what)
            found.append(code)
        else:
            found.append(look.look(Path(request["in"]), Path(request["reader"])))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if "to" in request:
        Path(request["to"]).write_text(json.dumps(found))
        return 0
    return code


def forked(request: dict[str, Any]) -> int:
    process = os.fork()
    if process == 0:
        code = 70
        try:
            code = done(request)
        except BaseException as error:  # noqa: BLE001 - a child never returns
            os.write(2, f"a child failed: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    return process


def main() -> None:
    os.environ["NO_COLOR"] = "1"
    import_everything()
    if len(sys.argv) > 1:
        import planted

        planted.PLANTS[sys.argv[1]].plant()
    gc.freeze()  # no child looks through what all of them share
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        process = forked(request)
        if request.get("stopped"):
            os.waitpid(process, os.WUNTRACED)
        print(process, flush=True)
        print(os.waitpid(process, 0)[1], flush=True)


if __name__ == "__main__":
    main()

"""Lines of a session, as the pages print them, read by a shell and run in this process.

A command of its own would spend most of its time importing what the one before had imported. The shell reads each line
as it stands (words, quotes, patterns); what it would run as `passbox` is run here instead, by the function that the
command calls, in that folder and that environment. Other lines, and those that join commands, are the shell's alone.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from passbox.cli.app import run

WORDS = 'passbox() { printf "%s\\0" "$@"; }\n'
JOINED = set("|<>;&")


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a person's shell has: this passbox, a home of its own, and a terminal as wide as the pages."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "120", **more}


def typed(line: str, folder: Path, surroundings: Mapping[str, str]) -> str:
    """What a line prints on stdout; it must succeed."""
    here = line.startswith("passbox ") and not JOINED & set(line)
    command = ["bash", "-c", WORDS + line if here else line]
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)
    code, out, err = done.returncode, done.stdout, done.stderr
    if here:
        code, out, err = _run(out.split("\0")[:-1], folder, surroundings)
    assert code == 0, f"{line}\n{out}\n{err}"
    return out


def _run(words: list[str], folder: Path, surroundings: Mapping[str, str]) -> tuple[int, str, str]:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(folder)
        for name, value in surroundings.items():
            patch.setenv(name, value)
        code = run(words)
    return code, *(stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]

"""A terminal of another alphabet, and a reader who leaves: neither is a fault of a command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import passbox.cli.streams  # noqa: F401 - names the handler

SHOW = "contract show contract.toml"


def typed(line: str, encoding: str) -> tuple[int, str, str]:
    """A command of its own, whose stdout is a pipe of that encoding."""
    done = subprocess.run(
        [sys.executable, "-m", "passbox", *line.split()],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)


@pytest.mark.usefixtures("agreed")
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_what_an_encoding_has_not_is_spelled(encoding: str) -> None:
    code, out, err = typed(SHOW, encoding)
    assert (code, "at most epsilon 3 (delta 1e-06)" in out) == (0, True), err
    assert "?" not in out + err
    frames = [line for line in out.splitlines() if line[:1] in "|+" and line]
    assert {len(line) for line in frames if "epsilon" in line} <= {
        len(line) for line in frames if "epsilon" not in line
    }
    code, out, err = typed("contract check contract.toml", encoding)
    assert (code, "epsilon 3" in out) == (0, True), err


@pytest.mark.usefixtures("agreed")
def test_errors_are_spelled_as_well() -> None:
    code, _, err = typed("plan \u03b5 job.toml", "ascii")
    assert (code, "fault" in err) == (3, False)
    assert "epsilon" in err


@pytest.mark.parametrize(("text", "said"), [("\u03b5 3", "epsilon 3"), ("\u5b57\udc80", "??"), ("\u2502", "|")])
def test_whatever_cannot_be_written_has_something_in_its_place(text: str, said: str) -> None:
    assert text.encode("ascii", "passbox").decode() == said


@pytest.mark.parametrize("line", [SHOW, f"{SHOW} --json", "--help"])
def test_where_nobody_reads_on_a_command_leaves_quietly(line: str, agreed: Path) -> None:
    """As others do before `head`: the shell says 141 of them."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "passbox", *line.split()],
            cwd=agreed,
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.usefixtures("agreed")
@pytest.mark.parametrize("as_json", ["", " --json"])
def test_where_nobody_reads_an_error_keeps_its_exit_code(as_json: str) -> None:
    command = f"{sys.executable} -m passbox contract show nothing.toml{as_json} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout == "3\n"
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("agreed")
def test_who_had_what_it_looked_for_and_left_is_no_failure() -> None:
    """All was written before the reader left."""
    command = f"{sys.executable} -m passbox {SHOW} --json | (head -c 1 >&2; sleep 3); echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "{")


@pytest.mark.usefixtures("agreed")
@pytest.mark.parametrize(("line", "code"), [(SHOW, 0), ("contract show nothing.toml", 3)])
def test_a_stdout_that_is_closed_is_no_fault(line: str, code: int) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m passbox {line} >&-"], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("agreed")
def test_a_device_that_is_full_is_told(agreed: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "passbox", *SHOW.split(), "--json"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 7
    assert b"Traceback" not in done.stderr

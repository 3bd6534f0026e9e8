"""What all tests share."""

from __future__ import annotations

import os
import shutil
import tempfile

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each core has a worker: more threads would wait, spinning

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from passbox.cli.app import run

UNHURRIED = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
"""How fast a machine is, and what else it does, is no claim of a test."""
settings.register_profile("passbox", derandomize=True, **UNHURRIED)
settings.register_profile("anew", **UNHURRIED)
settings.load_profile("passbox")
"""The same examples in every run: a change that breaks nothing turns no run red. `make fuzz` looks for new ones."""

MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30


def fit_for_files(place: Path) -> bool:
    """There is room, and programs may be run there."""
    here = place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free > ROOM
    return here and not os.statvfs(place).f_flag & os.ST_NOEXEC


# A ledger waits for its disk at every entry, on a busy one longer than all else takes. No test relies on a disk: what a
# power cut leaves of one is made from the calls that were traced (`torture.power`).
if "TMPDIR" not in os.environ and fit_for_files(MEMORY):
    tempfile.tempdir = os.environ["TMPDIR"] = str(MEMORY)

ROOT = Path(__file__).resolve().parents[1]
LONGEST = ("tests/torture/", "tests/test_package.py", "tests/statistical/", "tests/cli/test_readme.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests come first, so that at the end no core waits for another."""
    items.sort(key=lambda item: [not item.nodeid.startswith(name) for name in LONGEST])


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def passbox(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Types a command in this process: exit code, stdout, stderr."""

    def typed(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return typed

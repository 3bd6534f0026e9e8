"""What is released is whole: sdist, then the wheel from it, then a bare environment that runs the job.

Every other check passes while the wheel is empty.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

FOLDERS = {"cli", "cleanroom", "dp", "matching", "modelling", "policies"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dist/ with an sdist and the wheel that was built from it."""
    out = tmp_path_factory.mktemp("dist")
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(root)]
    subprocess.run(command, check=True, capture_output=True)
    return out


def test_the_wheel_holds_one_package_and_all_of_it(built: Path, root: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"passbox"}
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in tracked if name.split("/")[0] in FOLDERS or name in ("__init__.py", "__main__.py")}
    assert {f"passbox/{name}" for name in ours} <= set(names)


def test_the_sdist_holds_the_tests(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    assert any(name.endswith("tests/test_package.py") for name in names)
    assert not any("/.dev/" in name for name in names)


def test_a_bare_environment_runs_the_whole_job(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "bare", with_pip=True)
    binaries = tmp_path / "bare" / "bin"
    install = [binaries / "pip", "install", "--quiet", "--no-compile", wheel]
    subprocess.run(install, check=True, capture_output=True, cwd=tmp_path)
    where = "import passbox, sys; print(passbox.__file__)"
    found = subprocess.run([binaries / "python", "-c", where], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "site-packages/passbox/__init__.py" in found.stdout
    command = [binaries / "passbox", "demo", "--real", "--json", "--out", tmp_path / "demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    found_out = json.loads(done.stdout)
    assert found_out["people"] == 7043
    assert found_out["ledger"]["verified"] is True

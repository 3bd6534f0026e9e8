"""What is released is whole: sdist, then the wheel from it, then a bare environment that runs the job.

Every other check passes while the wheel is empty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


HIDING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"{{name}} is declared by nobody", name=name)

sys.meta_path.insert(0, Hidden())
"""


def declared(wheel: Path) -> set[str]:
    """Names of all distributions that the wheel's declared dependencies lead to, of those installed here."""
    found: set[str] = set()
    todo = [(metadata.PathDistribution(zipfile.Path(wheel, f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/")), {""})]
    while todo:
        distribution, extras = todo.pop()
        for line in distribution.requires or []:
            needed = Requirement(line)
            used = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
            if used and (name := canonicalize_name(needed.name)) not in found:
                found.add(name)
                todo.append((metadata.distribution(name), {"", *needed.extras}))
    return found


def test_the_wheel_runs_the_whole_job_on_what_it_declares(built: Path, tmp_path: Path) -> None:
    """In an environment that sees this one's packages, but for those that nothing declares."""
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "bare", with_pip=False)
    binaries = tmp_path / "bare" / "bin"
    (site,) = (tmp_path / "bare").glob("lib/python*/site-packages")
    install = [sys.executable, "-m", "pip", "--python", binaries / "python", "install", "--quiet", "--no-compile"]
    subprocess.run([*install, "--no-deps", wheel], check=True, capture_output=True, cwd=tmp_path)
    needed, owners = declared(wheel), metadata.packages_distributions()
    hidden = {name for name, its in owners.items() if not needed & {canonicalize_name(owner) for owner in its}}
    (site / "sitecustomize.py").write_text(HIDING.format(hidden=hidden - {"passbox"}))
    (site / "here.pth").write_text(sysconfig.get_path("purelib"))
    for name in ("pytest", "numba", "onnx"):
        refused = subprocess.run([binaries / "python", "-c", f"import {name}"], capture_output=True, check=False)
        assert b"is declared by nobody" in refused.stderr
    runs_the_whole_job(binaries, tmp_path)


@pytest.mark.long
def test_a_bare_environment_runs_the_whole_job(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "bare", with_pip=True)
    binaries = tmp_path / "bare" / "bin"
    install = [binaries / "pip", "install", "--quiet", "--no-compile", wheel]
    subprocess.run(install, check=True, capture_output=True, cwd=tmp_path)
    runs_the_whole_job(binaries, tmp_path)


def runs_the_whole_job(binaries: Path, folder: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    how: dict[str, Any] = {"capture_output": True, "text": True, "cwd": folder, "env": clean}
    where = "import passbox, sys; print(passbox.__file__)"
    found = subprocess.run([binaries / "python", "-c", where], check=True, **how)
    assert f"{binaries.parent}/" in found.stdout
    assert "site-packages/passbox/__init__.py" in found.stdout
    command = [binaries / "passbox", "demo", "--real", "--json", "--out", folder / "demo"]
    done = subprocess.run(command, check=False, **how)
    assert done.returncode == 0, done.stderr + done.stdout
    found_out = json.loads(done.stdout)
    assert found_out["people"] == 7043
    assert found_out["ledger"]["verified"] is True

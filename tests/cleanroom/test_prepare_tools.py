"""Bundles are opened by ordinary tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pyarrow.feather as feather
import pytest

from passbox.cleanroom.bundle import MEMBERS

from .party import Party


def test_unzip_and_ssh_keygen_open_a_bundle(party: Party) -> None:
    if not (shutil.which("unzip") and shutil.which("ssh-keygen")):
        pytest.skip("unzip or ssh-keygen is not installed")
    party.prepare()
    opened = unzipped(party)
    assert sorted(path.name for path in opened.iterdir()) == sorted(MEMBERS)
    public = party.world.keys("publisher").sign_public()
    (party.folder / "allowed").write_text(f'publisher namespaces="passbox-bundle" {public}\n')
    ask = ["ssh-keygen", "-Y", "verify", "-f", party.folder / "allowed", "-I", "publisher", "-n", "passbox-bundle"]
    signature = ["-s", opened / "manifest.json.sig"]
    manifest = (opened / "manifest.json").read_bytes()
    assert subprocess.run([*ask, *signature], input=manifest, check=False, capture_output=True).returncode == 0
    assert subprocess.run([*ask, *signature], input=manifest + b" ", check=False, capture_output=True).returncode != 0


def test_age_and_any_arrow_reader_open_the_data(party: Party) -> None:
    if not (shutil.which("age") and shutil.which("unzip")):
        pytest.skip("age or unzip is not installed")
    party.prepare()
    opened, key = unzipped(party), party.folder / "host.keys" / "room.seal"
    data = party.folder / "data.arrow"
    subprocess.run(["age", "-d", "-i", key, "-o", data, opened / "data.arrow.age"], check=True)
    assert feather.read_table(data).equals(party.opened())
    other = party.folder / "publisher.keys" / "seal"
    shut = subprocess.run(["age", "-d", "-i", other, opened / "data.arrow.age"], check=False, capture_output=True)
    assert shut.returncode != 0


def unzipped(party: Party) -> Path:
    target = party.folder / "opened"
    subprocess.run(["unzip", "-q", party.folder / "visitors.bundle", "-d", target], check=True)
    assert all(os.access(path, os.R_OK) for path in target.iterdir())
    return target

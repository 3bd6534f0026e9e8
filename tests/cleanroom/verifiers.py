"""The three verifiers of a ledger, each held against the same export: the product, the page, and Node's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from passbox.cleanroom.log import log_of, write_log
from passbox.cleanroom.terms import terms_of

if TYPE_CHECKING:
    from .world import World

ROOT = Path(__file__).resolve().parents[2]


def all_accept(world: World) -> None:
    """Fails where one of them does not say that all is well."""
    world.verify()
    export, terms = world.folder / "out", world.folder / "terms.json"
    write_log(log_of(world.room()), export)
    terms.write_text(json.dumps(terms_of(world.contract.read_bytes())))
    page = [sys.executable, ROOT / "cleanroom/verifier/verify_ledger.py", export, world.contract]
    node = ["node", ROOT / "docs/verify_ledger.mjs", export, terms]
    for command in (page, node):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.startswith("OK"), done.stdout

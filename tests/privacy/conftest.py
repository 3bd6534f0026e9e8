"""What the tests here share lies beside them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

DESK = Path(__file__).parents[1] / "dp" / "conftest.py"


@pytest.fixture
def desk(tmp_path: Path) -> object:
    """Somebody who runs a ledger in a folder, as in tests/dp."""
    spec = importlib.util.spec_from_file_location("desk_of_dp", DESK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.Desk(tmp_path / "ledger.sqlite")

"""The scripts of this folder run by themselves, and the tests import them as such."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

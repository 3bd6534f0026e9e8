"""The audit of `audit.py` in its short form: through the whole path, with a planted fault that it catches."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import audit

from passbox.dp.layout import Layout

ALARM = 1e-6
DRAWS = 40_000


@pytest.mark.parametrize("way", ["a count", "two keys a person", "three measures in one draw"])
def test_one_person_moves_what_leaves_as_far_as_was_paid_for_and_no_farther(way: str) -> None:
    """Too far: `ALARM`. Below .85 μ: the bound lies at .925 μ on average, with a deviation of .011: < 10^-10."""
    assert audit.proven_mu(Layout.of(audit.WAYS[way]), DRAWS, wrong=ALARM, least=0.85).holds


def test_half_the_noise_fails_the_audit() -> None:
    assert not audit.proven_mu(Layout.of(audit.WAYS["a count"]), DRAWS, audit.half_the_noise, ALARM, 0.85).holds

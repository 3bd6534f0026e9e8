"""Chance from the operating system, for people who are invented and coins that decide who is on a list."""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

from ...modelling.design import Float


def uniform(count: int) -> Float:
    """Numbers in [0, 1)."""
    words = np.frombuffer(secrets.token_bytes(8 * count), dtype="<u8")
    return np.asarray((words >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def coins(count: int, share: float) -> NDArray[np.bool_]:
    return np.asarray(uniform(count) < share, dtype=np.bool_)


def handles(count: int) -> NDArray[np.uint64]:
    """As a room has them of identifiers: each as likely as any other."""
    return np.frombuffer(secrets.token_bytes(8 * count), dtype="<u8").astype(np.uint64)


def key() -> bytes:
    """As a room has one, to split people and to break ties."""
    return secrets.token_bytes(32)

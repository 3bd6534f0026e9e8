"""What a room sees of handles that were not keyed. False alarms: below 1e-12 for each list of keyed ones."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from passbox.matching.hashing import Handles
from passbox.matching.keyed import is_known, strays


def of(raw: bytes) -> Handles:
    pairs = np.frombuffer(raw, "<u8").reshape(-1, 2)
    return Handles(pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64))


def keyed(rows: int, seed: int = 0) -> bytes:
    return hashlib.shake_256(seed.to_bytes(4, "big")).digest(16 * rows)


@pytest.mark.parametrize("rows", [0, 1, 66, 67, 100, 5_000])
def test_keyed_handles_pass(rows: int) -> None:
    lists = [of(keyed(rows, seed)) for seed in range(100)]
    assert not any(strays(each) or is_known(each) for each in lists)


PLANTED = {
    "text": b"".join(f"someone{i:09d}"[:16].encode() for i in range(100)),
    "hex": b"".join(hashlib.sha256(bytes([i])).hexdigest()[:16].encode() for i in range(100)),
    "numbers": np.arange(200, dtype="<u8").tobytes(),
    "times": np.arange(1_700_000_000, 1_700_000_200, dtype="<u8").tobytes(),
    "one half only": b"".join(keyed(1, i)[:8] + bytes(8) for i in range(100)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_put_in_the_place_of_handles_is_seen(name: str) -> None:
    assert strays(of(PLANTED[name]))


TWICE = hashlib.sha256(b"a@a.com").hexdigest().encode()
WELL_KNOWN = [
    b"", b"test@test.com", b"noemail@noemail.com", b"+10000000000", b"9774d56d682e549c", TWICE,
    b"00000000-0000-0000-0000-000000000000",
]  # fmt: skip


@pytest.mark.parametrize("value", WELL_KNOWN)
@pytest.mark.parametrize("order", ["<u8", ">u8"])
def test_a_list_that_was_hashed_and_not_keyed_gives_itself_away(value: bytes, order: str) -> None:
    plain = np.frombuffer(hashlib.sha256(value).digest()[:16], order).astype("<u8").tobytes()
    assert is_known(of(keyed(1000) + plain))

"""C3R's fingerprints, by the vectors that its own tests print, and as handles."""

from __future__ import annotations

import base64
import hashlib
from typing import get_args

import pyarrow as pa
import pytest

from passbox.matching.fingerprint import Fingerprint, c3r_fingerprint, c3r_key, collaboration, keyer
from passbox.matching.hashing import MatchKey, handles
from passbox.matching.identifiers import digests

VECTORS = [
    ("c3r@1", "some cleartext data", "02:hmac:qpQRixU/cftGhMGkt0G+cy/bKyvui15spVTEk5YYOA8="),
    ("c3r@1", "", "02:hmac:zQOr/XFsJQCQ+rkEmBw5F8u9yTs/48vLFadq2cQ5fbs="),
    ("c3r@2", "some cleartext data", "02:hmac:WRtZMlbn+zFNU5YAR0UT1S9v128kUMhV2PAJSdjGzqw="),
    ("c3r@2", "", "02:hmac:+UJjyBG1kJXUe4u0C5FTM7WaEhGl9+PB5blhAURDvnQ="),
]
KEY, CONTRACT = MatchKey(bytes(range(32))), hashlib.sha256(b"a contract").digest()
MADE = digests(pa.array(["jane@example.org", "nobody", "joe@example.org"]), "uid2@1", "email", "raw")


@pytest.mark.parametrize(("version", "text", "printed"), VECTORS)
def test_fingerprints_are_those_that_the_c3r_client_prints(version: str, text: str, printed: str) -> None:
    key = c3r_key(b"SomeFakeSecretKey", b"saltybytes", "label")
    assert c3r_fingerprint(key, text.encode(), version) == printed  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["c3r@1", "c3r@2"])
def test_a_handle_is_the_first_half_of_the_fingerprint_of_the_hash(version: Fingerprint) -> None:
    made = keyer(version, KEY, CONTRACT)(MADE)
    key = c3r_key(KEY.reveal(), collaboration(CONTRACT).encode(), "email")
    assert len(made) == 2
    for at, name in enumerate((b"jane@example.org", b"joe@example.org")):
        text = hashlib.sha256(name).hexdigest().encode()
        whole = base64.b64decode(c3r_fingerprint(key, text, version).removeprefix("02:hmac:"))  # type: ignore[arg-type]
        assert int(made.k[at]).to_bytes(8, "little") + int(made.k2[at]).to_bytes(8, "little") == whole[:16]


def test_each_way_gives_handles_of_its_own_and_ours_are_the_default_ones() -> None:
    every = {version: keyer(version, KEY, CONTRACT)(MADE).k.tolist() for version in get_args(Fingerprint)}
    assert len({tuple(each) for each in every.values()}) == 3
    assert every["passbox@1"] == handles(MADE, KEY, "email", "uid2@1").k.tolist()


@pytest.mark.parametrize("version", ["c3r@1", "c3r@2"])
def test_another_contract_or_kind_gives_other_handles(version: Fingerprint) -> None:
    other = keyer(version, KEY, hashlib.sha256(b"another").digest())(MADE)
    assert not set(other.k.tolist()) & set(keyer(version, KEY, CONTRACT)(MADE).k.tolist())
    assert c3r_key(KEY.reveal(), b"salt", "email") != c3r_key(KEY.reveal(), b"salt", "phone")

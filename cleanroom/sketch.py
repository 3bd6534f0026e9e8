"""Whether a list returns: a small keyed sketch of the people of each submission, kept and compared at their owner.

A budget is counted per owner, so a renamed, shuffled or lightly changed file refills nothing in its room. Another room
has another ledger, though, and an owner may forget that the same people stand in both. `prepare` keeps a sketch of
every list it made and says so when one returns under another contract. It is a warning and no more: whoever removes
the sketches is not warned.

The sketch is the `KEPT` smallest of AES-256(secret, first 16 bytes of each identifier's hash), of which 8 bytes are
kept: a uniform sample of the people that is the same sample in every list they are in (bottom-k MinHash; Broder 1997).
The secret is the owner's own and never leaves `NAME.keys/`: without it no guess can be tested with a sketch.

Estimated is the share J of all people of two lists that is in both, from k = 1,024 of them: it is off by .016 at most
(one standard error, sqrt(J (1 - J) / k)). Of lists of like size the share of the smaller one is as good, .02; of one
that is 40 times as long as the other it is off by .2, which is enough to notice.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from .files import sweep, sweep_of, write
from .keys import Keys, KeysUnusable

KEPT = 1024
RETURNS = 0.5
"""Share of the smaller list's people from which on a list is said to return."""


class Sketch(BaseModel):
    """One submission. people: how many. smallest: ascending, at most KEPT. contract: SHA-256 of its bytes, in hex."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contract: str
    contract_name: str
    dataset: str
    kind: str
    people: int
    smallest: list[int]


@dataclass(frozen=True, slots=True)
class Returned:
    """A list that came back. share: of the smaller list's people that are in both, estimated, 0 to 1."""

    contract: str
    contract_name: str
    dataset: str
    share: float


class Marker:
    """Numbers that stand for the hashes of identifiers in an owner's sketches, and nowhere else.

    A secret that is drawn anew is only kept by `remember`: of a list that is refused nothing stays.
    """

    def __init__(self, keys: Keys) -> None:
        """Errors: KeysUnusable where the kept secret was damaged."""
        self._at = keys.folder / "sketch.key"
        self._secret = self._at.read_bytes() if self._at.exists() else secrets.token_bytes(32)
        if len(self._secret) != 32:
            raise KeysUnusable(self._at, "it is not a key of 32 bytes", "restore the key folder from a backup")
        # one block a person: a keyed permutation of what is a hash already, so that equal blocks are equal people
        self._cipher = Cipher(algorithms.AES(self._secret), modes.ECB())  # noqa: S305

    def __call__(self, digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """A number for each. digests: of identifiers, normalised; (n, 20) or (n, 32)."""
        blocks = self._cipher.encryptor().update(np.ascontiguousarray(digests[:, :16]).data)
        return np.frombuffer(blocks, dtype="<u8")[::2].astype(np.uint64)

    def remember(self) -> None:
        """Keep the secret. Errors: OSError."""
        if not self._at.exists():
            sweep_of(self._at)
            write(self._at, self._secret, 0o600)


def smallest(marks: Iterable[NDArray[np.uint64]]) -> list[int]:
    """The sketch of people. marks: of each one's identifier, piece by piece."""
    least = np.empty(0, dtype=np.uint64)
    for piece in marks:
        mixed = np.concatenate([least, piece])
        least = np.partition(mixed, KEPT)[:KEPT] if len(mixed) > KEPT else mixed
    return [int(value) for value in np.unique(least)]


def keep(keys: Keys, sketch: Sketch) -> None:
    """Remember a submission, in the place of an earlier one of the same data set and contract. Errors: OSError."""
    folder = keys.folder / "sketches"
    folder.mkdir(mode=0o700, exist_ok=True)
    sweep(folder)
    write(folder / f"{sketch.contract}-{sketch.dataset}.json", sketch.model_dump_json().encode(), 0o600)


def returned(keys: Keys, sketch: Sketch, same_account: frozenset[str]) -> list[Returned]:
    """The lists of other contracts that this one returns. same_account: contracts whose accounts this one continues.

    Errors: KeysUnusable where a kept sketch was damaged.
    """
    found = []
    for at in sorted((keys.folder / "sketches").glob("*.json")):
        other = _read(at)
        share = shared(sketch, other)
        if other.contract not in {sketch.contract, *same_account} and other.kind == sketch.kind and share >= RETURNS:
            found.append(Returned(other.contract, other.contract_name, other.dataset, share))
    return found


def _read(at: Path) -> Sketch:
    try:
        return Sketch.model_validate(json.loads(at.read_bytes()))
    except (ValidationError, ValueError):
        raise KeysUnusable(at, "it is no sketch of a submission", "remove it: you will not be warned of it") from None


def shared(one: Sketch, other: Sketch) -> float:
    """Share of the smaller list's people that are in both, estimated."""
    union = sorted({*one.smallest, *other.smallest})[:KEPT]
    both = len({*one.smallest} & {*other.smallest} & {*union})
    if not union:
        return 0.0
    jaccard = both / len(union)
    in_both = jaccard * (one.people + other.people) / (1 + jaccard)
    return min(1.0, in_both / max(1, min(one.people, other.people)))

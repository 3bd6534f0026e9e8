"""Rows that stand for nobody: they hide how many people a list holds, for the number of rows is public.

A dummy is a handle that no identifier leads to. It matches nobody and adds nothing to any sum. Handles are all that a
list without IDs and columns consists of, so neither the room nor the other owner can tell a dummy from a person.

The code ensures: dummies are drawn from a secret of the owner's alone, for the other owner holds the match key too; a
data set of a contract always gets the same ones, the first so many of one sequence: were they drawn anew, whoever sees
two submissions would know people, who stay, from dummies, who change.
"""

from __future__ import annotations

import hmac

import numpy as np

from ..matching.hashing import Handles, merge
from ..policies.check import Refused
from ..policies.contract import DatasetRule


def refuse_padding(dataset: str, rule: DatasetRule, *, several: bool = False) -> None:
    """several: whether people are matched on several keys. Errors: Refused where a dummy would have features, could be
    chosen into an audience, or would be known by the keys that it has."""
    if several:
        raise Refused(
            "match.keys",
            "people are matched on several keys: which of them a record has would tell a dummy from a person",
            "leave out `--pad-to`",
        )
    if rule.id is not None or rule.columns:
        raise Refused(
            f"dataset.{dataset}",
            "only a list without IDs and columns is padded: a dummy with features would be learnt from, and sold",
            "leave out `--pad-to`",
        )


def with_dummies(people: Handles, rows: int, secret: bytes) -> Handles:
    """People and dummies, sorted by `k`, together so many rows. secret: the owner's, for this data set."""
    drawn = rows - len(people)
    if drawn <= 0:
        return people
    while True:
        dummies = _first(drawn, secret)
        both = Handles(np.concatenate([people.k, dummies.k]), np.concatenate([people.k2, dummies.k2]))
        kept = merge(both).kept  # a dummy that meets a person, or another dummy, gives way
        if len(kept) >= rows:
            return both.take(kept[np.argsort(both.k[kept], kind="stable")])
        drawn += rows - len(kept)


def _first(count: int, secret: bytes) -> Handles:
    """The first so many of the one sequence."""
    halves = bytearray()
    for at in range(count):
        halves += hmac.digest(secret, at.to_bytes(8, "little"), "sha256")[:16]
    pairs = np.frombuffer(bytes(halves), dtype="<u8").astype(np.uint64).reshape(-1, 2)
    return Handles(np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]))

"""A list that is read in pieces gives what it gives as a whole: the same records, counts and refusals."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passbox.cleanroom import source
from passbox.cleanroom.records import Brought, Records, records
from passbox.cleanroom.sketch import KEPT, Marker, smallest
from passbox.cleanroom.source import BadSource
from passbox.matching.fingerprint import keyer
from passbox.matching.hashing import MatchKey, handles
from passbox.matching.identifiers import digests
from passbox.policies.contract import Contract, parse

if TYPE_CHECKING:
    from pathlib import Path

    from .world import World

SECRET = bytes(range(32))
ROWS = 500


@pytest.fixture(autouse=True)
def unprobed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader alone: `test_probe` has the other process, which takes half a second for each of many files."""
    monkeypatch.setattr(source, "unpacks", lambda *_: True)


def agreed(world: World, keys: int = 1, repeats: str = "merge", arrives: str = "raw") -> Contract:
    text = world.contract.read_text().replace('identifiers.email = "raw"', f'identifiers.email = "{arrives}"')
    if keys == 2:
        text = text.replace('keys = ["email"]', f'keys = ["email", "phone"]\nrepeats = "{repeats}"\nlargest_person = 4')
        text = text.replace('scheme.email = "uid2@1"', 'scheme.email = "uid2@1"\nscheme.phone = "plain@1"')
        both = 'identifiers.email = "raw"\nidentifiers.phone = "raw"\ncountry = "none"'
        text = text.replace('identifiers.email = "raw"', both)
    return parse(text.encode())


def people(rule: Contract) -> dict[str, list[str | None]]:
    """People who come back, some under another phone or ID; values that are refused, odd, or not there."""
    number = np.random.default_rng(7).integers(0, 300, ROWS).tolist()
    emails = [None if at % 17 == 0 else "no address" if at % 19 == 0 else f"p{n}@x.org" for at, n in enumerate(number)]
    emails[5], emails[400] = "jo@example.com", "jo@münchen.de"
    region = rule.dataset["visitors"].columns["region"].values[0]
    return {
        "visitor_id": [None if at % 41 == 0 else f"v{n + at % 23 // 22}" for at, n in enumerate(number)],
        "email": emails,
        "phone": [None if at % 3 else f"+4930{n + at % 7 // 6:07d}" for at, n in enumerate(number)],
        "age": [str(18 + at % 90) for at in range(ROWS)],
        "region": ["elsewhere" if at % 29 == 0 else region for at in range(ROWS)],
        "device": [None] * ROWS,
        "topics": ["nothing" if at % 31 == 0 else "" if at % 5 else None for at in range(ROWS)],
    }


def written(path: Path, columns: dict[str, list[str | None]]) -> Path:
    pq.write_table(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}), path)
    return path


def made(path: Path, contract: Contract, world: World, dataset: str) -> Records:
    marker = Marker(world.keys("publisher"))
    return records(Brought(path, contract, dataset), keyer("passbox@1", MatchKey(SECRET), SECRET), SECRET, marker)


def shown(laid: Records) -> list[Any]:
    own = None if laid.own is None else laid.own.to_pylist()
    return [own, laid.columns.to_pydict(), laid.handles.to_pydict(), laid.people, laid.sketch, laid.report]


@pytest.mark.parametrize(("keys", "repeats"), [(1, "merge"), (2, "merge"), (2, "drop")])
@pytest.mark.parametrize("dataset", ["visitors", "buyers"])
def test_however_it_is_cut_a_list_gives_the_same_records(
    signed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: int, repeats: str, dataset: str
) -> None:
    contract = agreed(signed, keys, repeats)
    path = written(tmp_path / "people.parquet", people(contract))
    whole = made(path, contract, signed, dataset)
    assert whole.report.merged > 0 or repeats == "drop"
    assert len(whole.report.rejects) > 1
    assert len(whole.sketch) == min(whole.people, KEPT)
    alone = [1] if (keys, repeats) == (2, "merge") else []  # a row a piece takes longest
    for rows in (*alone, 7, 100, ROWS - 1):
        monkeypatch.setattr(source, "PIECE", rows)
        assert shown(made(path, contract, signed, dataset)) == shown(whole)


@pytest.mark.parametrize("times", [1, 2])
def test_handles_ascend_with_both_halves_of_each_together(signed: World, tmp_path: Path, times: int) -> None:
    """Whether or not a person is in the list more than once."""
    contract, texts = agreed(signed), [f"p{at}@x.org" for at in range(ROWS)]
    laid = made(written(tmp_path / "people.parquet", {"email": list(texts * times)}), contract, signed, "buyers")
    hashed = digests(pa.array(texts), "uid2@1", "email", "raw")
    single = handles(hashed, MatchKey(SECRET), "email", "uid2@1")
    pairs = sorted(zip(single.k.tolist(), single.k2.tolist(), strict=True))
    assert laid.handles.to_pydict() == {"k": [k for k, _ in pairs], "k2": [k2 for _, k2 in pairs]}


def test_a_sketch_is_of_the_people_who_are_in_the_list(signed: World, tmp_path: Path) -> None:
    """Marks of hashes that were made here, of the first identifier that each has."""
    contract = agreed(signed)
    columns = people(contract)
    laid = made(written(tmp_path / "people.parquet", columns), contract, signed, "buyers")
    texts = sorted({email for email in columns["email"] if email and "@" in email})
    hashed = digests(pa.array(texts), "uid2@1", "email", "raw").values
    assert laid.people == len(texts)
    assert laid.sketch == smallest([Marker(signed.keys("publisher"))(hashed)])


def test_encodings_that_differ_between_pieces_refuse_the_file(
    signed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "PIECE", 100)
    hashes = [hashlib.sha256(str(at).encode()).digest() for at in range(ROWS)]
    emails = [each.hex() for each in hashes[:-1]] + [base64.b64encode(hashes[-1]).decode()]
    path = written(tmp_path / "people.parquet", {"email": list(emails)})
    with pytest.raises(BadSource) as caught:
        made(path, agreed(signed, arrives="sha256"), signed, "buyers")
    assert "mixes encodings" in caught.value.rule

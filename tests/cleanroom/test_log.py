"""The copy of a log that an officer gets: it tells nobody's secret, replaces a copy and nothing else, and is enough."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.flat import flat_pieces
from passbox.cleanroom.log import BadLog, log_of, write_log
from passbox.cleanroom.release import Listed
from passbox.cleanroom.samples import generated
from passbox.cleanroom.submit import submit
from passbox.dp.entry import commitment_to

from .world import PEOPLE, SEEDS, World


def test_an_export_holds_no_release_and_no_secret(used: World) -> None:
    used.log()
    held = b"".join(path.read_bytes() for path in (used.folder / "export").rglob("*") if path.is_file())
    for path in (used.place / "keys").iterdir():
        assert path.read_bytes().strip() not in held
    for listed in used.place.glob("releases/*.release"):
        assert listed.read_bytes() not in held
        opened = used.open(job.Listed(listed.stem, "overlap", (), (), listed)) if "overlap" in listed.stem else None
        if opened:
            for item in opened.document["receipt"]["entries"]:
                assert item["nonce"].encode() not in held


def test_no_digest_in_an_export_tells_a_guess_about_a_list_or_a_count(used: World, tmp_path: Path) -> None:
    """Who guesses a whole list, how many of it match, or what was released finds no digest that says it is right."""
    used.log()
    released = values_in(used, next(used.place.glob("releases/overlap-*.release")))
    guesses = set(map(sha256, [*guessed_lists(tmp_path), *guessed_tables(used), *guessed_counts(released)]))
    held = b"".join(path.read_bytes() for path in (used.folder / "export").rglob("*") if path.is_file())
    found = set(re.findall("[0-9a-f]{64}", held.decode("latin-1")))
    assert len(found) > 10
    assert not found & guesses
    naive = commitment_to(b"", np.array(released))
    assert naive in guesses, "a commitment without its nonce is what these guesses find"


def guessed_lists(folder: Path) -> Iterator[bytes]:
    """The very lists of this world: as files, as e-mails and as their hashes, each alone and in some order."""
    sample = generated.write(PEOPLE, SEEDS, folder / "p", folder / "a", folder / "truth")
    for text in (sample.publisher.read_bytes(), sample.advertiser.read_bytes()):
        emails = re.findall(rb"[\w.+-]+@[\w.-]+", text)
        assert len(emails) > SEEDS / 2
        yield text
        for each in (emails, [sha256(email).encode() for email in emails]):
            yield from each
            yield from (between.join(order(each)) for between in (b"", b"\n", b",") for order in (list, sorted))


def guessed_tables(world: World) -> Iterator[bytes]:
    """What the bundles hold, unsealed."""
    for table in (world.table(name) for name in ("visitors", "buyers")):
        yield b"".join(flat_pieces(table))
        yield table.column("k").to_numpy().tobytes()


def guessed_counts(released: list[int]) -> Iterator[bytes]:
    for count in (*range(PEOPLE + 1), *released):
        yield from (form % count for form in (b"%d", b"[%d]", b'"%d"'))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def values_in(world: World, path: Path) -> list[int]:
    opened = world.open(Listed(path.stem, "overlap", (), (), path))
    values: list[int] = opened.document["receipt"]["entries"][0]["values"]
    return values


def test_an_export_replaces_an_export_and_nothing_else(used: World) -> None:
    out = used.folder / "out"
    write_log(log_of(used.room()), out)
    write_log(log_of(used.room()), out)
    (out / "my thesis.txt").write_text("mine")
    with pytest.raises(BadLog, match="something else"):
        write_log(log_of(used.room()), out)
    assert (out / "my thesis.txt").read_text() == "mine"
    (used.folder / "file").write_text("mine")
    with pytest.raises(BadLog, match="something else"):
        write_log(log_of(used.room()), used.folder / "file")


def test_verifying_needs_the_bundle_no_more(used: World) -> None:
    later = used.at(used.now + timedelta(days=1))
    later.submit("buyers", later.seeds(200, 100))
    assert not list(used.place.glob(f"datasets/buyers/{submit.__name__}"))
    assert len(list(used.place.glob("datasets/buyers/*/manifest.json"))) == 2
    assert len(list(used.place.glob("datasets/buyers/*/*.parquet"))) == 1
    later.verify()

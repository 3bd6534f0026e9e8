"""Lists padded with dummies: everybody sees the size that was asked, and nobody what is in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from passbox.cleanroom import prepare
from passbox.cleanroom.bundle import open_bundle, read_data
from passbox.cleanroom.dummies import with_dummies
from passbox.cleanroom.files import FileInTheWay
from passbox.cleanroom.prepare import NothingLeft, examine
from passbox.cleanroom.source import BadSource
from passbox.matching.hashing import Handles
from passbox.policies.check import Refused

from .party import Party


def padded(party: Party, people: range, rows: int, name: str = "buyers") -> set[int]:
    """The first halves of the handles in a bundle of those people."""
    seeds = party.csv([{"email": f"person.{n}@example.com"} for n in people], f"{name}.csv")
    task = replace(party.task(seeds, "buyers", pad_to=rows), out=party.folder / f"{name}.bundle")
    report = party.run(task, "advertiser")
    table = read_data(open_bundle(task.out), party.world.keys("host").room_seal())
    assert (report.rows, report.dummies) == (max(rows, len(people)), max(rows - len(people), 0))
    assert open_bundle(task.out).manifest.rows == table.num_rows == report.rows
    assert (table.column_names, table.column("k").to_pylist()) == (["k", "k2"], sorted(table.column("k").to_pylist()))
    return set(table.column("k").to_pylist())


def test_a_padded_list_shows_the_size_that_was_asked_and_holds_every_person(party: Party) -> None:
    people = padded(party, range(40), 0, "plain")
    shown = padded(party, range(40), 1000)
    assert (len(people), len(shown), people <= shown) == (40, 1000, True)
    assert padded(party, range(40), 40, "full") == people


def test_who_sees_two_submissions_cannot_tell_dummies_by_what_changes(party: Party) -> None:
    """Made again, under another name or of a longer list, a list has the dummies it had: the first so many."""
    people, first = padded(party, range(40), 0, "plain"), padded(party, range(40), 500, "first")
    assert padded(party, range(40), 500, "again") == first
    grown = padded(party, range(60), 500, "grown")
    dummies = first - people
    assert people <= grown
    assert (len(dummies), len(grown & dummies), grown & dummies <= dummies) == (460, 440, True)


def test_dummies_come_from_a_secret_of_the_owner_alone(party: Party) -> None:
    """The other owner holds the match key: with the same list and key, its dummies are others."""
    people, ours = padded(party, range(40), 0, "plain"), padded(party, range(40), 500, "ours")
    seal = party.folder / "advertiser.keys" / "seal"
    held = party.world.shares()
    task = replace(party.task(party.folder / "ours.csv", "buyers"), pad_to=500)
    secret = prepare._dummy_secret(task, party.world.keys("advertiser"))
    assert secret != prepare._dummy_secret(task, party.world.keys("publisher"))
    assert secret != prepare._dummy_secret(replace(task, dataset="others"), party.world.keys("advertiser"))
    assert seal.read_text().strip().encode() not in secret
    key = prepare.derive_match_key(
        prepare.open_shares(party.world.agreement, held, party.world.keys("publisher").seal_identity()),
        bytes.fromhex(party.world.agreement.digest),
    )
    theirs = with_dummies(Handles(np.zeros(0, np.uint64), np.zeros(0, np.uint64)), 500, key.reveal())
    assert not set(theirs.k.tolist()) & (ours - people)


def test_dummies_match_nobody_and_a_padded_list_counts_the_same(party: Party) -> None:
    party.prepare()
    known = set(party.opened().column("k").to_pylist())
    assert len(padded(party, range(30, 70), 0, "plain") & known) == 20
    assert len(padded(party, range(30, 70), 5000) & known) == 20


def test_a_list_that_hands_out_audiences_or_has_features_is_not_padded(party: Party) -> None:
    """A dummy with made-up features would be learnt from, and could be chosen."""
    party.refused([party.row(n) for n in range(9)], Refused, pad_to=100)
    with pytest.raises(Refused, match="IDs and columns"):
        examine(party.task(party.file()).brought, 100)


def test_a_list_longer_than_what_it_is_padded_to_is_refused(party: Party) -> None:
    seeds = party.csv([{"email": f"person.{n}@example.com"} for n in range(9)], "buyers.csv")
    before = party.files()
    with pytest.raises(BadSource, match="more than it is to be padded to"):
        party.run(party.task(seeds, "buyers", pad_to=8), "advertiser")
    assert party.files() == before
    assert examine(party.task(seeds, "buyers").brought, 20).dummies == 11


def test_another_padding_of_the_same_file_is_another_bundle(party: Party) -> None:
    seeds = party.csv([{"email": f"person.{n}@example.com"} for n in range(9)], "buyers.csv")
    assert party.run(party.task(seeds, "buyers", pad_to=20), "advertiser").written
    assert not party.run(party.task(seeds, "buyers", pad_to=20), "advertiser").written
    for other in (0, 21):
        with pytest.raises(FileInTheWay):
            party.run(party.task(seeds, "buyers", pad_to=other), "advertiser")


def test_nobody_left_is_not_hidden_by_dummies(party: Party) -> None:
    seeds = party.csv([{"email": "nobody"}], "buyers.csv")
    with pytest.raises(NothingLeft):
        party.run(party.task(seeds, "buyers", pad_to=20, most_rejects=9), "advertiser")

"""Why lists match badly, from files to what is printed: what each party is told, and when."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from passbox.cleanroom import matched
from passbox.cleanroom.prepare import Task, prepare
from passbox.cleanroom.submit import submit
from passbox.matching.identifiers import normalise
from passbox.matching.schemes import load
from passbox.matching.schemes.setting import Setting

if TYPE_CHECKING:
    from .world import World

Typed = Callable[..., tuple[int, str, str]]
PEOPLE, SEEDS = 900, 700
NOBODY = Setting("US")


def email(at: int) -> str:
    return f"Per.Son{at}+x@{'gmail.com' if at % 2 else 'mail.example'}"


def phone(at: int) -> str:
    return f"+1415555{2000 + at:04d}"


VALUES: dict[str, Callable[[int], str]] = {"email": email, "phone": phone}


def hashed(value: str, kind: str, scheme: str) -> str:
    written, algorithm = normalise(scheme, kind, value, NOBODY), load(scheme).rule(kind).hash
    assert isinstance(written, str)
    return hashlib.new(algorithm, written.encode()).hexdigest()


def write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def agree(world: World, schemes: dict[str, str], arrives: str, rule: str = "own-best", **match: str) -> World:
    """The same parties under a contract for these keys, without columns."""
    text = re.sub(r"columns\..*\n", "", world.contract.read_text())
    text = re.sub(r"  \{ job = \"lookalike\".*\n", "", text)
    text = text.replace('keys = ["email"]', f"keys = {json.dumps(list(schemes))}")
    more = [f'scheme.{kind} = "{scheme}"' for kind, scheme in schemes.items()]
    more += [f'{name} = "{value}"' for name, value in match.items()]
    text = text.replace('scheme.email = "uid2@1"', "\n".join(more))
    text = text.replace('rule = "own-best"', f'rule = "{rule}"')
    lines = "\n".join(f'identifiers.{kind} = "{arrives}"' for kind in schemes)
    return world.under(text.replace('identifiers.email = "raw"', f'{lines}\ncountry = "US"'))


def counted(world: World, lists: dict[str, list[list[str]]], **job: Any) -> Path:
    """From files to an overlap that both read. The release's file."""
    for dataset, rows in lists.items():
        owner = world.agreement.contract.dataset[dataset].owner
        out = world.folder / f"{dataset}.why.bundle"
        task = Task(write(world.folder / f"{dataset}.csv", rows), world.agreement, dataset, out)
        prepare(task, world.keys(owner), world.signer(owner), world.shares(), world.now)
        submit(world.room(), out)
    matched.match(world.room())
    return world.run("overlap", recipients=["publisher", "advertiser"], **job).release.path


# -- two hashed lists of two schemes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "agreed", "other"), [("phone", "uid2@1", "meta@1"), ("email", "google@1", "google-docs@1")]
)
def test_two_hashed_lists_of_two_schemes_are_told_of_before_and_after_they_are_paid_for(
    empty_room: World, passbox: Typed, monkeypatch: pytest.MonkeyPatch, kind: str, agreed: str, other: str
) -> None:
    """All buyers are visitors, and (almost) none of them matches. Neither party has kept raw values.

    False alarms: an interval around a count of nobody that lies above 0 by noise does not fail the test, for its upper
    end stays below 5 % of the seed but for noise of 7 standard deviations, 2e-12.
    """
    world = agree(empty_room, {kind: agreed}, "sha256")
    values = [VALUES[kind](at) if kind == "phone" else f"per.son{at}@mail.example" for at in range(PEOPLE)]
    visitors = [["visitor_id", kind], *([f"v{at}", hashed(value, kind, agreed)] for at, value in enumerate(values))]
    buyers = [[kind], *([hashed(value, kind, other)] for value in values[:SEEDS])]
    release = counted(world, {"visitors": visitors, "buyers": buyers}, epsilon=1.0)
    monkeypatch.chdir(world.folder)

    code, out, _ = passbox("prepare", "buyers.csv", "--contract", "contract.toml", "--dataset", "buyers", "--check")
    assert code == 0
    (typed,) = re.findall(r"`passbox (doctor match [^`]*)`", out)
    assert "--raw-column" in out

    code, _, err = passbox("release", "open", release, "--key", "advertiser.keys", "--contract", "contract.toml")
    assert code == 0
    (again,) = re.findall(r"`passbox (doctor match [^`]*)`", err)
    code, out, _ = passbox(*again.replace("FILE", "buyers.csv").split(), "--json")
    assert code == 0
    assert json.loads(out)["observed"]["high"] < 0.05
    (cause,) = json.loads(out)["causes"]
    assert other in cause["remedy"], "it names the schemes that may have made such hashes, and what they make"

    (world.folder / "known").write_text("\n".join(values[5:8]) + "\n")
    code, out, err = passbox(*typed.replace("FILE", "known").split(), "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["known"]["values"], found["known"]["found"]) == (3, 3)
    assert {"scheme": other, "layers": "once", "share": 1.0} in found["known"]["recipes"]
    assert {"scheme": agreed, "layers": "once", "share": 0.0} in found["known"]["recipes"]
    assert [(each["name"], each["certain"]) for each in found["causes"]] == [("scheme", True)]
    assert not [value for value in values[5:8] if value in out + err]


def test_an_overlap_of_many_says_nothing_of_the_kind(empty_room: World, passbox: Typed) -> None:
    """False alarms: noise of more than 50 standard deviations."""
    world = agree(empty_room, {"email": "uid2@1"}, "raw")
    rows = [[email(at)] for at in range(SEEDS)]
    visitors = [["visitor_id", "email"], *([f"v{at}", *row] for at, row in enumerate(rows))]
    release = counted(world, {"visitors": visitors, "buyers": [["email"], *rows]}, epsilon=1.0)
    _, _, err = passbox("release", "open", release, "--key", world.folder / "publisher.keys")
    assert "doctor" not in err


# -- several keys ------------------------------------------------------------------------------------------------------


@pytest.fixture
def wrong_emails(empty_room: World) -> tuple[World, dict[str, list[list[str]]]]:
    """Everybody matches by phone, and nobody by e-mail: the buyers' addresses were hashed by another scheme."""
    world = agree(empty_room, {"email": "uid2@1", "phone": "uid2@1"}, "sha256", rule="fall-through")
    people = range(SEEDS)
    gmail = [f"per.son{at}@gmail.com" for at in people]
    phones = [hashed(phone(at), "phone", "uid2@1") for at in people]
    visitors = [[f"v{at}", hashed(gmail[at], "email", "uid2@1"), phones[at]] for at in people]
    buyers = [[hashed(gmail[at], "email", "pair@1"), phones[at]] for at in people]
    return world, {"visitors": [["visitor_id", "email", "phone"], *visitors], "buyers": [["email", "phone"], *buyers]}


DOCTOR = ("doctor", "match", "buyers.csv", "--contract", "contract.toml", "--dataset", "buyers", "--kind", "email")


@pytest.mark.parametrize("tiers", [False, True])
def test_a_match_by_another_key_does_not_acquit_the_one_that_is_looked_at(
    wrong_emails: tuple[World, dict[str, list[list[str]]]],
    passbox: Typed,
    monkeypatch: pytest.MonkeyPatch,
    tiers: bool,
) -> None:
    """False alarms: noise of more than 8 standard deviations, 1e-15."""
    world, lists = wrong_emails
    release = counted(world, lists, epsilon=1.0, tiers=tiers)
    monkeypatch.chdir(world.folder)
    (world.folder / "known").write_text("per.son7@gmail.com\n")
    asked = (*DOCTOR, "--known", "known", "--overlap", release, "--key", "advertiser.keys")
    code, out, _ = passbox(*asked, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["observed"]["low"] > 0.8
    assert found["likely"] == ["scheme"]
    assert (found["rate"] is not None) is tiers
    if tiers:
        assert found["rate"]["high"] < 0.2, "nobody matches by e-mail"
    _, out, _ = passbox(*asked)
    assert "nothing: more rows match" not in out
    assert ("by whichever key" in out) is not tiers
    assert ("tiers = true" in out) is not tiers


def test_a_tier_below_the_best_says_nothing_of_its_own_key(
    wrong_emails: tuple[World, dict[str, list[list[str]]]], passbox: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, lists = wrong_emails
    release = counted(world, lists, epsilon=1.0, tiers=True)
    monkeypatch.chdir(world.folder)
    asked = (*DOCTOR[:-1], "phone", "--overlap", release, "--key", "advertiser.keys")
    assert json.loads(passbox(*asked, "--json")[1])["rate"] is None


def test_a_second_key_that_only_one_list_carries_counts_for_none(
    empty_room: World, passbox: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = agree(empty_room, {"email": "uid2@1", "phone": "uid2@1"}, "raw")
    head, mark, tail = world.contract.read_text().partition("[dataset.buyers]")
    world = world.under(head + mark + tail.replace('identifiers.phone = "raw"\n', ""))
    people = [[email(at), phone(at)] for at in range(SEEDS)]
    visitors = [["visitor_id", "email", "phone"], *([f"v{at}", *row] for at, row in enumerate(people))]
    release = counted(world, {"visitors": visitors, "buyers": [["email"], *([row[0]] for row in people)]}, epsilon=1.0)
    monkeypatch.chdir(world.folder)
    found = json.loads(passbox(*DOCTOR, "--overlap", release, "--key", "advertiser.keys", "--json")[1])
    assert found["rate"] == found["observed"]


# -- as C3R keys -------------------------------------------------------------------------------------------------------


def test_lists_keyed_as_c3r_does_match_through_files(empty_room: World) -> None:
    """One arrives raw and the other hashed; who matches is looked up in the room, without noise."""
    world = agree(empty_room, {"email": "uid2@1"}, "raw", fingerprint="c3r@2")
    head, mark, tail = world.contract.read_text().partition("[dataset.buyers]")
    world = world.under(head + mark + tail.replace('identifiers.email = "raw"', 'identifiers.email = "sha256"'))
    visitors = [["visitor_id", "email"], *([f"v{at}", email(at)] for at in range(PEOPLE))]
    buyers = [["email"], *([hashed(email(at), "email", "uid2@1")] for at in range(SEEDS))]
    counted(world, {"visitors": visitors, "buyers": buyers}, epsilon=1.0)
    room = world.room()
    tiers = matched.read_tiers(room, room.datasets()["visitors"], room.datasets()["buyers"])
    assert int((tiers > 0).sum()) == SEEDS

"""`passbox room`, `submit` and `match`, as an operator types them: what is said when something is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from passbox.dp.ledger import Ledger

Typed = Callable[..., tuple[int, str, str]]

CONTRACT = "--contract=contract.toml"
NEW = ["room", "new", "spring", CONTRACT, "--key=host.keys"]


@pytest.fixture
def room(passbox: Typed, agreed: Path) -> Path:
    """A room, and two bundles for it that are not submitted yet."""
    assert passbox(*NEW)[0] == 0
    for dataset, owner in (("visitors", "publisher"), ("buyers", "advertiser")):
        words = [CONTRACT, f"--dataset={dataset}", f"--key={owner}.keys"]
        assert passbox("prepare", f"{dataset}.csv", *words)[0] == 0
    return agreed / "spring"


@pytest.mark.parametrize(
    ("folder", "key", "said"),
    [
        (".", "host.keys", "such as `passbox room new spring`"),
        ("visitors.csv", "host.keys", "such as `passbox room new spring`"),
        ("nowhere/spring", "host.keys", "nowhere: there is no such folder"),
        ("spring", "publisher.keys", "it is not the operator's"),
        ("spring", "host", "did you mean `host.keys`?"),
        ("spring", "nobody.keys", "there is no such key folder"),
    ],
)
def test_a_room_that_cannot_be_made_says_what_to_type(
    folder: str, key: str, said: str, passbox: Typed, agreed: Path
) -> None:
    before = sorted(agreed.rglob("*"))
    code, _, err = passbox("room", "new", folder, CONTRACT, f"--key={key}")
    assert (code, said in err) == (3, True), err
    assert sorted(agreed.rglob("*")) == before


def test_the_keys_of_another_room_are_named_for_whose_they_should_be(passbox: Typed, agreed: Path) -> None:
    assert passbox("keys", "new", "other", "--room=rooms.example/autumn")[0] == 0
    code, _, err = passbox("room", "new", "spring", CONTRACT, "--key=other.keys")
    assert (code, "not the keys of the contract's room" in err, "use host's" in err) == (3, True, True)


def test_every_step_says_what_is_missing_and_what_comes_next(passbox: Typed, room: Path) -> None:
    _, out, err = passbox("room", "show", "spring")
    assert "not matched yet" in out
    assert "publisher/record" in out
    assert "still to come: visitors of publisher, buyers of advertiser" in err
    _, _, err = passbox("submit", "spring", "visitors.bundle")
    assert err.endswith("still to come: buyers of advertiser\n")
    code, _, err = passbox("match", "spring")
    assert (code, "buyers of advertiser is missing" in err, "`passbox submit spring BUNDLE`" in err) == (3, True, True)
    _, out, err = passbox("submit", "spring", "buyers.bundle")
    assert ("20 rows (public)" in out, "replaces" in out, err) == (True, False, "next: `passbox match spring`\n")
    _, out, err = passbox("match", "spring")
    assert "nothing changed" not in out
    assert err == "next: `passbox plan spring JOB`\n"
    assert "nothing changed: these were matched before" in passbox("match", "spring")[1]
    shown = json.loads(passbox("room", "show", "spring", "--json")[1])
    assert shown["matched"] is True
    assert {line["account"]: line["spent"] for line in shown["accounts"]} == {
        "advertiser/record": 0,
        "publisher/record": 0,
    }
    assert passbox("room", "show", "spring")[2] == "next: `passbox plan spring JOB`\n"


EVENTS = """\
[dataset.views]
owner = "publisher"
protects = "person"
rows = "events"
at_most = 3
identifiers.email = "raw"
budget = { epsilon = 3.0, delta = 1e-7 }
columns.clicked = { kind = "flag" }

[rules]"""


def test_events_leave_nothing_unmatched(passbox: Typed, drafted: Path) -> None:
    contract = drafted / "contract.toml"
    contract.write_text(contract.read_text().replace("[rules]", EVENTS))
    for name in ("publisher", "advertiser", "officer", "host"):
        assert passbox("contract", "sign", contract, f"--key={name}.keys")[0] == 0
    assert passbox(*NEW)[0] == 0
    (drafted / "views.csv").write_text("email,clicked\n" + "person.1@example.com,true\n" * 2)
    for dataset, owner in (("visitors", "publisher"), ("buyers", "advertiser"), ("views", "publisher")):
        words = [CONTRACT, f"--dataset={dataset}", f"--key={owner}.keys"]
        code, _, err = passbox("prepare", f"{dataset}.csv", *words)
        assert code == 0, err
        _, _, following = passbox("submit", "spring", f"{dataset}.bundle")
    assert following == "next: `passbox match spring`\n"
    assert json.loads(passbox("room", "show", "spring", "--json")[1])["matched"] is False
    assert passbox("match", "spring")[2] == "next: `passbox plan spring JOB`\n"
    assert json.loads(passbox("room", "show", "spring", "--json")[1])["matched"] is True
    assert "not matched yet" not in passbox("room", "show", "spring")[1]


@pytest.mark.parametrize("ran", [False, True])
def test_taking_the_place_of_an_earlier_list_is_said(
    ran: bool, passbox: Typed, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows for signed jobs is said only where there are any: tests/cleanroom/test_submit.py."""
    monkeypatch.setattr(Ledger, "used", lambda *_: ran)
    assert passbox("submit", "spring", "buyers.bundle")[0] == 0
    (room.parent / "one.csv").write_text("email\nperson.1@example.com\n")
    words = [CONTRACT, "--dataset=buyers", "--key=advertiser.keys", "--out=one.bundle"]
    assert passbox("prepare", "one.csv", *words)[0] == 0
    _, out, err = passbox("submit", "spring", "one.bundle")
    assert "1 row (public); replaces 20 rows" in out
    assert ("a signed job that was run on the rows before is refused" in err) is ran
    assert ("`serial`" in err) is ran
    _, out, err = passbox("submit", "spring", "one.bundle")
    assert ("nothing changed" in out, "is refused" in err) == (True, False)
    code, _, err = passbox("submit", "spring", "buyers.bundle")
    assert (code, "another bundle of buyers was submitted after it" in err) == (3, True)


def test_all_that_is_missing_is_missing_in_the_plural(passbox: Typed, room: Path) -> None:
    assert "visitors of publisher and buyers of advertiser are missing" in passbox("match", "spring")[2]


def test_several_releases_are_refused_in_plain_words(passbox: Typed, room: Path) -> None:
    code, _, err = passbox("release", "open", "a.release", "b.release", "--key=publisher.keys")
    assert (code, "open one at a time, such as `a.release`" in err) == (2, True)
    code, _, err = passbox("release", "export", "spring", "overlap-1", "overlap-2")
    assert (code, "there is no release overlap-" in err) == (3, True)

"""The budget follows the people: a new file, contract or room does not refill it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from passbox.cleanroom.audit import LedgerBroken, verify_log
from passbox.cleanroom.log import BadLog, log_of, read_log
from passbox.cleanroom.room import open_room
from passbox.cli.app import run
from passbox.policies.agreement import read_agreement

if TYPE_CHECKING:
    from .desk import Desk

SIGNERS = {"publisher": "publisher", "advertiser": "advertiser", "officer": "officer", "operator": "host2"}


def draft(desk: Desk, **changes: str) -> str:
    """A second contract among the same parties, for a room of another name. changes: lines to be put in."""
    operator = desk.home / "operator"
    words = ("--room", "rooms.example/summer", "--role", "operator", "--ssh-key", "host.keys/sign")
    desk.type("operator", "keys", "new", "host2", *words)
    text = (operator / "contract.toml").read_text()
    card, room = ((operator / f"host2.{kind}.toml").read_text() for kind in ("party", "room"))
    old, new = (re.search(r'(?s)\[party.host\].*?seal = "(.*?)"', text), re.search('seal = "(.*?)"', card))
    assert old
    assert new
    text = text.replace(old[1], new[1]).replace('name = "spring-lookalike"', 'name = "summer"')
    head, table, tail = text.partition("[room]")
    for name in ("name", "seal", "checkpoint"):
        line = re.search(f'{name} = ".*?"', room)
        assert line
        tail = re.sub(rf'(?m)^{name} = ".*?"', line[0], tail, count=1)
    text = head + table + tail
    for line, replacement in changes.items():
        text = re.sub(rf"(?m)^{line} = .*$", replacement, text)
    return text


def sign(desk: Desk, text: str, *more: str) -> list[int]:
    """Everybody gets the text and signs it, and then has everybody's signatures; in a folder of its own."""
    codes, made = [], {}
    for person, keys in SIGNERS.items():
        folder = desk.home / person / "summer"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "contract.toml").write_text(text)
        codes.append(desk.type(person, "contract", "sign", "summer/contract.toml", "--key", f"{keys}.keys", *more)[0])
        made |= {at.name: at.read_bytes() for at in folder.glob("contract.toml.*")}
    for person in SIGNERS:
        for name, data in made.items():
            (desk.home / person / "summer" / name).write_bytes(data)
    return codes


def continuing(desk: Desk, **changes: str) -> str:
    old = hashlib.sha256((desk.home / "operator" / "contract.toml").read_bytes()).hexdigest()
    return draft(desk, version=f'version = 1\ncontinues = ["{old}"]', **changes)


def close(desk: Desk) -> tuple[int, dict[str, object]]:
    done = desk.type("operator", "room", "close", "spring", "--next", "summer/contract.toml")
    desk.type("operator", "ledger", "export", "spring")
    return done


def go_on(desk: Desk, *more: str) -> tuple[int, dict[str, object]]:
    words = ("--contract", "summer/contract.toml", "--key", "host2.keys", *more)
    return desk.type("operator", "room", "new", "summer-room", *words)


def spent(desk: Desk, room: str) -> dict[str, int]:
    _, said = desk.type("operator", "ledger", "show", room)
    return {line["account"]: line["rho"] for line in said["accounts"]}  # type: ignore[attr-defined]


def test_the_next_room_begins_with_what_was_spent(desk: Desk) -> None:
    assert sign(desk, continuing(desk)) == [0, 0, 0, 0]
    assert close(desk)[0] == 0
    assert close(desk)[0] == 0
    code, _ = go_on(desk, "--continues", "spring.ledger")
    assert code == 0
    assert spent(desk, "summer-room") == spent(desk, "spring")
    assert all(rho > 0 for rho in spent(desk, "summer-room").values())
    assert desk.type("operator", "run", "spring", "overlap.toml")[0] == 0, "what was paid for stays to be had"
    assert desk.job(0.2, "late")[0] == 5


def test_the_verifier_needs_the_earlier_log_and_what_it_left(desk: Desk) -> None:
    sign(desk, continuing(desk))
    close(desk)
    go_on(desk, "--continues", "spring.ledger")
    desk.type("operator", "ledger", "export", "summer-room")
    export = desk.home / "operator" / "summer-room.ledger"
    agreement = read_agreement(desk.home / "officer" / "summer" / "contract.toml")
    assert verify_log(read_log(export), agreement).entries == 3
    (earlier,) = (export / "before").iterdir()
    whole = {at: at.read_bytes() for at in earlier.rglob("*") if at.is_file()}
    for part in ("checkpoint", "contract/contract.toml", "requests/*.toml"):
        at = next(earlier.glob(part))
        at.write_bytes(whole[at][:-9] + b"#" + whole[at][-8:])
        with pytest.raises((LedgerBroken, BadLog)):
            verify_log(read_log(export), agreement)
        at.write_bytes(whole[at])
    verify_log(read_log(export), agreement)
    shutil.rmtree(earlier)
    with pytest.raises(LedgerBroken, match="missing"):
        verify_log(read_log(export), agreement)


def test_an_open_or_missing_or_other_ledger_is_not_continued(desk: Desk) -> None:
    sign(desk, continuing(desk))
    desk.type("operator", "ledger", "export", "spring")
    assert go_on(desk)[0] == 3
    code, error = go_on(desk, "--continues", "spring.ledger")
    assert code == 5
    assert "still open" in str(error)
    assert not (desk.home / "operator" / "summer-room").exists()
    close(desk)
    assert go_on(desk, "--continues", "spring.ledger")[0] == 0


def test_a_contract_that_names_no_other_is_not_what_a_room_closes_for(desk: Desk) -> None:
    assert sign(desk, draft(desk, budget="budget = { epsilon = 3.0, delta = 1e-6, together = 6 }")) == [0, 0, 0, 0]
    assert close(desk)[0] == 5


def test_a_second_contract_must_say_what_both_allow(desk: Desk) -> None:
    """ε does not add up: twice a cap of ε 3 is less than ε 6. Who owns no data has nothing to state."""
    assert sign(desk, draft(desk)) == [5, 5, 0, 0]
    code, error = desk.type("publisher", "contract", "sign", "summer/contract.toml", "--key", "publisher.keys")
    needed = re.search(r"allow ε (\S+) on", str(error))
    assert (code, bool(needed)) == (5, True)
    assert needed
    assert 3 < float(needed[1]) < 6
    less = float(needed[1]) - 0.01
    stating = draft(desk, budget=f"budget = {{ epsilon = 3.0, delta = 1e-6, together = {less:.2f} }}")
    assert sign(desk, stating)[0] == 5
    stating = draft(desk, budget=f"budget = {{ epsilon = 3.0, delta = 1e-6, together = {needed[1]} }}")
    assert sign(desk, stating)[:1] == [0]


def test_a_draft_that_nobody_got_does_not_count(desk: Desk) -> None:
    shutil.copy(desk.home / "publisher" / "contract.toml", desk.home / "publisher" / "old.toml")
    sign(desk, draft(desk))
    sent = ("summer/contract.toml", "--key", "publisher.keys", "--instead-of", "contract.toml")
    code, error = desk.type("publisher", "contract", "sign", *sent)
    assert code == 5
    assert "was sent" in str(error)
    words = ("summer/contract.toml", "--key", "publisher.keys", "--instead-of", "old.toml")
    assert desk.type("publisher", "contract", "sign", *words)[0] == 0


def test_the_same_owner_under_another_name_keeps_its_account(desk: Desk) -> None:
    text = (
        continuing(desk).replace("[party.publisher]", "[party.daily]").replace('owner = "publisher"', 'owner = "daily"')
    )
    text = text.replace('ask = ["publisher', 'ask = ["daily').replace(
        'recipients = ["publisher', 'recipients = ["daily'
    )
    assert sign(desk, text) == [0, 0, 0, 0]
    close(desk)
    assert go_on(desk, "--continues", "spring.ledger")[0] == 0
    assert spent(desk, "summer-room")["daily/record"] == spent(desk, "spring")["publisher/record"]


def test_no_more_is_carried_than_the_next_contract_allows(desk: Desk) -> None:
    sign(desk, continuing(desk, budget="budget = { epsilon = 0.01, delta = 1e-6 }"))
    stays_open(desk, "more of")


def stays_open(desk: Desk, rule: str) -> None:
    """What is closed stays closed, so a contract under which nothing could go on closes nothing."""
    code, error = close(desk)
    assert code == 5
    assert rule in str(error)
    assert desk.job(0.1, "still")[0] == 0


def test_a_contract_for_a_room_of_the_same_name_closes_nothing(desk: Desk) -> None:
    """Two logs under one name would be a fork to every witness."""
    text = (desk.home / "operator" / "contract.toml").read_text()
    old = hashlib.sha256(text.encode()).hexdigest()
    for person, keys in SIGNERS.items():
        folder = desk.home / person / "summer"
        folder.mkdir(exist_ok=True)
        (folder / "contract.toml").write_text(text.replace("version = 1", f'version = 1\ncontinues = ["{old}"]'))
        name = keys.replace("host2", "host")
        assert desk.type(person, "contract", "sign", "summer/contract.toml", "--key", f"{name}.keys")[0] == 0
        for made in folder.glob("contract.toml.*"):
            (desk.home / "operator" / "summer").mkdir(exist_ok=True)
            (desk.home / "operator" / "summer" / made.name).write_bytes(made.read_bytes())
    stays_open(desk, "is called")


def test_a_file_submitted_again_does_not_refill(desk: Desk) -> None:
    """Renamed, shuffled, a hundredth of it changed: it is charged to the same account."""
    publisher = desk.home / "publisher"
    before = spent(desk, "spring")
    head, *rows = (publisher / "visitors.csv").read_text().splitlines()
    changed = [row.replace("@", f"{at}@") if at % 100 == 0 else row for at, row in enumerate(rows)]
    (publisher / "renamed.csv").write_text("\n".join([head, *reversed(changed)]) + "\n")
    words = ("renamed.csv", "--contract", "contract.toml", "--dataset", "visitors", "--key", "publisher.keys")
    assert desk.type("publisher", "prepare", *words, "--max-rejects", "5", "--out", "again.bundle")[0] == 0
    shutil.copy(publisher / "again.bundle", desk.home / "operator")
    assert desk.type("operator", "submit", "spring", "again.bundle")[0] == 0
    assert spent(desk, "spring") == before
    desk.type("operator", "match", "spring")
    assert desk.job(0.3, "again")[0] == 0
    assert all(rho > before[name] for name, rho in spent(desk, "spring").items())


def test_a_room_logs_that_it_was_closed_and_for_what(desk: Desk) -> None:
    text = continuing(desk)
    sign(desk, text)
    close(desk)
    entries = [json.loads(entry) for entry in log_of(open_room(Path(desk.home / "operator" / "spring"))).entries]
    assert entries[-1]["kind"] == "closed"
    assert entries[-1]["next"] == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("continues", [False, True])
def test_the_owner_is_told_that_a_list_returns(desk: Desk, continues: bool) -> None:
    """Under another contract; not where the one continues the other."""
    stating = "budget = { epsilon = 3.0, delta = 1e-6, together = 6 }"
    assert sign(desk, continuing(desk) if continues else draft(desk, budget=stating))[0] == 0
    words = ("visitors.csv", "--contract", "summer/contract.toml", "--dataset", "visitors", "--key", "publisher.keys")
    code, said = desk.type("publisher", "prepare", *words, "--max-rejects", "5", "--out", "summer.bundle")
    assert code == 0
    assert [each["dataset"] for each in said["returned"]] == ([] if continues else ["visitors"])  # type: ignore[attr-defined]


def test_a_run_that_is_refused_says_that_the_ledger_has_it(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    def denials() -> int:
        _, said = desk.type("operator", "ledger", "show", "spring")
        return sum(entry["kind"] == "denial" for entry in said["entries"])  # type: ignore[attr-defined]

    before = denials()
    assert desk.job(9.0, "dear")[0] in (5, 6)
    assert denials() == before + 1
    assert run(["run", "spring", "dear.toml"]) in (5, 6)
    assert "the refusal stands in the ledger now" in capsys.readouterr().err

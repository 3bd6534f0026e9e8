"""`passbox contract`, as typed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Typed = Callable[..., tuple[int, str, str]]

CARDS = [f"--party={name}.party.toml" for name in ("publisher", "advertiser", "officer", "host")]


def one_object(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_sound_contract_is_said_in_sentences(passbox: Typed, agreed: Path) -> None:
    code, out, _ = passbox("contract", "check", "contract.toml")
    assert code == 0
    assert "no mistakes" in out
    assert "host operates the room and owns no data" in out


def test_who_signs_reads_caps_window_and_readers_in_plain_words(passbox: Typed, drafted: Path) -> None:
    out = passbox("contract", "show", "contract.toml")[1]
    assert "advertiser lets at most ε 3 (δ 1e-06) of buyers be spent in all, on who is in this list" in out
    assert "only publisher and advertiser may read it" in out
    assert "up to 25% of a cap may be spent before officer cosigns the ledger, and no more until then" in out
    path = drafted / "contract.toml"
    path.write_text(re.sub("^cosign = .*$", "", path.read_text(), flags=re.MULTILINE))
    assert "nobody cosigns the ledger" in passbox("contract", "show", "contract.toml")[1]
    path.write_text(re.sub("^smallest_seed = .*$", "smallest_seed = 1", path.read_text(), flags=re.MULTILINE))
    assert "a seed has at least 1 row, an audience" in passbox("contract", "show", "contract.toml")[1]


def test_no_job_is_called_possible_that_the_account_of_its_owner_does_not_hold(passbox: Typed, drafted: Path) -> None:
    """A quarter of ε 8 would hold a job of ε 3.67 about exposures, which share an account of ε 3 with the visitors."""
    path = drafted / "contract.toml"
    table = (
        '[dataset.exposures]\nowner = "publisher"\nprotects = "person"\nidentifiers.email = "raw"\nrows = "events"\n'
    )
    events = f"{table}at_most = 5\nbudget = {{ epsilon = 8.0, delta = 1e-7 }}\n[rules]"
    path.write_text(path.read_text().replace("[rules]", events, 1))
    code, out, err = passbox("contract", "check", "contract.toml")
    assert code == 0, out + err
    (largest,) = re.findall(r"ε ([0-9.]+) to exposures", out)
    assert 1.2 < float(largest) < 1.8
    assert "at most ε 8" not in out


ALLOW = """allow = [
  { job = "lookalike", ask = ["publisher"], recipients = ["publisher"] },
  { job = "model", ask = ["publisher"], recipients = ["publisher"] },
  { job = "completion", ask = ["publisher"], recipients = ["publisher"] },
  { job = "completion", ask = ["advertiser"], recipients = ["advertiser"] },
  { job = "overlap", ask = ["publisher"], recipients = ["publisher"] },
]
"""
CLIENTS = """[dataset.clients]
owner = "advertiser"
protects = "person"
identifiers.email = "raw"
budget = { epsilon = 3.0, delta = 1e-6 }
columns.plan = { kind = "category", values = ["small", "large"] }

"""


@pytest.mark.parametrize("clients", [False, True])
def test_each_kind_of_job_that_learns_from_people_is_shown_with_its_threat_model(
    passbox: Typed, drafted: Path, clients: bool
) -> None:
    """A completion has that of what is wanted; the advertiser has no own IDs, so that no completion is its."""
    path = drafted / "contract.toml"
    text = re.sub(r"^allow = \[.*?^\]\n", ALLOW, path.read_text(), flags=re.MULTILINE | re.DOTALL)
    text = text.replace("[dataset.buyers]\n", '[dataset.buyers]\ncolumns.garden = { kind = "flag" }\n')
    path.write_text(text.replace("[rules]", CLIENTS + "[rules]") if clients else text)
    _, out, err = passbox("contract", "show", "contract.toml")
    said, both = " ".join(out.split()), "`membership` or `person`" if clients else "`membership`"
    assert "may ask for lookalike (threat model `membership`); only publisher" in said, err
    assert "may ask for model (threat model `person`); only publisher" in said
    assert f"may ask for completion (threat model {both}); only publisher" in said
    assert "may ask for completion; only advertiser" in said
    assert "may ask for overlap; only" in said
    assert "threat model `person`: everything about a person is secret" in said
    allow = one_object(passbox("contract", "show", "contract.toml", "--json")[1])["rules"]["allow"]
    either = ["membership", "person"] if clients else ["membership"]
    assert [rule.get("threat_models") for rule in allow] == [["membership"], ["person"], either, None, None]


LEARNS = """allow = [
  { job = "lookalike", ask = ["publisher"], recipients = ["publisher"] },
  { job = "model", ask = ["advertiser"], recipients = ["advertiser"] },
  { job = "overlap", ask = ["publisher"], recipients = ["publisher"] },
]
"""


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_contract_under_which_nothing_can_be_learnt_is_warned_of(command: str, passbox: Typed, drafted: Path) -> None:
    path = drafted / "contract.toml"
    text = re.sub(r"^allow = \[.*?^\]\n", LEARNS, path.read_text(), flags=re.MULTILINE | re.DOTALL)
    path.write_text(text)
    assert "warning" not in passbox("contract", command, "contract.toml")[2]
    path.write_text(re.sub(r"^columns\..*\n", "", text, flags=re.MULTILINE))
    code, out, err = passbox("contract", command, "contract.toml", "--json")
    assert code == 0
    told = one_object(out)["warnings"]
    assert [line.partition(":")[0] for line in told] == [
        "every lookalike will be refused",
        "every model will be refused",
    ]
    assert "visitors has no columns to learn from" in told[0]
    code, out, err = passbox("contract", command, "contract.toml")
    assert err.count("warning: ") == 2


def test_the_largest_single_charge_is_what_the_window_lets_through(drafted: Path) -> None:
    """What `contract show` says of one job alone is what the ledger would take, and not a step more."""
    from passbox.cli.contract import _window
    from passbox.dp.accounting import rho_within
    from passbox.dp.budget import Budget, Epsilon
    from passbox.policies.contract import parse

    contract = parse((drafted / "contract.toml").read_bytes())
    window, rule = contract.window(), contract.dataset["buyers"].budget.budget()
    said = float(re.search(r"ε ([\d.]+) to buyers", _window(contract))[1])  # type: ignore[index]
    assert window is not None
    most = window.most(rho_within(rule))
    assert rho_within(Budget(Epsilon(said), rule.delta)) <= most < rho_within(Budget(Epsilon(said + 0.02), rule.delta))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["contract", "check", "host.party.toml"], "it is a card, not a contract"),
        (["contract", "show", "host.room.toml"], "it is a card, not a contract"),
        (["contract", "sign", "host.room.toml", "--key=host.keys"], "it is a card, not a contract"),
        (["contract", "new", "--party=contract.toml", "--room=host.room.toml"], "it is a contract, not a party card"),
        (["contract", "new", *CARDS, "--room=host.party.toml"], "it is a party card, not a room card"),
        (["contract", "new", "--party=host.room.toml", "--room=host.room.toml"], "it is a room card, not a party card"),
        (["contract", "sign", "contract.toml", "--key=officer"], "did you mean `officer.keys`?"),
        (["contract", "sign", "contract.toml", "--key=."], "this is no key folder"),
        (["contract", "sign", "contract.toml", "--key=nobody.keys"], "there is no such key folder"),
    ],
)
def test_a_file_that_was_mixed_up_is_named_for_what_it_is(
    command: list[str], said: str, passbox: Typed, agreed: Path
) -> None:
    code, out, err = passbox(*command)
    assert (code, said in out + err) == (3, True), out + err


def test_after_all_have_signed_each_party_is_told_its_own_part(passbox: Typed, agreed: Path) -> None:
    _, out, err = passbox("contract", "verify", "contract.toml")
    for told in ("visitors --key publisher.keys", "buyers --key advertiser.keys", "room new FOLDER"):
        assert told in out
    for name in ("publisher", "advertiser", "host"):
        (agreed / f"{name}.keys").rename(agreed / f"{name}.elsewhere")
    _, out, err = passbox("contract", "verify", "contract.toml")
    assert "ledger verify" in err
    assert "prepare" not in out + err


def test_check_lists_every_mistake_at_once(passbox: Typed, drafted: Path) -> None:
    text = (drafted / "contract.toml").read_text()
    text = text.replace('operator = "host"', 'operator = "ghost"').replace("epsilon = 3.0", 'epsilon = "much"')
    (drafted / "contract.toml").write_text("colour = 1\n" + text.replace("uid2@1", "uid2@9"))
    code, out, err = passbox("contract", "check", "contract.toml")
    assert code == 3
    for place in ("colour", "room.operator", "budget.epsilon", "match.scheme.email"):
        assert place in out
    assert err.splitlines() == ["error: contract.toml: 5 mistakes", "hint: mend them and type it again"]
    code, out, err = passbox("contract", "check", "contract.toml", "--json")
    data = one_object(out)
    assert (code, err, data["valid"], len(data["mistakes"])) == (3, "", False, 5)
    assert data["error"]["exit"] == 3


def test_one_mistake_is_told_in_the_singular(passbox: Typed, drafted: Path) -> None:
    (drafted / "contract.toml").write_text("colour = 1\n" + (drafted / "contract.toml").read_text())
    _, _, err = passbox("contract", "check", "contract.toml")
    assert err.splitlines() == ["error: contract.toml: 1 mistake", "hint: mend it and type it again"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"version = 1\nversion = 1",
        b"a = " + b"[" * 50_000,
        b".".join([b"a"] * 50_000),
        b"x" * 2_000_000,
    ],
)
def test_check_never_crashes(data: bytes, passbox: Typed, drafted: Path) -> None:
    (drafted / "contract.toml").write_bytes(data)
    code, _, err = passbox("contract", "check", "contract.toml")
    assert code == 3
    assert "fault in passbox" not in err


def test_check_of_an_expired_contract_says_so(passbox: Typed, drafted: Path) -> None:
    path = drafted / "contract.toml"
    path.write_text(path.read_text().replace("2099-03-31", "2020-03-31"))
    code, out, _ = passbox("contract", "check", "contract.toml")
    assert code == 3
    assert "this day has passed" in out
    assert passbox("contract", "sign", "contract.toml", "--key", "officer.keys")[0] == 3
    assert passbox("contract", "show", "contract.toml")[0] == 0


COMMANDS = {
    "check": ["contract", "check", "contract.toml"],
    "show": ["contract", "show", "contract.toml"],
    "sign": ["contract", "sign", "contract.toml", "--key", "officer.keys"],
    "verify": ["contract", "verify", "contract.toml"],
    "prepare": ["prepare", "visitors.csv", "--contract=contract.toml", "--dataset=visitors", "--key=publisher.keys"],
    "prepare --check": ["prepare", "visitors.csv", "--contract=contract.toml", "--dataset=visitors", "--check"],
    "room new": ["room", "new", "spring", "--contract=contract.toml", "--key=host.keys"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("old", "new"), [("3.0", "4.0"), ("version = 1", "version = 2"), ("[room]", "[room")])
def test_one_character_changed_after_signing_and_every_command_names_the_signature(
    command: str, old: str, new: str, passbox: Typed, agreed: Path
) -> None:
    path = agreed / "contract.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    before = sorted(agreed.iterdir())
    code, out, err = passbox(*COMMANDS[command])
    assert code == 4
    assert "the signature of " in err
    assert "changed after it was signed" in err
    assert sorted(agreed.iterdir()) == before
    code, out, err = passbox(*COMMANDS[command], "--json")
    assert (code, one_object(out)["error"]["rule"]) == (4, "signature-broken")


def test_json_says_of_every_party_where_it_stands_beside_the_signature_that_is_broken(
    passbox: Typed, agreed: Path
) -> None:
    signature = agreed / "contract.toml.officer.sig"
    signature.write_text((agreed / "contract.toml.host.sig").read_text())
    code, out, _ = passbox("contract", "verify", "contract.toml", "--json")
    said = one_object(out)
    assert (code, said["error"]["rule"], said["verified"]) == (4, "signature-broken", False)
    assert {name: row["signature"] == "signed" for name, row in said["parties"].items()} == {
        "publisher": True,
        "advertiser": True,
        "officer": False,
        "host": True,
    }


def test_a_contract_with_escape_sequences_in_its_keys_cannot_move_the_cursor(passbox: Typed, drafted: Path) -> None:
    path = drafted / "contract.toml"
    path.write_text('"\\u001b[2J\\u202e" = 1\n' + path.read_text())
    code, out, err = passbox("contract", "check", "contract.toml")
    assert code == 3
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err


def test_verify_shows_every_partys_state(passbox: Typed, agreed: Path) -> None:
    code, out, _ = passbox("contract", "verify", "contract.toml", "--json")
    data = one_object(out)
    assert (code, data["verified"]) == (0, True)
    assert data["parties"]["host"] == {"signature": "signed", "share": "-"}
    (agreed / "contract.toml.officer.sig").unlink()
    code, out, err = passbox("contract", "verify", "contract.toml")
    assert code == 4
    assert "missing" in out
    assert "not signed by officer" in err


def test_a_planted_share_is_named(passbox: Typed, agreed: Path) -> None:
    (agreed / "contract.toml.advertiser.share").write_bytes((agreed / "contract.toml.publisher.share").read_bytes())
    for command in (COMMANDS["verify"], COMMANDS["prepare"]):
        code, _, err = passbox(*command)
        assert code == 4
        assert "made for another contract or by another party" in err


def test_new_refuses_to_overwrite_an_edited_draft(passbox: Typed, drafted: Path) -> None:
    new = ["contract", "new", *CARDS, "--room=host.room.toml", "--from=visitors.csv", "--expires=2099-03-31"]
    assert passbox(*new)[0] == 0
    path = drafted / "contract.toml"
    path.write_text(path.read_text() + "# edited\n")
    code, _, err = passbox(*new)
    assert code == 3
    assert "another file is there" in err
    assert path.read_text().endswith("# edited\n")


@pytest.mark.parametrize(
    ("option", "code"),
    [
        ("--name=Bad Name", 2),
        ("--people=x y", 2),
        ("--people=buyers", 3),
        ("--match=email", 2),
        ("--match=email=nobody@1", 3),
        ("--match=a b=c", 3),
        ("--seed-identifier=md5", 2),
        ("--expires=tomorrow", 2),
        ("--expires=2020-01-01", 2),
        ("--epsilon=nan", 3),
        ("--epsilon=-1", 3),
        ("--smallest-seed=0", 3),
        ("--purpose=\x1b[2J", 3),
        ("--party=publisher.party.toml", 3),
        ("--room=nowhere.toml", 3),
        ("--from=nowhere.csv", 3),
    ],
)
def test_a_wish_that_makes_no_contract_writes_none(option: str, code: int, passbox: Typed, drafted: Path) -> None:
    (drafted / "contract.toml").unlink()
    new = ["contract", "new", *CARDS, "--room=host.room.toml", option]
    if option.startswith("--room"):
        new.remove("--room=host.room.toml")
    got, out, err = passbox(*new)
    assert got == code
    assert err.startswith("error: ")
    assert "fault in passbox" not in err
    assert "\x1b" not in out + err
    assert not (drafted / "contract.toml").exists()


def test_a_card_cannot_write_into_the_contract(passbox: Typed, drafted: Path) -> None:
    (drafted / "contract.toml").unlink()
    card = drafted / "officer.party.toml"
    card.write_text(card.read_text().replace('name = "officer"', 'name = "x]\\n[rules"'))
    assert passbox("contract", "new", *CARDS, "--room=host.room.toml")[0] == 3
    assert not (drafted / "contract.toml").exists()


def test_a_file_without_a_header_puts_nobody_into_the_draft(passbox: Typed, drafted: Path) -> None:
    (drafted / "contract.toml").unlink()
    (drafted / "visitors.csv").write_text("V-1,secret@example.com,34,north\n" * 100)
    code, out, err = passbox("contract", "new", *CARDS, "--room=host.room.toml", "--from=visitors.csv")
    assert code == 3
    assert "secret" not in out + err
    assert not (drafted / "contract.toml").exists()


def test_a_key_elsewhere_is_told_what_to_type_and_what_comes_next(passbox: Typed, drafted: Path) -> None:
    (drafted / "id.pub").write_bytes((drafted / "publisher.keys" / "sign.pub").read_bytes())
    (drafted / "publisher.keys").rename(drafted / "elsewhere")
    (drafted / "publisher.party.toml").unlink()
    assert passbox("keys", "new", "publisher", "--ssh-key", "id.pub")[0] == 0
    (drafted / "publisher.keys" / "seal").write_bytes((drafted / "elsewhere" / "seal").read_bytes())
    code, out, err = passbox("contract", "sign", "contract.toml", "--key", "publisher.keys")
    assert code == 0
    assert "NOT signed yet" in out
    assert "nothing is signed" in err
    assert out.count("ssh-keygen -Y sign") == 2
    assert "--signature contract.toml.sig" in out
    assert "--share-signature publisher.keys/contract.toml.publisher.share.unsigned.sig" in out
    code, _, err = passbox("contract", "sign", "contract.toml", "--key", "publisher.keys", "--signature", "id.pub")
    assert code == 4
    assert "it is not a signature" in err
    code, _, err = passbox(*COMMANDS["prepare"])
    assert code == 4


@pytest.mark.parametrize(
    ("column", "cells", "said"),
    [
        ("email", ["ab" * 32] * 3, 'identifiers.email = "sha256"'),
        ("mail", ["a@example.com"] * 3, "--column email=COLUMN"),
    ],
)
def test_a_file_that_is_not_as_the_contract_says_is_told_the_line_and_the_flag(
    column: str, cells: list[str], said: str, passbox: Typed, agreed: Path
) -> None:
    (agreed / "buyers.csv").write_text("\n".join([column, *cells, ""]))
    prepare = ["prepare", "buyers.csv", "--contract=contract.toml", "--dataset=buyers"]
    for more in (["--check"], ["--key=advertiser.keys"]):
        _, out, err = passbox(*prepare, *more)
        assert said in err, out + err
        assert cells[0] not in out + err


def test_a_draft_says_what_its_file_has_no_audience_for(passbox: Typed, agreed: Path) -> None:
    """Neither own IDs nor enough people: found out before four parties signed."""
    people = "".join(f"c{at},p{at}@example.com,{at % 2}\n" for at in range(60))
    (agreed / "people.csv").write_text("customer,email,flag\n" + people)
    code, out, err = passbox("contract", "new", *CARDS, "--room=host.room.toml", "--from=people.csv", "--out=own.toml")
    assert (code, "1 column is proposed" in out) == (0, True)
    assert 'write `id = "COLUMN"` under [dataset.visitors]' in err
    assert "the file is of 60 people and rules.smallest_audience is 5,000" in err
    lacking = "visitors has no column of publisher's own IDs"
    assert lacking in passbox("contract", "check", "own.toml")[1]
    text = (agreed / "own.toml").read_text().replace("[dataset.visitors]", '[dataset.visitors]\nid = "customer"')
    (agreed / "own.toml").write_text(text)
    code, out, _ = passbox("contract", "check", "own.toml")
    assert (code, lacking in out) == (0, False)


def test_what_was_not_proposed_for_one_reason_stands_in_one_line(passbox: Typed, agreed: Path) -> None:
    (agreed / "people.csv").write_text("mail,region\n" + "x@example.com,north\n" * 20)
    _, out, _ = passbox("contract", "new", *CARDS, "--room=host.room.toml", "--from=people.csv", "--out=own.toml")
    assert "nothing was proposed for mail, region: no column is named email" in out

"""`passbox contract`: draft, check, show, sign and verify what the parties agree on."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .show import JsonFlag, Result, Table, note, say

if TYPE_CHECKING:
    from ..policies.contract import Contract
    from ..policies.template import Draft

app = typer.Typer(help="Draft, check, show, sign and verify a contract.", no_args_is_help=True)

ContractFile = Annotated[Path, typer.Argument(help="contract.toml")]


@app.command("new")
def new(
    party: Annotated[list[Path], typer.Option(help="a party's card, NAME.party.toml; once for each party")],
    room: Annotated[Path, typer.Option(help="the room's card, NAME.room.toml")],
    name: Annotated[str, typer.Option(help="a short name for the contract")] = "lookalike",
    purpose: Annotated[str, typer.Option(help="why, in one sentence")] = "find more people like the buyers",
    expires: Annotated[str, typer.Option(help="last day, YYYY-MM-DD [default: in 90 days]")] = "",
    people: Annotated[str, typer.Option(help="name of the publisher's data set")] = "visitors",
    seed: Annotated[str, typer.Option(help="name of the advertiser's data set")] = "buyers",
    from_: Annotated[
        Path | None, typer.Option("--from", help="propose columns from the publisher's own file, to be edited")
    ] = None,
    match: Annotated[str, typer.Option(help="identifier kind and scheme")] = "email=uid2@1",
    people_identifier: Annotated[str, typer.Option(help="raw or sha256: how the publisher's file holds it")] = "raw",
    seed_identifier: Annotated[str, typer.Option(help="raw or sha256: how the advertiser's file holds it")] = "raw",
    epsilon: Annotated[float, typer.Option(help="budget of each data set")] = 3.0,
    smallest_seed: Annotated[int, typer.Option(help="fewest rows of a seed list")] = 1000,
    smallest_audience: Annotated[int, typer.Option(help="fewest people of an audience")] = 5000,
    out: Annotated[Path, typer.Option(help="where to write it")] = Path("contract.toml"),
    as_json: JsonFlag = False,
) -> None:
    """Write a first draft of a contract, explained line by line, for the publisher to edit."""
    from ..cleanroom.files import write_new
    from ..policies.template import draft

    facts, left_out = _facts(
        party, room, name, purpose, expires, people, seed, from_, match,
        people_identifier, seed_identifier, epsilon, smallest_seed, smallest_audience,
    )  # fmt: skip
    written = write_new(out, draft(facts).encode(), same_is_fine=True)
    lines = [f"wrote `{out}`" if written else f"`{out}` is here already, nothing changed"]
    lines.append(f"{len(facts.columns)} columns are proposed" if facts.columns else "no columns are proposed: add them")
    if left_out:
        lines.append(f"nothing was proposed for {', '.join(left_out)}")
    say(
        Result(
            {
                "contract": str(out),
                "columns": [column.name for column in facts.columns],
                "left_out": left_out,
                "written": written,
            },
            lines,
            f"edit `{out}`, then `passbox contract check {out}`",
        ),
        as_json,
    )


def _facts(
    party: list[Path],
    room: Path,
    name: str,
    purpose: str,
    expires: str,
    people: str,
    seed: str,
    from_: Path | None,
    match: str,
    people_identifier: str,
    seed_identifier: str,
    epsilon: float,
    smallest_seed: int,
    smallest_audience: int,
) -> tuple[Draft, list[str]]:
    from ..cleanroom.keys import read_card
    from ..cleanroom.propose import propose
    from ..policies.template import Draft
    from .words import NoRole, pairs, plain_name

    ((kind, scheme),) = pairs([match], "email=uid2@1").items()
    cards = [read_card(path, "party") for path in party]
    for role in ("publisher", "advertiser"):
        if role not in {card["role"] for card in cards}:
            raise NoRole(f"none of the cards is a {role}'s", "pass the card of each party with `--party`")
    proposal = propose(from_, (kind,)) if from_ else None
    rows = proposal.rows if proposal else 10**6
    facts = Draft(
        name=plain_name(name),
        purpose=purpose,
        expires=_day(expires),
        parties=cards,
        room=read_card(room, "room"),
        kind=kind,
        scheme=scheme,
        people=plain_name(people),
        seed=plain_name(seed),
        people_arrives=people_identifier,
        seed_arrives=seed_identifier,
        people_id=proposal.id if proposal else "visitor_id",
        columns=proposal.columns if proposal else (),
        epsilon=epsilon,
        people_delta=_delta(rows),
        seed_delta=1e-6,
        smallest_seed=smallest_seed,
        smallest_audience=smallest_audience,
    )
    return facts, list(proposal.left_out) if proposal else []


def _day(text: str) -> date:
    from .words import NoRole

    try:
        return date.fromisoformat(text) if text else date.today() + timedelta(days=90)
    except ValueError:
        raise NoRole("that is no day", "write YYYY-MM-DD") from None


def _delta(rows: int) -> float:
    """The power of ten below 1/(10 n), at most 1e-6."""
    import math

    return min(1e-6, float(f"1e{math.floor(-math.log10(10 * rows))}"))


@app.command("check")
def check(contract: ContractFile, as_json: JsonFlag = False) -> None:
    """Check a contract, signed or not: every mistake at once, and what it means in plain words."""
    from ..policies.agreement import read_contract
    from ..policies.contract import InvalidContract

    try:
        agreed, _ = read_contract(contract)
    except InvalidContract as error:
        if not as_json:
            rows = [(problem.where, problem.rule, problem.remedy) for problem in error.problems]
            say(Result({}, [Table(("where", "rule", "remedy"), rows)]), as_json)
        raise
    said = _meaning(agreed)
    say(
        Result(
            {"contract": str(contract), "name": agreed.name, "valid": True, "means": said},
            ["no mistakes", *(f"- {sentence}" for sentence in said)],
            f"`passbox contract sign {contract} --key NAME.keys`, then send it with its signature to all parties",
        ),
        as_json,
    )


def _meaning(contract: Contract) -> list[str]:
    """A contract's consequences in sentences."""
    from ..policies.sentences import operator_sentence

    said = [
        f"{rule.owner} lets at most ε {rule.budget.epsilon:g} (δ {rule.budget.delta:g}) of {name} be spent, "
        f"{'on whatever is shown about these people' if rule.protects == 'person' else 'on who is in this list'}"
        for name, rule in contract.dataset.items()
    ]
    said += [
        f"{_and(rule.ask)} may ask for {rule.job}, and {_and(rule.recipients)} may read it"
        for rule in contract.rules.allow
    ]
    neutral = f"{contract.room.operator} operates the room and owns no data in it: the room is blind to identifiers"
    return [*said, operator_sentence(contract) or neutral, f"nothing runs after {contract.expires}"]


def _and(names: list[str]) -> str:
    return " and ".join(names)


@app.command("show")
def show(contract: ContractFile, as_json: JsonFlag = False) -> None:
    """Show a contract: parties with fingerprints to compare by voice, data sets, budgets, rules."""
    from ..policies.agreement import read_contract
    from ..policies.contract import digest
    from ..policies.sign import fingerprint

    agreed, data = read_contract(contract)
    parties = [(name, party.role, fingerprint(party.sign)) for name, party in agreed.party.items()]
    datasets = [
        (name, rule.owner, rule.protects, f"{rule.budget.epsilon:g}", f"{rule.budget.delta:g}", ", ".join(rule.columns))
        for name, rule in agreed.dataset.items()
    ]
    say(
        Result(
            {"contract": str(contract), "sha256": digest(data), **agreed.model_dump(mode="json")},
            [
                f"{agreed.name}: {agreed.purpose}",
                f"room {agreed.room.name}, operated by {agreed.room.operator}; until {agreed.expires}",
                f"matched on {agreed.kind} ({agreed.scheme}), rule {agreed.match.rule}",
                f"sha256 {digest(data)}",
                Table(("party", "role", "fingerprint"), parties),
                Table(("data set", "owner", "protects", "ε", "δ", "columns"), datasets, right=(3, 4)),
                *(f"- {sentence}" for sentence in _meaning(agreed)),
            ],
            "compare the fingerprints with the others by voice",
        ),
        as_json,
    )


@app.command("sign")
def sign(
    contract: ContractFile,
    key: Annotated[Path, typer.Option("--key", help="your NAME.keys folder")],
    signature: Annotated[
        Path | None, typer.Option(help="take this signature, made by `ssh-keygen -Y sign` over the contract")
    ] = None,
    share_signature: Annotated[
        Path | None, typer.Option(help="take this one, made by `ssh-keygen -Y sign` over your unsigned share")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign a contract with your key. An owner of data also gives its share of the match key."""
    from ..cleanroom.keys import open_keys
    from ..cleanroom.signing import by_hand, sign_contract
    from .words import passphrase

    keys = open_keys(key)
    if keys.can_sign():
        done = sign_contract(contract, keys, keys.signing(passphrase(key)))
    else:
        done = by_hand(contract, keys, signature, share_signature)
    if done.lines:
        say(
            Result(
                {"contract": str(contract), "party": done.party, "signed": False, "type": list(done.lines)},
                ["this key signs elsewhere; type:", *done.lines],
                f"`passbox contract sign {contract} --key {key} --signature {contract}.sig`"
                + (f" --share-signature {done.share}.unsigned.sig" if done.share else ""),
            ),
            as_json,
        )
        return
    files = [str(path) for path in (done.signature, done.share) if path]
    say(
        Result(
            {"contract": str(contract), "party": done.party, "signed": True, "files": files},
            [f"signed as {done.party}", *(f"  `{name}`" for name in files)],
            "send these files to all the others",
        ),
        as_json,
    )


@app.command("verify")
def verify(contract: ContractFile, as_json: JsonFlag = False) -> None:
    """Say for every party whether its signature, and its share of the match key, holds for these bytes."""
    from ..cleanroom.signing import standing
    from ..policies.agreement import SignatureBroken, SignatureMissing, read_contract

    agreed, data = read_contract(contract)
    found = standing(contract, agreed, data)
    rows = [(row.party, row.signature, row.share) for row in found]
    missing = tuple(row.party for row in found if "missing" in (row.signature, row.share))
    broken = [row for row in found if row.broken]
    if not as_json or not (missing or broken):
        say(
            Result(
                {
                    "contract": str(contract),
                    "verified": not (missing or broken),
                    "parties": {row.party: {"signature": row.signature, "share": row.share} for row in found},
                },
                [Table(("party", "signature", "share of the match key"), rows)],
                "" if missing or broken else f"`passbox prepare FILE --contract {contract} ...`",
            ),
            as_json,
        )
    if broken:
        raise SignatureBroken(
            "contract" if broken[0].signature != "signed" else "share", broken[0].party, broken[0].broken
        )
    if missing:
        note(f"not complete: {', '.join(missing)}")
        raise SignatureMissing("contract", missing)

"""`passbox contract`: draft, check, show, sign and verify what the parties agree on."""

from __future__ import annotations

import math
import shlex
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .domains import domain
from .hints import after_signatures, own_keys
from .show import JsonFlag, Part, Result, Table, Verbatim, counted, note, say

if TYPE_CHECKING:
    from ..cleanroom.draft import Drafted
    from ..cleanroom.signing import Signed, Standing
    from ..policies.contract import Contract, DatasetRule
    from ..policies.document import Problem
    from ..policies.threat import ThreatModel

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
    people_identifier: Annotated[
        str, typer.Option(help="raw, sha256, sha1: how the publisher's file holds it")
    ] = "raw",
    seed_identifier: Annotated[str, typer.Option(help="raw, sha256, sha1: how the advertiser's file holds it")] = "raw",
    epsilon: Annotated[float, typer.Option(help="budget of each data set")] = 3.0,
    smallest_seed: Annotated[int, typer.Option(help="fewest rows of a seed list")] = 1000,
    smallest_audience: Annotated[int, typer.Option(help="fewest people of an audience")] = 5000,
    out: Annotated[Path, typer.Option(help="where to write it")] = Path("contract.toml"),
    as_json: JsonFlag = False,
) -> None:
    """Write a first draft of a contract, explained line by line, for the publisher to edit."""
    from ..cleanroom.draft import Wishes, draft_contract
    from ..cleanroom.files import write_new
    from .words import arrives, last_day, pair, plain_name, today

    kind, scheme = pair(match, "email=uid2@1")
    wishes = Wishes(
        name=plain_name(name),
        purpose=purpose,
        expires=last_day(expires) if expires else today() + timedelta(days=90),
        people=plain_name(people),
        seed=plain_name(seed),
        kind=kind,
        scheme=scheme,
        people_arrives=arrives(people_identifier),
        seed_arrives=arrives(seed_identifier),
        epsilon=epsilon,
        smallest_seed=smallest_seed,
        smallest_audience=smallest_audience,
    )
    drafted = draft_contract(party, room, wishes, from_, today())
    written = write_new(out, drafted.text.encode(), same_is_fine=True)
    say(_drafted(out, drafted, written), as_json)


def _drafted(out: Path, drafted: Drafted, written: bool) -> Result:
    count = len(drafted.columns)
    lines = [f"wrote `{out}`" if written else f"`{out}` is here already, nothing changed"]
    proposed = "1 column is proposed" if count == 1 else f"{count} columns are proposed"
    lines.append(proposed if count else "no columns are proposed: add them")
    for reason in dict.fromkeys(drafted.left_out.values()):
        names = [name for name, why in drafted.left_out.items() if why == reason]
        lines.append(f"nothing was proposed for {', '.join(names)}: {reason}")
    return Result(
        {
            "contract": str(out),
            "columns": list(drafted.columns),
            "left_out": dict(drafted.left_out),
            "missing": list(drafted.missing),
            "written": written,
        },
        lines,
        f"edit `{out}`, then `passbox contract check {out}`",
        drafted.missing,
    )


@app.command("check")
def check(contract: ContractFile, as_json: JsonFlag = False) -> None:
    """Check a contract, signed or not: every mistake at once, and what it means in plain words."""
    from ..policies.agreement import read_contract
    from ..policies.document import InvalidContract
    from ..policies.learnt import unlearnable
    from .explanation import BAD_INPUT
    from .words import today

    try:
        agreed, _ = read_contract(contract, today())
    except InvalidContract as error:
        _say_mistakes(contract, error.problems, as_json)
        raise typer.Exit(BAD_INPUT) from None
    said, doubts = _meaning(agreed), unlearnable(agreed)
    sound = {"contract": str(contract), "name": agreed.name, "valid": True, "mistakes": []}
    say(
        Result(
            {**sound, "means": said, "warnings": list(doubts)},
            ["no mistakes", *(f"- {sentence}" for sentence in said)],
            f"`passbox contract sign {contract} --key {own_keys()}`, then send it with its signature to all parties",
            doubts,
        ),
        as_json,
    )


def _say_mistakes(contract: Path, problems: tuple[Problem, ...], as_json: bool) -> None:
    from .explanation import BAD_INPUT, Explanation

    many, them = counted(len(problems), "mistake"), "it" if len(problems) == 1 else "them"
    words = Explanation("invalid-contract", f"{contract}: {many}", f"mend {them} and type it again", BAD_INPUT)
    listed = [{"where": each.where, "rule": each.rule, "remedy": each.remedy} for each in problems]
    lines = [f"{each.where}: {each.rule}; {each.remedy}" for each in problems]
    data = {"contract": str(contract), "valid": False, "mistakes": listed, **words.as_json()}
    say(Result(data, lines), as_json)
    if not as_json:
        note(f"error: {words.message}", "bold red")
        note(f"hint: {words.hint}", "dim")


def _meaning(contract: Contract) -> list[str]:
    """A contract's consequences in sentences, for who signs it."""
    from ..policies.sentences import matching, operator_sentence

    said = [*(_cap(contract, name) for name in contract.dataset), *_shared(contract)]
    said += [
        f"{_and(rule.ask)} may ask for {rule.job}{_under(models)}; only {_and(rule.recipients)} may read it"
        for rule, models in zip(contract.rules.allow, _threats(contract), strict=True)
    ]
    said += _secret(contract)
    said += _nameless(contract)
    neutral = f"{contract.room.operator} operates the room and owns no data in it: the room is blind to identifiers"
    everyone = "everybody may see the ledger: who asked what, when and why, who reads it, its cost, and numbers of rows"
    return [
        *matching(contract),
        *said,
        everyone,
        _window(contract),
        *_continued(contract),
        operator_sentence(contract) or neutral,
        f"nothing runs after {contract.expires}",
    ]


def _threats(contract: Contract) -> list[tuple[ThreatModel, ...]]:
    """Of each rule, the threat models of the jobs that it allows."""
    from ..policies.threat import threat_models

    return [threat_models(contract, rule.job, rule.recipients) for rule in contract.rules.allow]


def _under(models: tuple[ThreatModel, ...]) -> str:
    named = " or ".join(f"`{model}`" for model in models)
    return f" (threat model {named})" if named else ""


def _secret(contract: Contract) -> list[str]:
    """What each threat model that was named means."""
    from ..policies.threat import SECRET

    named = sorted({model for models in _threats(contract) for model in models})
    return [f"threat model `{model}`: {SECRET[model]}" for model in named]


def _nameless(contract: Contract) -> list[str]:
    """Jobs that hand out own IDs, where no data set of a reader says which column holds them."""
    kinds = ("lookalike", "completion")
    readers = {(rule.job, name) for rule in contract.rules.allow if rule.job in kinds for name in rule.recipients}
    said = []
    for kind, reader in sorted(readers):
        held = {name: rule for name, rule in contract.dataset.items() if rule.owner == reader and rule.rows == "people"}
        if held and not any(rule.id for rule in held.values()):
            line = f'write `id = "COLUMN"` under [dataset.{next(iter(held))}], or every {kind} is refused'
            said.append(f"{_and(list(held))} has no column of {reader}'s own IDs: {line}")
    return said


def _cap(contract: Contract, name: str) -> str:
    """What an owner allows, by the one account of all its data sets, and what that is worth at worst."""
    from ..dp.accounting import attack_auc, rho_within
    from ..policies.accounts import binding

    rule = contract.dataset[name]
    budget = binding(contract, rule.owner)
    what = "whatever is shown about these people" if rule.protects == "person" else "who is in this list"
    worst = attack_auc(rho_within(budget.budget()), budget.responses or 0.0)
    together = f"over all contracts it signed, ε {rule.budget.together:g}; " if rule.budget.together else ""
    spent = f"{rule.owner} lets at most ε {budget.epsilon:g} (δ {budget.delta:g}) of {name} be spent in all"
    return (
        f"{spent}, on {what}; {together}when it is all spent, the best test has an AUC of {worst:.2f}: of one person "
        f"who is in it and one who is not, it tells which is which {worst:.0%} of the time (a coin: 50%)"
    )


def _shared(contract: Contract) -> list[str]:
    """What an owner's data sets have together: one account, and what it keeps for keys that nobody listed."""
    from ..policies.accounts import caps_of

    said = []
    for cap in caps_of(contract, ""):
        held = [name for name, rule in contract.dataset.items() if rule.owner == cap.owner]
        if cap.account.endswith("/selection"):
            keys = (
                f"of its δ, {cap.owner} keeps {float(cap.delta):g} for showing keys of {_and(held)} that nobody listed"
            )
            said.append(f"{keys}: so often, in all, one person may make one show")
        elif cap.account.endswith("/responses"):
            kept, odds = float(cap.epsilon), math.exp(float(cap.epsilon))
            labels = f"of its ε, {cap.owner} keeps {kept:g} for saying of each person whether it is in {_and(held)}"
            said.append(f"{labels}, wrong as often as that asks: that alone changes no odds by more than {odds:.3g}")
        elif len(held) > 1:
            share = f"{_and(held)} share one account of {cap.owner}: together at most ε {float(cap.epsilon):g} is spent"
            said.append(f"{share}, and what is spent on one is spent of all{_differing(contract, held)}")
    return said


def _differing(contract: Contract, held: list[str]) -> str:
    """That only one of several budgets binds, where they differ."""
    written = {(contract.dataset[name].budget.epsilon, contract.dataset[name].budget.delta) for name in held}
    if len(written) == 1:
        return ""
    each = _and([f"ε {epsilon:g} (δ {delta:g})" for epsilon, delta in sorted(written)])
    return f"; of {each}, as they are written, the one that lets least be spent holds for all"


def _continued(contract: Contract) -> list[str]:
    """Which earlier accounts it goes on with."""
    if not contract.continues:
        return []
    return [f"it goes on with earlier contracts, and what was spent there counts here: {', '.join(contract.continues)}"]


def _window(contract: Contract) -> str:
    """How far spending may run ahead of who witnesses it."""
    from ..dp.accounting import largest_job, rho_within
    from ..policies.accounts import binding

    cosign, window = contract.room.cosign, contract.window()
    if cosign is None or window is None:
        return "nobody cosigns the ledger: that there is only one history of it rests on the operator's word"
    caps = {name: rho_within(binding(contract, rule.owner).budget()) for name, rule in contract.dataset.items()}
    deltas = {name: rule.budget.budget().delta for name, rule in contract.dataset.items()}
    largest = {name: largest_job(window.most(caps[name]), deltas[name]) for name in caps}
    who = _and(cosign.by) if cosign.need == 1 else f"{cosign.need} of {_and(cosign.by)}"
    each = ", ".join(f"ε {most:.2f} to {name}" for name, most in largest.items())
    return (
        f"up to {cosign.ahead:.0%} of a cap may be spent before {who} cosigns the ledger, and no more until then: "
        f"one job alone may charge at most {each}. That is a share of ρ, which adds up as ε does not"
    )


def _and(names: list[str]) -> str:
    return " and ".join(names)


@app.command("show")
def show(contract: ContractFile, as_json: JsonFlag = False) -> None:
    """Show a contract: parties with fingerprints to compare by voice, data sets, budgets, rules."""
    from ..policies.accounts import binding
    from ..policies.agreement import read_contract
    from ..policies.contract import digest
    from ..policies.learnt import unlearnable
    from ..policies.sign import fingerprint

    agreed, data = read_contract(contract)
    parties = [(name, party.role, fingerprint(party.sign)) for name, party in agreed.party.items()]
    budgets = {name: binding(agreed, rule.owner) for name, rule in agreed.dataset.items()}
    datasets = [
        (name, rule.owner, rule.protects, f"{budgets[name].epsilon:g}", f"{budgets[name].delta:g}")
        for name, rule in agreed.dataset.items()
    ]
    rules, doubts = agreed.rules, unlearnable(agreed)
    say(
        Result(
            {"contract": str(contract), "sha256": digest(data), **_written(agreed), "warnings": list(doubts)},
            [
                f"{agreed.name}: {agreed.purpose}",
                f"room {agreed.room.name}, operated by {agreed.room.operator}; until {agreed.expires}",
                f"matched on {_keys(agreed)}, rule {agreed.match.rule}",
                Verbatim(f"sha256 {digest(data)}"),
                Table(("party", "role", "fingerprint"), parties),
                Table(("data set", "owner", "protects", "ε", "δ"), datasets, right=(3, 4)),
                Table(("data set", "column", "holds"), _columns(agreed)),
                *(f"- {sentence}" for sentence in _meaning(agreed)),
                f"- a seed has at least {counted(rules.smallest_seed, 'row')}, an audience "
                f"{rules.smallest_audience:,} people",
            ],
            "compare the fingerprints with the others by voice; "
            f"if you agree, `passbox contract sign {contract} --key {own_keys()}`",
            doubts,
        ),
        as_json,
    )


def _written(contract: Contract) -> dict[str, Any]:
    """The contract, with the threat models beside each rule whose jobs learn from people."""
    whole: dict[str, Any] = contract.model_dump(mode="json")
    for rule, models in zip(whole["rules"]["allow"], _threats(contract), strict=True):
        rule |= {"threat_models": [*models]} if models else {}
    return whole


def _keys(contract: Contract) -> str:
    """The keys, best first, with their schemes."""
    return ", then ".join(f"{key} ({contract.match.scheme[key]})" for key in contract.match.keys)


def _columns(contract: Contract) -> list[tuple[str, str, str]]:
    """What each file must hold."""
    from ..cleanroom.layout import layout_of

    rows: list[tuple[str, str, str]] = []
    for name, rule in contract.dataset.items():
        if rule.id:
            rows.append((name, rule.id, f"the owner's IDs, which stay in {name}.ids"))
        rows += [(name, kind, _identifier(contract, rule, kind)) for kind in layout_of(contract, name).keys]
        if rule.rows == "events":
            rows.append((name, "", f"events: up to {rule.rows_a_person:,} rows of one person count"))
        rows += [(name, column, domain(declared)) for column, declared in rule.columns.items()]
    return rows


def _identifier(contract: Contract, rule: DatasetRule, kind: str) -> str:
    """How people's identifiers of a kind arrive, and what is done to them."""
    arrives = _ARRIVES[rule.identifiers[kind]]
    parts = [f"{arrives}; normalised by {contract.match.scheme[kind]} before it is hashed"]
    if kind == "ip":
        parts.append(f"an IP address is a household for {contract.match.window} hours")
    if kind == "phone" and rule.country:
        each = rule.country == "none"
        parts.append(
            "each number carries its country code" if each else f"numbers without a code are of {rule.country}"
        )
    if rule.suspicious == "refuse":
        parts.append("test values and misleading domains are refused")
    return "; ".join(parts)


_ARRIVES = {"raw": "as it is", "sha256": "as SHA-256, in hex or base64", "sha1": "as SHA-1, in hex or base64"}


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
    instead_of: Annotated[
        Path | None, typer.Option(help="an earlier draft you signed, which nobody got: its budget counts no more")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign a contract with your key. An owner of data also gives its share of the match key.

    Where an agent or a token holds the key, it is asked. Where none answers, this says what to type where the key is,
    and then takes the files that came of it.
    """
    from ..cleanroom.agent import AgentUnable
    from ..cleanroom.keys import open_keys
    from ..cleanroom.memory import forget
    from ..cleanroom.signing import lines_to_type, sign_contract, take_signatures
    from .words import passphrase, today

    keys = open_keys(key)
    if instead_of is not None:
        forget(keys, instead_of, keys.sign_public())
    if signature or share_signature:
        done = take_signatures(contract, keys, signature, share_signature, today())
    else:
        try:
            done = sign_contract(contract, keys, keys.signer(passphrase(key)), today())
        except AgentUnable:
            done = lines_to_type(contract, keys, today())
    say(_to_type(contract, key, done) if done.lines else _signed(contract, done), as_json)


def _to_type(contract: Path, key: Path, done: Signed) -> Result:
    back = ["passbox", "contract", "sign", str(contract), "--key", str(key), "--signature", f"{contract}.sig"]
    if len(done.lines) > 1:
        back += ["--share-signature", f"{key / str(done.share and done.share.name)}.unsigned.sig"]
    typed: list[Part] = [*map(Verbatim, done.lines), "and then, with what came of it:", Verbatim(shlex.join(back))]
    return Result(
        {"contract": str(contract), "party": done.party, "signed": False, "type": list(done.lines)},
        [f"NOT signed yet: no agent or token here signs with the key of {done.party}. Type where it is:", *typed],
        "type the lines above; until then nothing is signed",
    )


def _signed(contract: Path, done: Signed) -> Result:
    files = [str(path) for path in (done.signature, done.share) if path]
    return Result(
        {"contract": str(contract), "party": done.party, "signed": True, "files": files},
        [f"signed as {done.party}", *(f"  `{name}`" for name in files)],
        f"send these files to all the others; when theirs lie beside it, `passbox contract verify {contract}`",
    )


@app.command("verify")
def verify(contract: ContractFile, as_json: JsonFlag = False) -> None:
    """Say for every party whether its signature, and its share of the match key, holds for these bytes."""
    from ..cleanroom.signing import refuse_faults, standing
    from ..policies.agreement import SignatureBroken, SignatureMissing
    from ..policies.share import ShareUnusable

    found = standing(contract)
    complete = all(row.signature == "signed" and row.share in ("signed", "-") for row in found)
    told = _standings(contract, found, complete)
    try:
        if complete or not as_json:
            say(told, as_json)
        refuse_faults(found)
    except (SignatureBroken, SignatureMissing, ShareUnusable) as error:
        if not as_json:
            raise
        raise _refused(told, error, contract) from None


def _refused(told: Result, error: Exception, contract: Path) -> typer.Exit:
    """Says as JSON what stands of each party, and the error beside it, as one object."""
    from .explain import explain

    words = explain(error, str(contract), pays=False)
    say(Result({**told.data, **words.as_json()}), True)
    return typer.Exit(words.exit)


def _standings(contract: Path, found: list[Standing], complete: bool) -> Result:
    from ..policies.agreement import read_contract

    then = after_signatures(read_contract(contract)[0], contract) if complete else []
    everyone = [f"- {line}" for line in then] if len(then) > 1 else []
    return Result(
        {
            "contract": str(contract),
            "verified": complete,
            "parties": {row.party: {"signature": row.signature, "share": row.share} for row in found},
        },
        [
            Table(("party", "signature", "share of the match key"), [(r.party, r.signature, r.share) for r in found]),
            *(["all have signed; what each does now:"] if everyone else []),
            *everyone,
        ],
        then[0] if len(then) == 1 else "",
    )

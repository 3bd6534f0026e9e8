"""`passbox ledger`: what was spent, on what, why; and proving it offline."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .room import RoomFolder
from .show import JsonFlag, Result, Table, counted, say, working
from .statement import as_values, parts

if TYPE_CHECKING:
    from ..cleanroom.log import Log
    from ..policies.agreement import Agreement

app = typer.Typer(help="Show, export and verify the ledger; cosign, accept and recover it.", no_args_is_help=True)


@app.command("show")
def show(
    where: Annotated[Path, typer.Argument(metavar="ROOM|EXPORT", help="a room, or an exported ledger")],
    dataset: Annotated[str, typer.Option(help="only entries about this data set")] = "",
    party: Annotated[str, typer.Option(help="only entries this party asked for, reads, or pays for")] = "",
    purpose: Annotated[str, typer.Option(help="only entries whose purpose holds this text")] = "",
    since: Annotated[str, typer.Option(help="only from this time on, such as 2026-11 or 2026-11-22T09")] = "",
    until: Annotated[str, typer.Option(help="only up to this time, such as 2026-11")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Show what was spent, on what and why."""
    from ..cleanroom.private import words_of
    from ..cleanroom.statement import Filter, ahead_of, statement

    log = _log(where)
    _refuse_no_time(since, until)
    said = statement(log.entries, Filter(dataset, party, purpose, since, until), ahead_of(log))
    _refuse_nobody(log.entries, dataset, party)
    words = words_of(log.entries, log.manifests)
    say(
        Result(
            as_values(said, words),
            parts(said, words, log),
            f"`passbox ledger verify {where} --contract contract.toml`: nothing that stands above was checked",
        ),
        as_json,
    )


def _refuse_no_time(*times: str) -> None:
    """Errors: NoRole."""
    from .words import NoRole

    for text in times:
        if text and not re.fullmatch(r"\d{4}(-\d\d(-\d\d(T\d\d(:00Z)?)?)?)?", text):
            raise NoRole("that is no time of a ledger", "write it as 2026-11, 2026-11-22 or 2026-11-22T09")


def _refuse_nobody(leaves: Sequence[bytes], dataset: str, party: str) -> None:
    """A name that stands nowhere would look like one that spent nothing. Errors: NoRole."""
    from .words import NoRole

    entries = [json.loads(leaf) for leaf in leaves]
    sets = {name for each in entries for name in each.get("specification", {}).get("datasets", {})}
    parties = {each.get(part) for each in entries for part in ("owner", "asker")}
    parties |= {name for each in entries for name in each.get("recipients", [])}
    for what, name, known in (("data set", dataset, sets), ("party", party, parties - {None})):
        if name and known and name not in known:
            raise NoRole(f"no entry names that {what}", f"these are named: {', '.join(sorted(map(str, known)))}")


@app.command("export")
def export(
    room: RoomFolder,
    out: Annotated[Path | None, typer.Option(help="folder to write [default: ROOM.ledger]")] = None,
    csv: Annotated[
        Path | None, typer.Option(help="also write a record of processing (GDPR Art. 30) as CSV to this file")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a copy of the log that anyone may have and verify. It holds no release bytes and no identifiers."""
    from ..cleanroom.files import sweep_of, write
    from ..cleanroom.log import log_of, write_log
    from ..cleanroom.processing import processing_csv
    from ..cleanroom.room import open_room

    opened = open_room(room)
    log = log_of(opened)
    target = out or Path(f"{room.name}.ledger")
    filed = processing_csv(log.entries, opened.contract, log.manifests).encode()
    _refuse_record(csv, filed, target)
    write_log(log, target)
    if csv is not None:
        sweep_of(csv)
        write(csv, filed)
    record = [f"wrote `{csv}`, a record of processing to be filed"] if csv else []
    say(
        Result(
            {
                "export": str(target),
                "entries": len(log.entries),
                "checkpoint": log.checkpoint,
                "csv": str(csv) if csv else None,
            },
            [f"wrote `{target}/`, {len(log.entries)} entries; it holds no release and no identifier", *record],
            f"send it to all; `passbox ledger verify {target} --contract contract.toml` needs nothing else",
        ),
        as_json,
    )


def _refuse_record(csv: Path | None, filed: bytes, target: Path) -> None:
    """Before anything is written. An earlier record of the same log is how a later one begins, and may be replaced.

    Errors: NoRole, FileInTheWay, OSError.
    """
    from ..cleanroom.files import refuse_unwritable
    from .words import NoRole

    if csv is None:
        return
    if csv.resolve().is_relative_to(target.resolve()):
        raise NoRole("the record would stand in the copy of the log", "name a `--csv` outside of it")
    earlier = csv.read_bytes() if csv.is_file() else b""
    if not earlier or not filed.startswith(earlier):
        refuse_unwritable(csv, "move it away, or choose another `--csv`")


@app.command("terms")
def terms(
    contract: Annotated[Path, typer.Argument(metavar="CONTRACT", help="your own copy of contract.toml")],
    earlier: Annotated[list[Path] | None, typer.Option(help="the contract of an earlier ledger it continues")] = None,
    out: Annotated[Path, typer.Option(help="where to write it")] = Path("terms.json"),
    as_json: JsonFlag = False,
) -> None:
    """Write what a contract says for `verify_ledger.mjs`, which reads no TOML."""
    from ..cleanroom.files import write_new
    from ..cleanroom.terms import terms_of
    from ..policies.agreement import read_contract

    said = terms_of(read_contract(contract)[1], [read_contract(path)[1] for path in earlier or []])
    written = write_new(out, json.dumps(said, indent=1).encode() + b"\n", same_is_fine=True)
    say(
        Result(
            {"terms": str(out), "written": written},
            [f"wrote `{out}`" if written else f"`{out}` is here already, nothing changed"],
            f"`node verify_ledger.mjs EXPORT {out}`",
        ),
        as_json,
    )


@app.command("cosign")
def cosign(
    export_: Annotated[Path, typer.Argument(metavar="EXPORT", help="an exported ledger")],
    key: Annotated[Path, typer.Option("--key", help="your NAME.keys folder")],
    seen: Annotated[Path, typer.Option(help="file that remembers what you cosigned; made at the first time")],
    contract: Annotated[Path, typer.Option(help="your own copy of contract.toml, with the signatures beside it")],
    out: Annotated[Path | None, typer.Option(help="cosignature to send [default: EXPORT.NAME.cosigned]")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Witness a ledger: verify it, check that it continues what you cosigned before, and cosign its newest head."""
    from ..cleanroom.cosigners import refuse_stranger
    from ..cleanroom.files import sweep_of, write
    from ..cleanroom.keys import open_keys
    from ..cleanroom.room import now
    from ..cleanroom.signing import party_of
    from ..cleanroom.witness import witness
    from .words import passphrase

    agreement, keys = _agreement(contract), open_keys(key)
    party = party_of(agreement.contract, keys)
    refuse_stranger(agreement.contract, party)
    log, remembers = _log(export_), seen.exists()
    signer = keys.cosigning(passphrase(key))
    with working("verifying and cosigning"):
        done = witness(log, agreement, party, signer, seen, now())
    target = out or Path(f"{export_.name.removesuffix('.ledger')}.{party}.cosigned")
    sweep_of(target)
    write(target, done.note.encode())
    memory = f"{done.before} of them you had cosigned before" if remembers else "for the first time"
    new = f"`{seen}` is new: this is the first checkpoint it remembers"
    remembered = f"`{seen}` remembers them" if remembers else new
    doubt = f"this ledger carries a cosignature of yours already, and `{seen}` was not there: is it the file you kept?"
    say(
        Result(
            {
                "party": party,
                "entries": done.size,
                "before": done.before,
                "cosignature": str(target),
                "seen": str(seen),
                "seen_is_new": not remembers,
            },
            [f"cosigned {done.size} entries as {party}, {memory}", remembered, f"wrote `{target}`"],
            f"send `{target}` to {agreement.contract.room.operator}; keep `{seen}` for the next time",
            warnings=[doubt] if party in log.witnesses and not remembers else [],
        ),
        as_json,
    )


@app.command("accept")
def accept(
    room: RoomFolder,
    cosignature: Annotated[Path, typer.Argument(help="what a witness sent")],
    as_json: JsonFlag = False,
) -> None:
    """Take a witness's cosignature into the room: spending may then run ahead from there."""
    from ..cleanroom.room import open_room
    from ..cleanroom.witness import accept as take

    done = take(open_room(room), cosignature)
    changed = "nothing changed: it was here already" if done.before >= done.size else f"{done.before} before"
    say(
        Result(
            {"party": done.party, "entries": done.size, "before": done.before},
            [f"{done.party} has cosigned the first {done.size} entries ({changed})"],
            f"`passbox plan {room} JOB` says what may be spent now; `passbox ledger export {room}` tells the others",
        ),
        as_json,
    )


@app.command("verify")
def verify(
    where: Annotated[Path, typer.Argument(metavar="ROOM|EXPORT", help="a room, or an exported ledger")],
    contract: Annotated[Path, typer.Option(help="your own copy of contract.toml, with the signatures beside it")],
    seen: Annotated[
        list[Path] | None, typer.Option(help="a checkpoint from before, or what you cosigned: the log must continue it")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Recompute a ledger against the contract, offline. Names the first entry that does not hold."""
    from ..cleanroom.audit import verify_log
    from ..dp.accounting import epsilon_of
    from ..dp.budget import DELTA_UNIT, EPSILON_UNIT, Delta
    from ..policies.accounts import counts_delta, counts_epsilon

    agreement = _agreement(contract)
    with working("verifying"):
        kept = [path.read_bytes().decode("utf-8", "replace") for path in seen or []]
        log = _log(where)
        found = verify_log(log, agreement, kept)
    odd = _another_contract(log, agreement, contract)
    of_delta = [item for item in found.accounts if counts_delta(item.account)]
    of_epsilon = [item for item in found.accounts if counts_epsilon(item.account)]
    accounts = [
        {
            "account": item.account,
            "spent": epsilon_of(item.rho, Delta(item.delta)),
            "cap": item.epsilon,
            "rho": item.rho,
            "rho_cap": item.cap,
        }
        for item in found.accounts
        if item not in [*of_delta, *of_epsilon]
    ]
    selections = [
        {"account": item.account, "spent": item.rho / DELTA_UNIT, "cap": item.cap / DELTA_UNIT} for item in of_delta
    ]
    rows = [(item["account"], f"ε {item['spent']:.3f} of {item['cap']:g}") for item in accounts]
    responses = [
        {"account": item.account, "spent": item.rho / EPSILON_UNIT, "cap": item.cap / EPSILON_UNIT}
        for item in of_epsilon
    ]
    rows += [(item["account"], f"δ {item['spent']:g} of {item['cap']:g}") for item in selections]
    rows += [(item["account"], f"ε {item['spent']:g} of {item['cap']:g}, of labels") for item in responses]
    say(
        Result(
            {
                "verified": True,
                "entries": found.entries,
                "statistics": found.releases,
                "denials": found.denials,
                "root": found.root,
                "accounts": accounts,
                "selections": selections,
                "responses": responses,
                "witnessed": dict(found.witnessed),
                "same_contract": not odd,
            },
            [
                f"verified: {found.entries} entries, {counted(found.releases, 'noisy statistic')}, "
                f"{counted(found.denials, 'refusal')}",
                Table(("account", "spent"), rows, right=(1,)),
                *(f"{name} has cosigned the first {size} entries" for name, size in found.witnessed.items()),
                f"root {found.root}",
            ],
            f"compare the root with the others: one log shows one root to all; {_then(agreement, where)}",
            odd,
        ),
        as_json,
    )


def _another_contract(log: Log, agreement: Agreement, contract: Path) -> list[str]:
    """A copy carries a contract as well. It is not what counts, but another one there is nobody's honest mistake."""
    from hashlib import sha256

    theirs = log.contract.get("contract.toml")
    if theirs is not None and sha256(theirs).hexdigest() == agreement.digest:
        return []
    what = "no contract.toml" if theirs is None else "another contract.toml"
    own = f"it was verified by `{contract}`, which is what counts"
    return [f"the copy's folder contract/ holds {what}; {own}, but ask who made the copy"]


def _then(agreement: Agreement, where: Path) -> str:
    """What a witness does with a copy that holds; and who is none."""
    cosign = agreement.contract.room.cosign
    if cosign is None:
        return f"keep `{where}/checkpoint`, and name it with `--seen` the next time"
    return f"{' or '.join(cosign.by)} may now run `passbox ledger cosign`"


def _agreement(contract: Path) -> Agreement:
    from ..policies.agreement import read_agreement

    return read_agreement(contract)


def _log(where: Path) -> Log:
    from ..cleanroom.log import log_of, read_log
    from ..cleanroom.room import open_room

    return log_of(open_room(where)) if (where / "ledger.sqlite").is_file() else read_log(where)

"""`passbox prepare`: what a party does at home before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .show import JsonFlag, Result, Table, say, working

if TYPE_CHECKING:
    from ..cleanroom.prepare import Prepared


def prepare(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet")],
    contract: Annotated[Path, typer.Option(help="contract.toml, with signatures and shares beside it")],
    dataset: Annotated[str, typer.Option(help="the data set it is")],
    key: Annotated[Path | None, typer.Option("--key", help="your NAME.keys folder")] = None,
    out: Annotated[Path | None, typer.Option(help="the bundle [default: DATASET.bundle]")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="email=COLUMN, where the identifier's column is named otherwise")
    ] = None,
    max_rejects: Annotated[str, typer.Option(help="how many rows may be left out: 250, or 1%")] = "0",
    check: Annotated[
        bool, typer.Option("--check", help="report only, write nothing; works before all have signed, without keys")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Normalise, hash, key, check, seal and sign a file. Identifiers and own IDs never leave this machine."""
    from .words import bundle_path, share

    bundle, allowed = bundle_path(out, dataset), share(max_rejects)
    if check:
        say(_examined(file, contract, dataset, column or []), as_json)
    else:
        say(_prepared(file, contract, dataset, key, bundle, column or [], allowed), as_json)


def _examined(file: Path, contract: Path, dataset: str, column: list[str]) -> Result:
    from ..cleanroom.prepare import Brought, examine
    from ..policies.agreement import read_contract
    from .words import known_dataset, named_columns

    agreed, _ = read_contract(contract)
    known_dataset(dataset, agreed)
    with working("reading and checking"):
        report = examine(Brought(file, agreed, dataset, named_columns(column, agreed)))
    rejected = sum(report.rejects.values())
    some = f"mend them, or type it again without `--check` and with `--max-rejects {rejected}`"
    return _result(dataset, report, some if rejected else "type it again without `--check`")


def _prepared(
    file: Path, contract: Path, dataset: str, key: Path | None, bundle: Path, column: list[str], allowed: float
) -> Result:
    from ..cleanroom.keys import open_keys
    from ..cleanroom.prepare import Task
    from ..cleanroom.prepare import prepare as make
    from ..cleanroom.room import now
    from ..cleanroom.signing import read_shares
    from ..policies.agreement import read_agreement
    from .words import NoRole, known_dataset, named_columns, passphrase

    if key is None:
        raise NoRole("a bundle is signed", "say whose it is with `--key NAME.keys`, or only `--check`")
    agreement = read_agreement(contract)
    known_dataset(dataset, agreement.contract)
    task = Task(file, agreement, dataset, bundle, named_columns(column, agreement.contract), allowed)
    keys = open_keys(key)
    signer = keys.signing(passphrase(key))
    with working("hashing, sealing and signing"):
        report = make(task, keys, signer, read_shares(contract, agreement.contract), now())
    return _result(
        dataset, report, f"send `{bundle}` to {agreement.contract.room.operator}; `{report.home}` stays here"
    )


def _result(dataset: str, report: Prepared, then: str) -> Result:
    lines: list[str | Table] = [Table((dataset, ""), _rows(report), right=(1,))]
    if report.cut:
        lines.append(f"{report.cut:,} sets held more values than declared and were cut to the first ones")
    if report.unused:
        lines.append(f"not in the contract, left at home: {', '.join(report.unused)}")
    if report.bundle is not None and not report.written:
        lines.append(f"`{report.bundle}` was made from this very file, nothing changed")
    return Result(
        {
            "dataset": dataset,
            "read": report.read,
            "rows": report.rows,
            "merged": report.merged,
            "rejects": dict(report.rejects),
            "cut": report.cut,
            "unused": list(report.unused),
            "bundle": str(report.bundle) if report.bundle else None,
            "home": str(report.home) if report.home else None,
            "ids": str(report.ids) if report.ids else None,
            "written": report.written,
        },
        lines,
        then,
    )


def _rows(report: Prepared) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = [("rows read", f"{report.read:,}")]
    rows += [(f"left out: {reason}", f"{count:,}") for reason, count in sorted(report.rejects.items())]
    rows += [("same person again, merged", f"{report.merged:,}")] if report.merged else []
    return [*rows, ("rows ready" if report.bundle is None else "rows in the bundle", f"{report.rows:,}")]

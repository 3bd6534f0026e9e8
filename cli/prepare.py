"""`passbox prepare`: what a party does at home before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .show import JsonFlag, Result, Table, say, working


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
    check: Annotated[bool, typer.Option("--check", help="report only, write nothing")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Normalise, hash, key, check, seal and sign a file. Identifiers and own IDs never leave this machine."""
    from ..cleanroom.keys import open_keys
    from ..cleanroom.prepare import Task, examine
    from ..cleanroom.prepare import prepare as make
    from ..cleanroom.room import now
    from ..cleanroom.signing import read_shares
    from ..policies.agreement import read_agreement
    from .words import NoRole, NoSuchDataset, pairs, passphrase, share

    agreement = read_agreement(contract)
    if dataset not in agreement.contract.dataset:
        raise NoSuchDataset(dataset, ", ".join(agreement.contract.dataset))
    bundle = out or Path(f"{dataset}.bundle")
    names = pairs(column or [], "email=COLUMN")
    ids = bundle.with_suffix(".ids")
    task = Task(file, agreement, dataset, bundle, ids, names, 1.0e12 if check else share(max_rejects))
    if check:
        with working("reading and checking"):
            report = examine(task)
        say(_result(dataset, report, "type it again without `--check`"), as_json)
        return
    if key is None:
        raise NoRole("a bundle is signed", "say whose it is with `--key NAME.keys`, or only `--check`")
    keys = open_keys(key)
    signer = keys.signing(passphrase(key))
    with working("hashing, sealing and signing"):
        report = make(task, keys, signer, read_shares(contract, agreement.contract), now())
    operator = agreement.contract.room.operator
    kept = f"; `{report.ids}` stays here" if report.ids else ""
    say(_result(dataset, report, f"send `{bundle}` to {operator}{kept}"), as_json)


def _result(dataset: str, report: Any, then: str) -> Result:
    from ..cleanroom.prepare import Prepared

    assert isinstance(report, Prepared)  # noqa: S101 - heavy types stay out of this module's head
    rows: list[tuple[str, str]] = [("rows read", f"{report.read:,}")]
    rows += [(f"left out: {reason}", f"{count:,}") for reason, count in sorted(report.rejects.items())]
    rows += [("same person again, merged", f"{report.merged:,}")] if report.merged else []
    rows += [("rows ready" if report.bundle is None else "rows in the bundle", f"{report.rows:,}")]
    lines: list[str | Table] = [Table((dataset, ""), rows, right=(1,))]
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
            "ids": str(report.ids) if report.ids else None,
            "written": report.written,
        },
        lines,
        then,
    )

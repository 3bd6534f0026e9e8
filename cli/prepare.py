"""`passbox prepare`: what a party does at home before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from .hints import own_keys
from .show import JsonFlag, Result, Table, say, working

if TYPE_CHECKING:
    from ..cleanroom.prepare import NothingLeft, Prepared, SpoiledColumn, TooManyRejects
    from ..cleanroom.sketch import Returned
    from ..policies.contract import Contract

    Fault: TypeAlias = NothingLeft | SpoiledColumn | TooManyRejects


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
    pad_to: Annotated[
        int,
        typer.Option(
            help="rows the bundle shows, filled up with dummies; lists without IDs and columns", min=0, max=10**8
        ),
    ] = 0,
    check: Annotated[
        bool, typer.Option("--check", help="report only, write nothing; works before all have signed, without keys")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Normalise, hash, key, check, seal and sign a file. Identifiers and own IDs never leave this machine.

    With --check the exit code is 0 also where its rows would be refused: `fits` in `--json` says which. Whatever else
    is wrong, such as a file that cannot be read, has its exit code.
    """
    from .words import bundle_path, share

    bundle, allowed = bundle_path(out, dataset), share(max_rejects)
    if check:
        say(_examined(file, contract, dataset, column or [], allowed, pad_to), as_json)
    else:
        say(_prepared(file, contract, dataset, key, bundle, column or [], allowed, pad_to), as_json)


def _examined(file: Path, contract: Path, dataset: str, column: list[str], allowed: float, pad_to: int) -> Result:
    from ..cleanroom.prepare import Brought, examine, unfit
    from ..policies.agreement import read_contract
    from .words import known_dataset, named_columns

    agreed, _ = read_contract(contract)
    known_dataset(dataset, agreed)
    brought = Brought(file, agreed, dataset, named_columns(column, agreed))
    with working("reading and checking"):
        report = examine(brought, pad_to)
    fault, unseen = unfit(brought, report, allowed), _unseen(file, agreed, contract, dataset, column)
    return _result(agreed, dataset, report, _after_check(report, agreed, fault), unseen, fault)


def _after_check(report: Prepared, agreed: Contract, fault: Fault | None) -> str:
    """What to type where a file was looked at only."""
    from .explain import explain
    from .reasons import remedy

    real = f"type it again without `--check` and with `--key {own_keys()}`"
    if fault is None:
        return real
    if type(fault).__name__ == "TooManyRejects":
        leave = f"mend them, or {real} and `--max-rejects {sum(report.rejects.values())}`"
        return remedy(report.rejects, agreed.match.hashes) or leave
    return explain(fault).hint


def _prepared(
    file: Path,
    contract: Path,
    dataset: str,
    key: Path | None,
    bundle: Path,
    column: list[str],
    allowed: float,
    pad_to: int,
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
    task = Task(file, agreement, dataset, bundle, named_columns(column, agreement.contract), allowed, pad_to)
    keys = open_keys(key)
    signer = keys.signer(passphrase(key))
    with working("hashing, sealing and signing"):
        report = make(task, keys, signer, read_shares(contract, agreement.contract), now())
    then = f"send `{bundle}` to {agreement.contract.room.operator}; `{report.home}` stays here"
    unseen = _unseen(file, agreement.contract, contract, dataset, column)
    return _result(agreement.contract, dataset, report, then, unseen)


def _unseen(file: Path, agreed: Contract, contract: Path, dataset: str, columns: list[str]) -> list[str]:
    """What a column of hashes does not show, and how its owner finds out before it is paid for."""
    from .words import named_columns

    names, rule = named_columns(columns, agreed), agreed.dataset[dataset]
    said = []
    for kind in (kind for kind in agreed.match.keys if rule.identifiers.get(kind, "raw") != "raw"):
        column = f" --column {names[kind]}" if kind in names else ""
        typed = f"passbox doctor match {file} --contract {contract} --dataset {dataset} --kind {kind}{column}"
        said.append(
            f"{kind} arrives hashed, which does not show whether {agreed.match.scheme[kind]} made it; lists of two "
            f"schemes match nobody. `{typed} --known FILE` tells, with a few values of this list in FILE, one a line; "
            "so does `--raw-column COLUMN`, where raw values stand beside the hashes"
        )
    return said


def _result(
    agreed: Contract, dataset: str, report: Prepared, then: str, notes: list[str], fault: Fault | None = None
) -> Result:
    """fault: why `prepare` would refuse a file that was looked at only."""
    from .errors.files import refusal

    lines: list[str | Table] = [Table((dataset, ""), _rows(report), right=(1,))]
    lines += [_where(reason, agreed, dataset, report) for reason in sorted(report.first)]
    if fault is not None:
        lines.append(f"`prepare` would refuse it: {refusal(fault, reasons=False)}")
    if report.contradicting:
        rows, its = ("row holds", "its") if report.contradicting == 1 else ("rows hold", "their")
        first = f"another value than the first row of {its} person in the file, which counts"
        lines.append(f"{report.contradicting:,} merged {rows} {first}")
    if report.cut:
        held, were = ("set", "was") if report.cut == 1 else ("sets", "were")
        lines.append(f"{report.cut:,} {held} held more values than declared and {were} cut to the first ones")
    if report.over:
        were = "1 row was" if report.over == 1 else f"{report.over:,} rows were"
        lines.append(f"{were} more than count of one person (`at_most`), and left at home by a keyed draw")
    if report.unused:
        lines.append(f"not in the contract, left at home: {', '.join(report.unused)}")
    lines += notes
    if report.bundle is not None and not report.written:
        lines.append(f"`{report.bundle}` was made from this very file, nothing changed")
    return Result(
        {
            "dataset": dataset,
            "read": report.read,
            "rows": report.rows,
            "merged": report.merged,
            "contradicting": report.contradicting,
            "shared": dict(report.shared),
            "dummies": report.dummies,
            "over": report.over,
            "rejects": dict(report.rejects),
            "first": {reason: found.as_json() for reason, found in report.first.items()},
            "without": dict(report.without),
            "suspects": dict(report.suspects),
            "cut": report.cut,
            "unused": list(report.unused),
            "bundle": str(report.bundle) if report.bundle else None,
            "home": str(report.home) if report.home else None,
            "ids": str(report.ids) if report.ids else None,
            "written": report.written,
            "fits": fault is None,
            "returned": [
                {"contract": each.contract, "dataset": each.dataset, "share": round(each.share, 3)}
                for each in report.returned
            ],
            "warnings": list(report.doubts),
            "notes": notes,
        },
        lines,
        then,
        [*map(_returned, report.returned), *report.doubts],
    )


def _where(reason: str, agreed: Contract, dataset: str, report: Prepared) -> str:
    """Where the first rows stand that are left out or odd for a reason, and what their column takes. No value is
    said."""
    from .domains import written

    declared = agreed.dataset[dataset].columns.get(reason.partition(":")[0])
    takes = f"; it takes {written(declared)}" if declared is not None else ""
    rows = report.rejects.get(reason) or report.suspects[reason]  # what is odd is kept, or refused by the contract
    return f"{reason}: {report.first[reason].said(rows)}{takes}"


def _returned(found: Returned) -> str:
    return (
        f"about {found.share:.0%} of the smaller list are in {found.dataset} of {found.contract_name} as well: what "
        "both contracts spend on them adds up, unless one continues the other"
    )


def _rows(report: Prepared) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = [("rows read", f"{report.read:,}")]
    rows += [(f"left out: {reason}", f"{count:,}") for reason, count in sorted(report.rejects.items())]
    rows += [(f"kept without its {reason}", f"{count:,}") for reason, count in sorted(report.without.items())]
    rows += [(f"kept, but odd: {reason}", f"{count:,}") for reason, count in sorted(report.suspects.items())]
    rows += [("same person again, merged", f"{report.merged:,}")] if report.merged else []
    rows += [(f"{key} that stayed with a person before", f"{count:,}") for key, count in report.shared.items()]
    rows += [("dummies, who match nobody", f"{report.dummies:,}")] if report.dummies else []
    return [*rows, ("rows ready" if report.bundle is None else "rows in the bundle", f"{report.rows:,}")]

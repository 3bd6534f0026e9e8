"""`passbox audit`: what an attacker could learn in practice, measured on invented people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .progress import in_tenths
from .receipt import RHO
from .show import JsonFlag, Part, Result, Table, progressing, say

if TYPE_CHECKING:
    from ..cleanroom.canary.audit import Audit
    from ..cleanroom.canary.finding import Finding

app = typer.Typer(help="Measure what models give away, on invented people.", no_args_is_help=True)

EPSILON = 8.0


@app.command("model")
def model(
    contract: Annotated[Path, typer.Option(help="contract.toml, signed or not")],
    kind: Annotated[
        str, typer.Option(help="lookalike, model or completion [default: the first of them that the contract allows]")
    ] = "",
    epsilon: Annotated[
        float,
        typer.Option(help="of the job that is audited: the code is the same at every ε, and a larger one shows sooner"),
    ] = EPSILON,
    runs: Annotated[
        int | None,
        typer.Option(help="in each of the two worlds [default: until .9 of what is charged would show]", min=100),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Put canaries through the real code, and print what they show beside what is charged.

    People are made up from the contract's declared domains; no submitted record is looked at, and nothing is charged.
    It takes some minutes; fewer `--runs` take less, and show less.
    """
    from ..cleanroom.canary.audit import audit, job_to_audit
    from ..policies.agreement import read_contract
    from .words import asked_epsilon, learning_job

    agreed, data = read_contract(contract)
    rule = learning_job(kind, agreed)
    job = job_to_audit(agreed, data, rule, asked_epsilon(epsilon))
    with progressing("canaries") as progress:
        found = audit(agreed, data, job, runs, in_tenths("canaries", progress))
    say(_result(found), as_json)
    if not found.holds:
        raise typer.Exit(1)


def _result(found: Audit) -> Result:
    rows = [_row(finding) for finding in found.findings]
    header = ("test", "what", "shown, 95 % sure", "charged", "share", "runs")
    verdict = "nothing shows more than was charged" if found.holds else "MORE WAS SHOWN THAN WAS CHARGED: a leak"
    parts: list[Part] = [
        f"{found.kind} at ε {found.epsilon:g}, δ {found.delta:g}: μ {found.mu:.3f}, {found.cells:,} numbers released",
        Table(header, rows, right=(2, 3, 4, 5)),
        *(f"- left out: {said}" for said in found.left_out),
        verdict,
        RHO,
        "people were invented from the contract's declared domains; no submitted record was looked at. A bound far "
        "below its charge proves nothing, one above it proves a leak",
    ]
    return Result(_json(found), parts, "" if found.holds else "stop using this version, and report what you see here")


def _row(finding: Finding) -> tuple[str, ...]:
    if (audited := finding.audited) is None:
        return finding.test, finding.what, "yes" if finding.holds else "NO", "", "", ""
    unit = "μ" if audited.unit == "mu" else "ε"
    share = f"{audited.lower / audited.charged:.0%}"
    lower, charged = (f"{unit} {value:.3f}" for value in (audited.lower, audited.charged))
    return finding.test, finding.what, lower, charged, share, f"{audited.runs:,}"


def _json(found: Audit) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "epsilon": found.epsilon,
        "delta": found.delta,
        "mu": found.mu,
        "cells": found.cells,
        "holds": found.holds,
        "findings": [
            {"test": finding.test, "what": finding.what, "holds": finding.holds, **_bound_json(finding)}
            for finding in found.findings
        ],
        "left_out": list(found.left_out),
    }


def _bound_json(finding: Finding) -> dict[str, Any]:
    if (audited := finding.audited) is None:
        return {}
    return {
        "unit": audited.unit,
        "lower": audited.lower,
        "lower_sure": audited.sure,
        "charged": audited.charged,
        "runs": audited.runs,
    }

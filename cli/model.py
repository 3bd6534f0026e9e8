"""`passbox model`: using a model that was released to you."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .show import JsonFlag, Part, Result, Table, counted, number, say, working

app = typer.Typer(help="Use a released model: score new people, or export it.", no_args_is_help=True)

COVERS = (
    "low, high: ends of a 95 % interval of the probability, for noise, luck and shrinkage; over people and releases 95 "
    "in 100 hold, not for each kind of person"
)
APART = "as of every `model`, they are reckoned as if columns were independent: nothing was paid to know otherwise"
NO_INTERVALS = "this model says of no score how far it may be off: it is of trees, of many values, or old"

ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="a .model.json that `release open` wrote")]


@app.command("score")
def score(
    model: ModelFile,
    people: Annotated[Path, typer.Argument(metavar="PEOPLE", help="CSV or Parquet with the model's columns")],
    id_: Annotated[
        str | None, typer.Option("--id", help="a column to carry along [default: rows are numbered]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help=".csv or .parquet [default: PEOPLE with .scored before its ending]")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Score new people with a model, at home: nothing enters a room, and nothing is charged."""
    from ..cleanroom.scoring import score as perform

    with working("scoring"):
        done = perform(model, people, out or people.with_name(f"{people.stem}.scored{people.suffix}"), id_)
    odd = [(reason, f"{rows:,}") for reason, rows in done.odd.items()]
    parts: list[Part] = [f"{counted(done.rows, 'row')} scored in `{done.out}`, mean probability {number(done.mean, 4)}"]
    if odd:
        parts.append(Table(("taken as missing, or as the nearest bound", "rows"), odd, right=(1,)))
    parts.append(COVERS if done.intervals else NO_INTERVALS)
    if done.apart:
        parts.append(APART)
    data = {"out": str(done.out), "rows": done.rows, "mean_probability": done.mean, "not_as_declared": dict(done.odd)}
    data |= {"intervals": done.intervals, "columns_apart": done.apart}
    say(Result(data, parts), as_json)


@app.command("export")
def export(
    model: ModelFile,
    out: Annotated[Path | None, typer.Option(help="the ONNX file [default: MODEL with .onnx as its ending]")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a model as ONNX, for other systems to score with. Needs the extra `onnx`."""
    from ..cleanroom.scoring import export_onnx

    target = out or model.with_suffix(".onnx")
    written = export_onnx(model, target)
    line = f"wrote `{target}`" if written else f"`{target}` is here already, nothing changed"
    inputs = "inputs are named like columns: numbers and sets as float64 (NaN: missing), other columns as text"
    say(Result({"onnx": str(target), "written": written}, [line, inputs, "outputs: log_odds, probability"]), as_json)

"""`passbox doctor`: whether this machine can keep a room's promises, and why a list matches badly."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .identifiers import CountryOption, WindowOption
from .show import Bars, JsonFlag, Part, Result, Table, counted, say, working

if TYPE_CHECKING:
    from ..cleanroom.diagnosis import Diagnosis, Examined
    from ..matching.doctor import Cause, Observed

app = typer.Typer(help="Look for what is wrong with this machine, or with a match.", invoke_without_command=True)


@app.callback(invoke_without_command=True)
def doctor(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Look at this machine: versions with known faults, tools that are missing. Changes nothing.

    `doctor match` looks at a list instead.
    """
    if context.invoked_subcommand is not None:
        return
    from ..cleanroom.machine import examine_machine

    found = examine_machine()
    rows = [(item.what, item.found, "fine" if item.fine else "look", item.advice) for item in found]
    wrong = sum(not item.fine for item in found)
    say(
        Result(
            {"findings": [asdict(item) for item in found], "fine": not wrong},
            [Table(("what", "found", "", "what it means"), rows), f"{wrong} to look at" if wrong else "all fine"],
        ),
        as_json,
    )


@app.command("match", short_help="Say why your list may match badly, without spending.")
def match(
    file: Annotated[Path, typer.Argument(help="your own list, CSV or Parquet")],
    other: Annotated[Path | None, typer.Argument(help="none: two lists are compared by a paid overlap")] = None,
    contract: Annotated[Path | None, typer.Option(help="contract.toml, which says kind, scheme and form")] = None,
    dataset: Annotated[str | None, typer.Option(help="which data set of the contract it is")] = None,
    column: Annotated[str | None, typer.Option(help="the identifier's column [default: named like its kind]")] = None,
    kind: Annotated[str | None, typer.Option(help="email, phone, idfa, ... [default: the contract's best]")] = None,
    scheme: Annotated[str | None, typer.Option(help="without a contract: such as uid2@1")] = None,
    arrives: Annotated[
        str, typer.Option(help="without a contract: raw, or sha256 where the file holds hashes")
    ] = "raw",
    country: CountryOption = None,
    window: WindowOption = None,
    raw_column: Annotated[
        str | None, typer.Option(help="raw values beside hashes: they tell how it was hashed")
    ] = None,
    last_seen: Annotated[str | None, typer.Option(help="a column of dates: how old the list is")] = None,
    stale_after: Annotated[int, typer.Option(help="days after which a row counts as old", min=1)] = 365,
    bundle: Annotated[Path | None, typer.Option(help="your bundle: was it keyed for this contract?")] = None,
    overlap: Annotated[Path | None, typer.Option(help="a paid overlap's release: what fits its rate?")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="your NAME.keys folder, to open the release")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what in your own list costs matches, and what mending it would give at most. Free: no other list is read."""
    from ..cleanroom.diagnosis import BothLists, diagnose, key_mismatch, observed
    from .words import NoRole, today

    if other is not None:
        raise BothLists(other)
    if bundle is not None and contract is None:
        raise NoRole("a bundle is held against a contract", "say which with `--contract contract.toml`")
    if overlap is not None and key is None:
        raise NoRole("a release is sealed", "say whose it is with `--key NAME.keys`")
    asked = _asked(
        file, contract, dataset, column, kind, scheme, arrives, country, window, raw_column, last_seen, stale_after
    )
    with working("looking"):
        found = [(each, diagnose(each, today())) for each in asked]
        mismatch = key_mismatch(bundle, contract) if bundle and contract else None
        rate = observed(overlap, _identity(key), found[0][1].rows) if overlap and key else None
    say(_result(found, mismatch, rate, bundle is not None, contract), as_json)


def _identity(key: Path) -> str:
    from ..cleanroom.keys import open_keys

    return open_keys(key).seal_identity()


def _asked(
    file: Path,
    contract: Path | None,
    dataset: str | None,
    column: str | None,
    kind: str | None,
    scheme: str | None,
    form: str,
    country: str | None,
    window: int | None,
    raw: str | None,
    seen: str | None,
    stale_after: int,
) -> list[Examined]:
    """What to look at, from a contract or from what was typed: a key each. Errors: NoRole, NoSuchDataset, those of
    contracts."""
    from typing import cast

    from ..cleanroom.diagnosis import Examined
    from ..matching.identifiers import Arrives
    from ..policies.agreement import read_contract
    from .identifiers import declared
    from .words import NoRole, arrives, known_dataset

    if contract is not None:
        agreed, _ = read_contract(contract)
        if dataset is None:
            raise NoRole("a contract has several data sets", "say which one it is with `--dataset NAME`")
        known_dataset(dataset, agreed)
        rule = agreed.dataset[dataset]
        if kind is not None and kind not in rule.identifiers:
            raise NoRole("the data set holds no such identifier", f"use one of {', '.join(rule.identifiers)}")
        carried = [each for each in agreed.match.keys if each in rule.identifiers]
        kinds = [kind] if kind else carried[:1] if column or raw else carried  # a column is of one kind
        setting = agreed.setting(dataset)
        return [
            Examined(
                file, column or each, each, agreed.match.scheme[each], rule.identifiers[each], setting, raw, seen,
                stale_after,
            )
            for each in kinds
        ]  # fmt: skip
    if kind is None or scheme is None:
        rule_, remedy = (
            "what the list holds is not said",
            "name `--contract` and `--dataset`, or `--kind` and `--scheme`",
        )
        raise NoRole(rule_, remedy)
    setting, arrived = declared(scheme, kind, country, window), cast(Arrives, arrives(form))
    return [Examined(file, column or kind, kind, scheme, arrived, setting, raw, seen, stale_after)]


def _result(
    found: list[tuple[Examined, Diagnosis]],
    mismatch: Cause | None,
    rate: Observed | None,
    looked_at_bundle: bool,
    contract: Path | None,
) -> Result:
    """Key by key, the best first. With several, a rate refutes nothing: who misses by one key may match by another."""
    shown, parts, keys = rate if len(found) == 1 else None, list[Part](), list[dict[str, object]]()
    for asked, diagnosis in found:
        causes = _weighed([*([mismatch] if mismatch else []), *diagnosis.causes], shown)
        parts += _of_key(asked, diagnosis, causes, shown)
        keys.append(_key_json(asked, diagnosis, causes, shown))
    if looked_at_bundle and not mismatch:
        parts.append("the bundle was keyed for this contract, with the shares beside it")
    if rate is not None and shown is None:
        parts += [_told(rate), "it counts people by whichever key they match, so it does not say which key misses"]
    data = {"rows": found[0][1].rows, **keys[0], "keys": keys, "observed": asdict(rate) if rate else None}
    return Result(data, parts, _next(rate, contract))


def _of_key(asked: Examined, found: Diagnosis, causes: list[Cause], rate: Observed | None) -> list[Part]:
    parts: list[Part] = [
        f"{counted(found.rows, 'row')} of {asked.kind}, {asked.arrives}, by {asked.scheme}; no other list was read"
    ]
    if causes:
        bars = [(each.label, each.share, _percent(each.share)) for each in causes[:8]]
        parts += [*_tables(causes, rate), Bars("share of the list each concerns", bars)]
    else:
        parts.append("nothing in it costs matches")
    if found.recipes:
        rows = [(r.scheme or "none", r.layers, f"{r.share:.1%}") for r in found.recipes[:6]]
        parts += [
            "how the hashes beside the raw values were made",
            Table(("scheme", "hashed", "fits"), rows, right=(2,)),
        ]
    return [*parts, *_verdict(_likely(causes, rate), rate)]


def _key_json(asked: Examined, found: Diagnosis, causes: list[Cause], rate: Observed | None) -> dict[str, object]:
    return {
        "kind": asked.kind,
        "scheme": asked.scheme,
        "arrives": asked.arrives,
        "causes": [_as_json(each, rate) for each in causes],
        "likely": [each.name for each in _likely(causes, rate)[:3]],
        "recipes": [asdict(each) for each in found.recipes],
    }


def _weighed(causes: list[Cause], rate: Observed | None) -> list[Cause]:
    from ..matching.doctor import weighed

    return weighed(causes, rate) if rate else causes


def _likely(causes: list[Cause], rate: Observed | None) -> list[Cause]:
    """Which causes to name at the end: never one whose mending gives nothing."""
    from ..matching.doctor import gain, likely

    return likely(causes, rate) if rate else [each for each in causes if (won := gain(each, None)) and won.high > 0]


def _next(rate: Observed | None, contract: Path | None) -> str:
    if rate is not None:
        return "let the other side type `passbox doctor match` on its own list, and compare what you read"
    asks = f"`passbox job new overlap --contract {contract or 'contract.toml'} --epsilon 0.25`"
    return f"{asks} asks how many match: once it was run, name its release here with `--overlap`"


def _tables(causes: list[Cause], rate: Observed | None) -> list[Part]:
    """The figures, and the words apart from them: beside each other neither fits a terminal."""
    figures = [(each.label, f"{each.rows:,}", _percent(each.share), _gain(each, rate)) for each in causes]
    words = [(each.label, f"{each.what}. {each.remedy}") for each in causes]
    return [
        Table(("cause", "rows", "share", "mending gives at most"), figures, right=(1, 2, 3), whole=(0, 1, 2)),
        Table(("cause", "what it is, and what to do"), words, whole=(0,)),
    ]


def _percent(share: float) -> str:
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def _gain(cause: Cause, rate: Observed | None) -> str:
    from ..matching.doctor import gain, refuted

    won = gain(cause, rate)
    if won is None:
        return "nothing"
    if rate is not None and refuted(cause, rate):
        return "nothing: more rows match"
    maybe = "" if cause.certain else "if so, "
    if rate is None:
        return f"{maybe}{_percent(won.high)} of the rows"
    low, high = f"{100 * won.low:.1f}", f"{100 * won.high:.1f}"
    return f"{maybe}{high} points" if low == high else f"{maybe}{low} to {high} points"


def _verdict(best: list[Cause], rate: Observed | None) -> list[Part]:
    if rate is not None:
        if not best:
            return [
                _told(rate),
                "nothing in this list explains a low rate: it lies in the other list, or few people are on both",
            ]
        return [_told(rate), f"likely: {best[0].label}, {best[0].what}"]
    if not best:
        return []
    said = "mend first" if best[0].certain else "nothing is wrong in itself; ask first about"
    return [f"{said}: {best[0].label}, {best[0].what}"]


def _told(rate: Observed) -> str:
    return f"the paid overlap: {rate.rate:.1%} of these rows match, from {rate.low:.1%} to {rate.high:.1%}"


def _as_json(cause: Cause, rate: Observed | None) -> dict[str, object]:
    from ..matching.doctor import gain

    won = gain(cause, rate)
    return {**asdict(cause), "share": round(cause.share, 6), "gain": asdict(won) if won else None}

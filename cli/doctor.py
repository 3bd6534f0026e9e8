"""`passbox doctor`: whether this machine can keep a room's promises, and why a list matches badly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .identifiers import CountryOption, WindowOption
from .show import Bars, JsonFlag, Part, Result, Table, counted, say, working

if TYPE_CHECKING:
    from ..cleanroom.diagnosis import Diagnosis, Examined, Known, Paid
    from ..matching.doctor import Cause, Observed
    from ..matching.recipes import Recipe
    from ..policies.contract import Contract

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
    known: Annotated[
        str | None,
        typer.Option(help="values that you know are on your hashed list: a file, one a line; - for a pipe"),
    ] = None,
    last_seen: Annotated[str | None, typer.Option(help="a column of dates: how old the list is")] = None,
    stale_after: Annotated[int, typer.Option(help="days after which a row counts as old", min=1)] = 365,
    bundle: Annotated[Path | None, typer.Option(help="your bundle: was it keyed for this contract?")] = None,
    overlap: Annotated[Path | None, typer.Option(help="a paid overlap's release: what fits its rate?")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="your NAME.keys folder, to open the release")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what in your own list costs matches, and what mending it would give at most. Free: no other list is read."""
    from functools import partial

    from ..cleanroom.diagnosis import BothLists, Examined, diagnose, key_mismatch, observed
    from ..policies.agreement import read_contract
    from .words import NoRole, today

    if other is not None:
        raise BothLists(other)
    if bundle is not None and contract is None:
        raise NoRole("a bundle is held against a contract", "say which with `--contract contract.toml`")
    if overlap is not None and key is None:
        raise NoRole("a release is sealed", "say whose it is with `--key NAME.keys`")
    agreed = read_contract(contract)[0] if contract is not None else None
    values = _values(known) if known is not None else ()
    beside = partial(Examined, source=file, raw=raw_column, known=values, seen=last_seen, stale_after=stale_after)
    if agreed is not None:
        asked = _by_contract(beside, agreed, dataset, kind, column)
    else:
        asked = [_by_hand(beside, kind, scheme, arrives, column, country, window)]
    asked = list(map(_without_others, asked))
    with working("looking"):
        found = [(each, diagnose(each, today())) for each in asked]
        mismatch = key_mismatch(bundle, contract) if bundle and contract else None
        paid = observed(overlap, _identity(key), found[0][1].rows) if overlap and key else None
    rates = [_rate(paid, each, agreed, dataset) for each in asked]
    say(_result(found, rates, mismatch, paid, bundle is not None, contract), as_json)


def _identity(key: Path) -> str:
    from ..cleanroom.keys import open_keys

    return open_keys(key).seal_identity()


def _values(source: str) -> tuple[str, ...]:
    """The lines of a file or of a pipe, each once. Errors: NoRole, OSError."""
    from itertools import islice

    from .identifiers import line_text, lines
    from .words import NoRole

    read = list(islice(lines(source), MOST_KNOWN + 1))
    if len(read) > MOST_KNOWN:
        raise NoRole(f"more than {MOST_KNOWN:,} known values", "a few are enough: write one a line")
    values = tuple(dict.fromkeys(text.strip() for line in read if (text := line_text(line)[0]) and text.strip()))
    if not values:
        raise NoRole("no known value was read", "write one a line, as UTF-8, into the file or the pipe")
    return values


MOST_KNOWN = 10_000


def _without_others(asked: Examined) -> Examined:
    """The same, without known values that are none of their kind. Errors: NoRole where no others are left."""
    from dataclasses import replace

    from ..matching.recipes import likenesses
    from .words import NoRole

    like = likenesses(asked.known, asked.kind, asked.setting)
    if asked.known and not like:
        rule = f"no line is {_article(_named(asked.kind, 1))} ({counted(len(asked.known), 'different line')} read)"
        raise NoRole(rule, "write one known value a line, as it was before it was hashed, and nothing else")
    return replace(asked, known=like, passed_over=len(asked.known) - len(like))


def _named(kind: str, count: int) -> str:
    one, more = _IDENTIFIERS.get(kind, (f"value of kind {kind}", f"values of kind {kind}"))
    return one if count == 1 else more


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


_IDENTIFIERS = {"email": ("e-mail address", "e-mail addresses"), "phone": ("telephone number", "telephone numbers")}


def _rate(paid: Paid | None, asked: Examined, agreed: Contract | None, dataset: str | None) -> Observed | None:
    """What a paid overlap says of this key. Without a contract, people are taken to match on it alone."""
    if paid is None:
        return None
    if agreed is None or dataset is None:
        return paid.of(asked.kind, alone=True)
    others = {kind for name, rule in agreed.dataset.items() if name != dataset for kind in rule.identifiers}
    return paid.of(asked.kind, alone=others & set(agreed.dataset[dataset].identifiers) == {asked.kind})


def _by_contract(
    examined: Callable[..., Examined], agreed: Contract, dataset: str | None, kind: str | None, column: str | None
) -> list[Examined]:
    """What to look at, a key each. examined: makes it of what was typed and the rest. Errors: NoRole, NoSuchDataset."""
    from .words import NoRole, known_dataset

    if dataset is None:
        raise NoRole("a contract has several data sets", "say which one it is with `--dataset NAME`")
    known_dataset(dataset, agreed)
    arrives, setting = agreed.dataset[dataset].identifiers, agreed.setting(dataset)
    if kind is not None and kind not in arrives:
        raise NoRole("the data set holds no such identifier", f"use one of {', '.join(arrives)}")
    carried = [kind] if kind else [each for each in agreed.match.keys if each in arrives]
    every = [
        examined(
            column=column or each, kind=each, scheme=agreed.match.scheme[each], arrives=arrives[each], setting=setting
        )
        for each in carried
    ]
    first, one = every[0], column or every[0].raw or every[0].known  # a column is of one kind
    if first.known:
        first = next((each for each in every if each.arrives != "raw"), first)
        _refuse_raw(first)
    return [first] if one else every


def _by_hand(
    examined: Callable[..., Examined],
    kind: str | None,
    scheme: str | None,
    form: str,
    column: str | None,
    country: str | None,
    window: int | None,
) -> Examined:
    """The same without a contract. Errors: NoRole."""
    from .identifiers import declared
    from .words import NoRole, arrives

    if kind is None or scheme is None:
        remedy = "name `--contract` and `--dataset`, or `--kind` and `--scheme`"
        raise NoRole("what the list holds is not said", remedy)
    setting = declared(scheme, kind, country, window)
    made = examined(column=column or kind, kind=kind, scheme=scheme, arrives=arrives(form), setting=setting)
    _refuse_raw(made)
    return made


def _refuse_raw(asked: Examined) -> None:
    """Known values tell how hashes were made. Errors: NoRole."""
    from .words import NoRole

    if asked.known and asked.arrives == "raw":
        rule = f"{asked.kind} arrives raw, so that it is normalised and hashed here, by its scheme"
        raise NoRole(rule, "leave `--known` out, which tells how a column of hashes was made")


def _result(
    found: list[tuple[Examined, Diagnosis]],
    rates: list[Observed | None],
    mismatch: Cause | None,
    paid: Paid | None,
    looked_at_bundle: bool,
    contract: Path | None,
) -> Result:
    """Key by key, the best first. rates: what was paid for of each; None where it says nothing of that key alone: who
    misses by one key may match by another."""
    parts, keys = list[Part](), list[dict[str, object]]()
    for (asked, diagnosis), rate in zip(found, rates, strict=True):
        causes = _weighed([*([mismatch] if mismatch else []), *diagnosis.causes], rate)
        parts += _of_key(asked, diagnosis, causes, rate)
        keys.append(_key_json(asked, diagnosis, causes, rate))
    if looked_at_bundle and not mismatch:
        parts.append("the bundle was keyed for this contract, with the shares beside it")
    if paid is not None:
        parts += _of_all(paid, [asked.kind for (asked, _), rate in zip(found, rates, strict=True) if rate is None])
        parts += [_ALONE.format(kind=found[0][0].kind)] if contract is None and paid.best is None else []
    data = {"rows": found[0][1].rows, **keys[0], "keys": keys, "observed": asdict(paid.whole) if paid else None}
    wrong = any(map(_made_wrong, (each for _, diagnosis in found for each in diagnosis.causes)))
    return Result(data, parts, _next(paid, contract, wrong=wrong))


def _made_wrong(cause: Cause) -> bool:
    """Whether for sure more than one row in twenty was hashed otherwise than agreed."""
    return cause.certain and cause.name in ("scheme", "no-scheme", "encoding") and cause.share > 0.05


_ALONE = "people are taken to match on {kind} alone: name the `--contract` where they match on other keys as well"


def _of_all(paid: Paid, unsaid: list[str]) -> list[Part]:
    """What a rate over all keys says where it says nothing of some of them."""
    if not unsaid:
        return []
    said = f"it counts people by whichever key they match, so it does not say how many would match by {_and(unsaid)}"
    more = "" if paid.best else "; an overlap with `tiers = true` says how many match by the best key"
    return [_told(paid.whole), f"{said}{more}"]


def _and(names: list[str]) -> str:
    return " or by ".join(names)


def _of_key(asked: Examined, found: Diagnosis, causes: list[Cause], rate: Observed | None) -> list[Part]:
    parts: list[Part] = [
        f"{counted(found.rows, 'row')} of {asked.kind}, {asked.arrives}, by {asked.scheme}; no other list was read"
    ]
    if causes:
        bars = [(each.label, each.share, _percent(each.share)) for each in causes[:8] if each.rows]
        parts += [*_tables(causes, rate), *([Bars("share of the list each concerns", bars)] if bars else [])]
    else:
        parts.append("nothing in it costs matches")
    if found.recipes:
        parts += ["how the hashes beside the raw values were made", _recipes(found.recipes, asked.scheme)]
    if found.known and asked.passed_over:
        others, lines = asked.passed_over, counted(found.known.values + asked.passed_over, "different line")
        are, were = ("is", "was") if others == 1 else ("are", "were")
        parts.append(f"{others:,} of these {lines} {are} no {_named(asked.kind, others)}, and {were} passed over")
    if found.known and found.known.found:
        parts += _of_known(found.known, asked.scheme)
    return [*parts, *_verdict(_likely(causes, rate), rate)]


def _of_known(known: Known, scheme: str) -> list[Part]:
    stand = (
        f"{known.found:,} of {counted(known.values, 'known value')} {'stands' if known.found == 1 else 'stand'} in it"
    )
    return [f"{stand}, made so", _recipes(known.recipes, scheme)]


def _recipes(found: tuple[Recipe, ...], scheme: str) -> Table:
    """The agreed one, and those that fit best."""
    agreed = [each for each in found if (each.scheme, each.layers) == (scheme, "once")]
    others = [each for each in found if each not in agreed]
    shown = sorted([*agreed, *others[:5]], key=lambda each: -each.share)
    rows = [
        (f"{each.scheme or 'none'}{' (agreed)' if each in agreed else ''}", each.layers, f"{each.share:.1%}")
        for each in shown
    ]
    return Table(("scheme", "hashed", "fits"), rows, right=(2,))


def _key_json(asked: Examined, found: Diagnosis, causes: list[Cause], rate: Observed | None) -> dict[str, object]:
    return {
        "kind": asked.kind,
        "scheme": asked.scheme,
        "arrives": asked.arrives,
        "causes": [_as_json(each, rate) for each in causes],
        "likely": [each.name for each in _likely(causes, rate)[:3]],
        "recipes": [asdict(each) for each in found.recipes],
        "known": asdict(found.known) if found.known else None,
        "passed_over": asked.passed_over,
        "rate": asdict(rate) if rate else None,
    }


def _weighed(causes: list[Cause], rate: Observed | None) -> list[Cause]:
    from ..matching.doctor import weighed

    return weighed(causes, rate) if rate else causes


def _likely(causes: list[Cause], rate: Observed | None) -> list[Cause]:
    """Which causes to name at the end: never one whose mending gives nothing."""
    from ..matching.doctor import gain, likely

    return likely(causes, rate) if rate else [each for each in causes if (won := gain(each, None)) and won.high > 0]


def _next(paid: Paid | None, contract: Path | None, *, wrong: bool) -> str:
    """wrong: whether hashes were made otherwise than agreed: then a count of matches is not worth its price."""
    if wrong:
        return "mend these hashes and `passbox prepare` the list anew, before anything is paid for"
    if paid is not None:
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
        return [_told(rate), *_explained(best[0], rate)]
    if not best:
        return []
    said = "mend first" if best[0].certain else "nothing is wrong in itself; ask first about"
    return [f"{said}: {best[0].label}, {best[0].what}"]


def _explained(best: Cause, rate: Observed) -> list[Part]:
    """What a cause explains of those who miss, at most; and that others may be on one list alone."""
    missing = max(0.0, 1 - rate.rate)
    said = f"{best.label}, {best.what}"
    if best.certain or best.share >= missing:
        found = f"likely: {said}" if best.certain else f"it may be: {said}"
    else:
        found = f"of the {100 * missing:.1f} points that miss, at most {100 * best.share:.1f} may be: {said}"
    return [found, "or they are simply not on the other list: no list shows that, and it explains any rate"]


def _told(rate: Observed) -> str:
    return f"the paid overlap: {rate.rate:.1%} of these rows match, from {rate.low:.1%} to {rate.high:.1%}"


def _as_json(cause: Cause, rate: Observed | None) -> dict[str, object]:
    from ..matching.doctor import gain

    won = gain(cause, rate)
    return {**asdict(cause), "share": round(cause.share, 6), "gain": asdict(won) if won else None}

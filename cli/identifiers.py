"""`passbox identifiers`: what published conventions make of your own values, on your own screen."""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from .show import JsonFlag, Result, Table, Verbatim, say

if TYPE_CHECKING:
    from ..matching.schemes.setting import Setting
    from ..matching.trace import Outcome

app = typer.Typer(help="See what a scheme makes of e-mails, phones, device IDs and IP addresses.", no_args_is_help=True)

SchemeOption = Annotated[str, typer.Option(help="such as uid2@1; `passbox identifiers schemes` lists them")]
KindOption = Annotated[str, typer.Option(help="email, phone, idfa, gaid, maid, android-id, ctv, ip or first-party")]
CountryOption = Annotated[
    str | None, typer.Option(help="whose numbers come without a country code, such as US [default: none do]")
]
WindowOption = Annotated[
    int | None, typer.Option(help="hours an IP address counts as one household's", min=1, max=31 * 24)
]
LONGEST_LINE = 1 << 16


@app.command("normalise", short_help="Normalise and hash lines: one JSON object each.")
def normalise(
    scheme: SchemeOption,
    kind: KindOption,
    file: Annotated[str, typer.Argument(help="a file with a value a line; - for what is piped in")] = "-",
    country: CountryOption = None,
    window: WindowOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Normalise and hash every line of a file or of what is piped in; one JSON object a line, with or without --json.

    input_line: its number. input: the line. normalised, sha256_hex, sha256_base64: null where rejected says why. A
    convention that hashes with SHA-1 has sha1_hex besides, and the two of SHA-256 are null.
    """
    from ..matching.schemes import load
    from ..matching.trace import outcome, rejected

    del as_json
    setting, rule = declared(scheme, kind, country, window), load(scheme).rule(kind)
    with until_nobody_reads():
        for number, line in enumerate(lines(file), 1):
            text, refused = line_text(line)
            found = rejected(rule, refused) if refused else outcome(scheme, kind, text or "", setting)
            sys.stdout.write(json.dumps({"input_line": number, "input": text, **_fields(found)}) + "\n")
        sys.stdout.flush()


@contextmanager
def until_nobody_reads() -> Iterator[None]:
    """Ends in peace where the other end of the pipe is closed, as `head` does."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.command("explain", short_help="Show step by step what a scheme does.")
def explain(
    kind: KindOption,
    scheme: Annotated[str | None, typer.Option(help="one scheme, step by step [default: all, side by side]")] = None,
    value: Annotated[str, typer.Argument(help="the value; - reads a line, which stays out of your shell's history")] = (
        "-"
    ),
    country: CountryOption = None,
    window: WindowOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what a scheme does to a value, step by step; without --scheme, what each scheme makes of it."""
    from ..matching.schemes import known, load

    text, refused = line_text(next(lines("-"), b"")) if value == "-" else (value, None)
    schemes = [scheme] if scheme else [name for name in known() if kind in load(name).rules]
    setting = declared(scheme, kind, country, window)
    if refused or text is None:
        say(Result({"rejected": str(refused)}, [f"it is refused: {refused}"]), as_json)
    elif scheme:
        say(_steps(scheme, kind, text, setting), as_json)
    else:
        say(_side_by_side(schemes, kind, text, setting), as_json)


@app.command("schemes")
def schemes(as_json: JsonFlag = False) -> None:
    """List the schemes, the kinds of identifiers each covers, how it hashes, and where its rule is published."""
    from ..matching.schemes import known, load

    listed = [load(name) for name in known()]
    kinds = {
        each.name: {kind: {"hash": r.hash, "encoding": r.encoding} for kind, r in each.rules.items()} for each in listed
    }
    rows = [(each.name, ", ".join(each.rules), _hashes(each.rules)) for each in listed]
    published = [Verbatim(f"{each.name:<14}{each.source}") for each in listed]
    say(
        Result(
            {"schemes": [{"name": each.name, "source": each.source, "kinds": kinds[each.name]} for each in listed]},
            [Table(("scheme", "kinds", "hash"), rows, whole=(0,)), "published at", *published],
            "`passbox identifiers explain --kind email VALUE` shows what each makes of a value",
        ),
        as_json,
    )


def _hashes(rules: Any) -> str:
    return ", ".join(sorted({f"{rule.hash} {rule.encoding}" for rule in rules.values()}))


def declared(scheme: str | None, kind: str, country: str | None, window: int | None) -> Setting:
    """What was typed, checked. Errors: NoRole."""
    from ..matching.schemes.setting import Setting
    from .words import known_country, known_kind

    known_kind(kind, scheme)
    if kind == "ip" and window is None:
        from .words import NoRole

        raise NoRole("an IP address is a household's for a while only", "say for how many hours, such as `--window 24`")
    return Setting(known_country(country), window)


def lines(file: str) -> Iterator[bytes]:
    """Lines without their ends, the first without a byte order mark. One that is longer than any value is cut, and
    stays one line."""
    if file == "-":
        yield from _unmarked(_bounded(sys.stdin.buffer))
        return
    with Path(file).open("rb") as source:
        yield from _unmarked(_bounded(source))


def _unmarked(read: Iterator[bytes]) -> Iterator[bytes]:
    for first in read:
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from read


def _bounded(source: BinaryIO) -> Iterator[bytes]:
    while line := source.readline(LONGEST_LINE):
        rest = line
        while not rest.endswith(b"\n") and (rest := source.readline(LONGEST_LINE)):
            pass
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def line_text(line: bytes) -> tuple[str | None, Any]:
    """A line as text, or why it is none."""
    from ..matching.rejects import RejectCode

    if len(line) >= LONGEST_LINE - 1:
        return None, RejectCode.TOO_LONG
    try:
        return line.decode(), None
    except UnicodeDecodeError:
        return None, RejectCode.NOT_UTF8


def _fields(found: Outcome) -> dict[str, str | None]:
    plain = found.hash == "sha256"
    fields = {
        "normalised": found.normalised,
        "sha256_hex": found.hex if plain else None,
        "sha256_base64": found.base64 if plain else None,
        "rejected": str(found.rejected) if found.rejected else None,
    }
    if not plain:
        fields["sha1_hex"] = found.hex
    return fields


def _steps(scheme: str, kind: str, text: str, setting: Setting) -> Result:
    from ..matching.trace import outcome, trace
    from .reasons import meaning

    steps, found = trace(scheme, kind, text, setting), outcome(scheme, kind, text, setting)
    rows = [(each.name, each.words, f"refused: {each.refused}" if each.refused else each.text) for each in steps]
    parts: list[str | Table] = [Table(("step", "what it does", "then it is"), [("", "as it came", text), *rows])]
    if found.rejected:
        parts.append(f"{found.rejected}: {meaning(found.rejected)}")
    else:
        parts += [f"{found.hash} in hex:    {found.hex}", f"{found.hash} in base64: {found.base64}"]
    if found.suspect:
        parts.append(f"odd, {found.suspect}: {meaning(found.suspect)}")
    listed = [
        {"step": s.name, "does": s.words, "text": s.text, "refused": str(s.refused) if s.refused else None}
        for s in steps
    ]
    data = {"scheme": scheme, "kind": kind, "input": text, "steps": listed, **_fields(found)}
    then = _LACKS_COUNTRY if found.rejected == _NO_COUNTRY else ""
    return Result({**data, "suspect": str(found.suspect) if found.suspect else None}, parts, then)


_NO_COUNTRY = "no-country-code"
_LACKS_COUNTRY = "write the number with `+` and its country code, or say whose it is, as `--country US` does"


def _side_by_side(schemes: list[str], kind: str, text: str, setting: Setting) -> Result:
    from ..matching.trace import outcome
    from .reasons import meaning

    found = {name: outcome(name, kind, text, setting) for name in schemes}
    rows = [
        (name, each.normalised or f"refused: {each.rejected}", (each.hex or "")[:16]) for name, each in found.items()
    ]
    rows.sort(key=lambda row: (row[1], row[0]))
    suspects = {name: str(each.suspect) for name, each in found.items() if each.suspect}
    data = {"kind": kind, "input": text, "schemes": {name: _fields(each) for name, each in found.items()}}
    data["suspects"] = suspects
    then = _LACKS_COUNTRY if all(each.rejected == _NO_COUNTRY for each in found.values()) else ""
    odd = [f"odd, {code}: {meaning(code)}" for code in dict.fromkeys(suspects.values())]
    table = Table(("scheme", "normalised", "hash begins"), rows, whole=(0,))
    return Result(data, [table, _agreement(found), *odd], then)


def _agreement(found: dict[str, Outcome]) -> str:
    """Whether lists under different schemes match on a value."""
    hashes = {each.digest for each in found.values() if not each.rejected}
    refuse = sum(1 for each in found.values() if each.rejected)
    if all(each.rejected == _NO_COUNTRY for each in found.values()):
        return "all schemes refuse it: its country code lacks, and no country is named"
    if not hashes:
        return "all schemes refuse it: it matches nobody"
    outcomes = len(hashes) + (refuse > 0)
    if outcomes > 1:
        told = f"{outcomes} different outcomes: lists hashed under schemes of different ones do not match on this value"
        return told if len(hashes) > 1 else f"those that accept it give one hash, {refuse} of {len(found)} refuse it"
    return "all schemes give one hash"

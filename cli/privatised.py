"""What `passbox text privatise` tells of a file it wrote: what was promised, what is not hidden, what is left in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .hints import NAMELESS, own_keys
from .progress import counting
from .show import Result, Table, counted, say
from .vectors import named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..cleanroom.privatise import Privatised, Texts, Values


def after(out: Path, vectors: Path | None, contract: Path | None, dataset: str) -> str:
    """What to type next, as it is typed."""
    from ..cleanroom.privatise import statement_path
    from ..policies.agreement import read_contract

    if contract is not None:
        owner = read_contract(contract)[0].dataset[dataset].owner
        key = f"{owner}.keys" if own_keys() == NAMELESS else own_keys()
        options = f"--contract {contract} --dataset {dataset} --key {key}"
        return f"`passbox prepare {out} {options}`, which takes the statement beside it along"
    return f"`passbox text verify {statement_path(out)}{named(vectors)}` measures what was promised"


def written(file: Path, out: Path, how: Mapping[str, Texts | Values], then: str, as_json: bool) -> None:
    """Privatise a file, and say what came of it. then: what to type next."""
    from ..cleanroom.privatise import privatise as make

    with counting("rows") as progress:
        report = make(file, out, how, progress)
    say(_report(report, how, then), as_json)


def _report(report: Privatised, how: Mapping[str, Texts | Values], then: str) -> Result:
    from ..cleanroom.frail import frail
    from ..cleanroom.private import together
    from ..dp.text.certificate import rounded

    stated = [each.stated(name) for name, each in how.items()]
    rows = [
        (
            each.column,
            each.certificate.epsilon,
            "as many as it had" if each.tokens is None else str(each.tokens),
            "no bound" if each.any_two_texts is None else f"ε {rounded(each.any_two_texts)}",
        )
        for each in stated
    ]
    bound = together(stated)
    if len(stated) > 1:
        rows.append(("all together", "", "", "no bound" if bound is None else f"ε {rounded(bound)}"))
    others: dict[str, int] = {}
    for counts in {id(each.counts): each.counts for each in how.values()}.values():
        for kind, count in counts.other.items():
            others[kind] = others.get(kind, 0) + count
    strange = [(f"{kind}, became a word that stands for it", f"{count:,}") for kind, count in others.items() if count]
    warnings = [
        f"{each.column}: how many words a text has is not private; `--length N` gives all the same"
        for each in stated
        if each.tokens is None
    ]
    warnings += filter(None, (frail(name, each) for name, each in how.items()))
    parts: list[str | Table] = [
        Table(("column", "ε a word and unit", "words a person", "any two texts"), rows, right=(1, 2, 3))
    ]
    if strange:
        parts.append(Table(("stays at home", ""), strange, right=(1,)))
    data = {
        "out": str(report.out),
        "statement": str(report.statement),
        "rows": report.rows,
        "left": report.left,
        "columns": [
            {
                "column": each.column,
                "epsilon": float(each.certificate.epsilon),
                "tokens": each.tokens,
                "any_two_texts": None if each.any_two_texts is None else float(each.any_two_texts),
                "certificate": each.certificate.digest,
            }
            for each in stated
        ],
        "any_two_texts": None if bound is None else float(bound),
        "other": others,
        "warnings": warnings,
    }
    parts.append(f"{counted(report.rows, 'row')} in `{report.out}`")
    if report.left:
        were = f"{counted(report.left, 'column')} {'was' if report.left == 1 else 'were'}"
        parts.append(f"{were} left in the clear: share the file with nobody while they are in it")
    return Result(data, parts, then, warnings)

"""Files that a party brings or writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..explanation import BAD_INPUT, REFUSED, Explanation, Words, placed, simple
from ..reasons import remedy


def _in_the_way(error: Any) -> Explanation:
    path = Path(error.path)
    another = path.with_name(f"{path.stem}-2{path.suffix}")
    remedy = error.remedy or f"move it, or choose another, such as `--out {another}`"
    what = "other files are in it, and were" if path.is_dir() else "another file is there, and was"
    message = f"{path}: {what} left as {'they are' if path.is_dir() else 'it is'}"
    return Explanation("in-the-way", message, remedy, BAD_INPUT)


def refusal(error: Any, *, reasons: bool = True) -> str:
    """Why a file is refused for its rows. reasons: whether they are named, as they are not beside a table of them."""
    name = type(error).__name__
    counts = error.refused if name == "SpoiledColumn" else error.rejects
    why = f" ({', '.join(f'{count:,} {reason}' for reason, count in sorted(counts.items()))})" if reasons else ""
    return _REFUSALS[name].format(e=error, count=sum(counts.values()), why=why)


_REFUSALS = {
    "TooManyRejects": "{e.path}: {count:,} of {e.rows:,} rows break a rule{why}, {e.allowed:,} may",
    "SpoiledColumn": "{e.path}: {count:,} of {e.there:,} values of {e.key} are refused{why}, and their rows would "
    "match by other keys alone",
    "NothingLeft": "{e.path}: no row of it can be used{why}",
}


def _rejects(error: Any) -> Explanation:
    rejected = sum(error.rejects.values())
    return Explanation(
        "rejects",
        refusal(error),
        remedy(error.rejects, error.hashes)
        or f"mend the file (`--check` says in which lines), or leave them out with `--max-rejects {rejected}`",
        BAD_INPUT,
    )


def _spoiled(error: Any) -> Explanation:
    refused = sum(error.refused.values())
    other = f"name another column with `--column {error.key}=COLUMN`, or leave its cells empty"
    return Explanation(
        "spoiled-column",
        refusal(error),
        remedy(error.refused, error.hashes) or f"{other}; `--max-rejects {refused}` takes the file as it is",
        BAD_INPUT,
    )


def _nothing_left(error: Any) -> Explanation:
    return Explanation(
        "nothing-left",
        refusal(error),
        remedy(error.rejects, error.hashes, others=False)
        or "`passbox contract show` says how each column should arrive",
        BAD_INPUT,
    )


def _missing_columns(error: Any) -> Explanation:
    from ...matching.schemes import KINDS

    alike, first = f"; it has `{', '.join(error.alike)}`" if error.alike else "", error.columns[0]
    if error.asks == "contract":
        hint = f"the contract names it, as `columns.{first} = ...` or `id = ...`: rename the file's column to {first}"
        if first in KINDS:
            hint = f"say which column holds the {first}: `--column {first}=COLUMN`, or rename it to {first}"
    elif error.asks == "model":
        hint = (
            f"the model was made with them: bring a file that has {', '.join(error.columns)}, or rename its columns so"
        )
    else:
        hint = f"name a column of the file with `{error.asks}`"
    return Explanation(
        "columns",
        f"{error.path or 'the file'}: it has no column {', '.join(error.columns)} among its {error.found}{alike}",
        hint,
        BAD_INPUT,
    )


WORDS: dict[str, Words] = {
    "BadSource": placed("bad-file", BAD_INPUT),
    "TooManyRejects": _rejects,
    "SpoiledColumn": _spoiled,
    "NothingLeft": _nothing_left,
    "ColumnMissing": _missing_columns,
    "ColumnUnreadable": simple(
        "column-type", "column {e.column} cannot be read as {e.declared}", "{e.remedy}", BAD_INPUT
    ),
    "FileInTheWay": _in_the_way,
    "BadBundle": placed("bad-bundle", BAD_INPUT),
    "RepeatedHandle": simple("repeated", "a data set holds a person twice", "prepare it again", BAD_INPUT),
    "BothLists": simple(
        "refused",
        "comparing your list with {e.path.name} would tell who is on both: that is a release, and it is paid for",
        "look at your own list alone, let the other side look at its own, and ask how many match with `passbox job new "
        "overlap --contract contract.toml --epsilon 0.25`; `--overlap RELEASE` then tells what fits the rate",
        REFUSED,
    ),
}

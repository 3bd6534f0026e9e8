"""What people are told beside the numbers: who learns what, and what deserves a second look."""

from __future__ import annotations

from collections.abc import Iterable

from .contract import Contract

EPSILON_TO_EXPLAIN = 4.0
"""Above this ε a plan warns: a test for one person's presence is then right far too often."""


def names(found: Iterable[str]) -> str:
    """Names as people read a list of them."""
    return ", ".join(sorted(found))


def together(found: Iterable[str]) -> str:
    """All of them at once, as people say it."""
    *most, last = sorted(found) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def counted(count: int, what: str) -> str:
    """So many of something: 1 row, 2,000 rows."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def warnings(contract: Contract, epsilon: float, rows: dict[str, int]) -> tuple[str, ...]:
    """epsilon: of the job. rows: accepted rows of each data set that pays."""
    found: list[str] = []
    for name, count in rows.items():
        delta = contract.dataset[name].budget.delta
        if count and delta > 1 / (10 * count):
            found.append(
                f"δ {delta:g} of {name} is above 1/(10 n) for its {counted(count, 'row')}: agree on a smaller one"
            )
    if epsilon > EPSILON_TO_EXPLAIN:
        found.append(f"ε {epsilon:g} is weak protection: `passbox plan --explain` says what a reader could find out")
    return tuple(found)


def operator_sentence(contract: Contract) -> str | None:
    """What it means that a data party operates the room, in one sentence; None where a neutral party does."""
    if not contract.operator_owns_data():
        return None
    operator = contract.room.operator
    others = names(name for name in contract.data_parties if name != operator)
    return (
        f"{operator} operates this room and owns data in it: it holds the match key and could look at who matches, "
        f"so what {others} keeps secret from {operator} rests on {operator} running the code honestly"
    )


def matching(contract: Contract) -> tuple[str, ...]:
    """How people are matched, and what that means for what is paid."""
    match = contract.match
    c3r = "handles are keyed as the C3R client of AWS Clean Rooms makes fingerprints"
    more = (c3r,) if match.fingerprint != "passbox@1" else ()
    if len(match.keys) == 1:
        return ("one record of either side moves at most one matched row", *more)
    ways = {
        "own-best": "a seed is looked up by the best key it has, whether or not that hits",
        "fall-through": "a seed is looked up by its best key, and by the next one where that misses",
        "any": "a seed is looked up by every key it has, and matches all that it finds",
    }
    seed, person, row = match.bounds.seed, match.bounds.person, "matched row"
    said = [
        ways[match.rule],
        f"one seed moves at most {counted(seed, row)}, one of the people at most {counted(person, row)}",
    ]
    if max(seed, person) > 1:
        said.append("noise is as much wider as records can move rows of the side that is protected")
    repeats = {
        "merge": "at home, rows joined by any identifier become one record, with at most "
        f"{match.largest_person} identifiers",
        "drop": "at home, the first row keeps an identifier, and rows that repeat it go without",
    }
    return (*said, repeats[match.repeats], *more)

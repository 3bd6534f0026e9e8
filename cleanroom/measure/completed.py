"""What a completion gives its reader: a file with answers for its own people, and figures that follow from the receipt.

completed.parquet has a row a person and, for each wanted attribute, these columns:

    NAME                the answer; empty for an abstention
    NAME.likeliest      the likeliest value, answered or not
    NAME.probability    its probability, and `low`, `high`: the ends of its 95 % interval (noise and sampling)
    NAME.abstained      whether it is less sure than was asked for

A wanted set has such columns for each of its values, answered with yes or no: `NAME: VALUE`, `NAME.low: VALUE`. No two
are spelled alike, since a name holds neither dot nor colon.

The code ensures: `quality` follows from the noisy integers and the number of values alone, so that its reader can make
it again; all the rest is the reader's own people as the model sees them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from ...dp.noisy import Noisy
from ...modelling import answers
from ...modelling.answers import Ranks, quality, stratum_ends, stratum_of
from ...modelling.completion import Completed, known_columns, parents
from ...modelling.design import Design
from ...policies.contract import Contract
from ...policies.jobs.completion import MOST_VALUES, CompletionJob
from ..document import Count, Document, Figure, Share, Strict
from .measure import Contents

FILE = "completed.parquet"


class Own(Strict):
    """The reader's people of whom so many columns are known. answered: share of them; exact, since they are its own."""

    fewest: Count
    most: Count
    people: Count
    answered: Share


class Asked(Strict):
    """A question as the reader's own people answer it. levels: share that is answered at each `confident`. predicted:
    mean probability in each tenth, highest first."""

    name: str
    target: str
    values: list[str]
    answered: Share
    levels: list[Share]
    strata: Annotated[list[Own], Field(max_length=answers.STRATA)]
    predicted: Annotated[list[Share | None], Field(max_length=answers.RANKS)]


class Level(Strict):
    """What asking to be so sure gives (`modelling.answers.Level`)."""

    confident: float
    answered: Figure
    right: Figure


class Stratum(Strict):
    """As `modelling.answers.Stratum`."""

    share: Figure
    answered: Figure
    right: Figure


class Quality(Strict):
    """How right the answers are, on people held out (`modelling.answers.Quality`). usual: share of each value."""

    usual: list[Figure]
    auc: Figure
    accuracy: Figure
    levels: list[Level]
    strata: list[Stratum]
    rates: list[Figure]


class CompletionRelease(Document):
    """Answers for the reader's people are in completed.parquet. secret: the threat model."""

    kind: Literal["completion"]
    people: Count
    secret: Literal["membership", "person"]
    confident: float
    known: list[str]
    questions: Annotated[list[Asked], Field(min_length=1, max_length=MOST_VALUES)]
    quality: list[Quality]


def contents(
    contract: Contract,
    job: CompletionJob,
    people: tuple[Design, NDArray[np.uint64]],
    done: Sequence[Completed],
    noisy: Sequence[Noisy],
) -> Contents:
    """people: the reader's, and their tokens."""
    design, tokens = people
    columns = len(design.columns)
    stratum = stratum_of(known_columns(design), columns)
    asked = [_own(each, stratum, stratum_ends(columns), job.confident) for each in done]
    values = {
        "people": design.rows,
        "secret": contract.dataset[job.attributes].protects,
        "confident": job.confident,
        "known": list(job.columns_of(contract)),
        "questions": asked,
        "quality": quality_of(asked, job.confident, noisy),
    }
    return Contents(values, {FILE: _written(tokens, done, job.confident)})


def _own(
    done: Completed, stratum: NDArray[np.int64], ends: Sequence[tuple[int, int]], confident: float
) -> dict[str, Any]:
    answered = done.answered(confident)
    strata = []
    for at, (fewest, most) in enumerate(ends):
        who = stratum == at
        share = float(answered[who].mean()) if who.any() else 0.0
        strata.append({"fewest": fewest, "most": most, "people": int(who.sum()), "answered": share})
    return {
        "name": done.question.name,
        "target": done.question.target.name,
        "values": list(done.question.values),
        "answered": float(answered.mean()),
        "levels": [float(done.answered(level).mean()) for level in answers.GRID],
        "strata": strata,
        "predicted": list(Ranks.of(done).predicted),
    }


def _written(tokens: NDArray[np.uint64], done: Sequence[Completed], confident: float) -> bytes:
    """A row a person, in the order of tokens."""
    order = np.argsort(tokens)
    columns: dict[str, pa.Array] = {"token": pa.array(tokens[order])}
    for each in done:
        name, target, likeliest = each.question.name, each.question.target.name, each.likeliest[order]
        left = ~each.answered(confident)[order]
        values = pa.array(each.question.values, pa.string())
        columns[name] = values.take(pa.array(likeliest, mask=left))
        columns[_figure(name, target, "likeliest")] = values.take(pa.array(likeliest))
        for figure, numbers in (("probability", each.highest), ("low", each.low), ("high", each.high)):
            columns[_figure(name, target, figure)] = pa.array(np.round(numbers[order], 4))
        columns[_figure(name, target, "abstained")] = pa.array(left)
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _figure(name: str, target: str, figure: str) -> str:
    """A column beside an answer's. name: of the question, which begins with its target's."""
    return f"{target}.{figure}{name[len(target) :]}"


def schema(document: Mapping[str, Any]) -> pa.Schema:
    """The columns of a file of answers, as its document names the questions."""
    fields = [("token", pa.uint64())]
    for question in document["questions"]:
        spelled = partial(_figure, question["name"], question["target"])
        fields += [(question["name"], pa.string()), (spelled("likeliest"), pa.string())]
        fields += [(spelled(figure), pa.float64()) for figure in ("probability", "low", "high")]
        fields.append((spelled("abstained"), pa.bool_()))
    return pa.schema(fields)


def quality_of(asked: Sequence[Mapping[str, Any]], confident: float, noisy: Sequence[Noisy]) -> list[dict[str, object]]:
    """Every question's figures, from noisy integers and the number of its values alone."""
    sums, counts = noisy
    cells = counts.real.reshape(len(asked), answers.CELLS)
    usual = list(_usual(asked, sums))
    return [
        _figures(quality(each, counts.sigma, confident, len(question["strata"]))) | {"usual": shares}
        for each, question, shares in zip(cells, asked, usual, strict=True)
    ]


def _figures(found: answers.Quality) -> dict[str, object]:
    return {
        "auc": found.auc.as_json(),
        "accuracy": found.accuracy.as_json(),
        "levels": [
            {"confident": each.confident, "answered": each.answered.as_json(), "right": each.right.as_json()}
            for each in found.levels
        ],
        "strata": [
            {name: getattr(each, name).as_json() for name in ("share", "answered", "right")} for each in found.strata
        ],
        "rates": [each.as_json() for each in found.rates],
    }


def _usual(asked: Sequence[Mapping[str, Any]], sums: Noisy) -> Iterator[list[dict[str, Any]]]:
    """What share of those who are known has each value, question by question."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for question in asked:
        grouped.setdefault(question["target"], []).append(question)
    blocks = [
        len(group) + 1 if group[0]["name"] != target else len(group[0]["values"]) for target, group in grouped.items()
    ]
    last = iter(sums.real.reshape(sum(blocks), -1)[:, -1])
    for many, (target, group) in zip(blocks, grouped.items(), strict=True):
        counts = [float(next(last)) for _ in range(many)]
        for shares in parents(counts, sums.sigma, several=group[0]["name"] != target):
            yield [share.as_json() for share in shares]

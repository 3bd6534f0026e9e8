"""The two threat models of jobs that learn from people, by name: what a reader may know, and what stays secret.

`membership`: the reader owns the features; who is on the other party's list is secret, and what it knows of them.
`person`: everything about a person is secret, features and being there too, on either side.
Other jobs count; whom they protect says who pays, and they have no name of this kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from .contract import Contract, JobKind
from .learnt import pairs

ThreatModel: TypeAlias = Literal["membership", "person"]

SECRET: dict[ThreatModel, str] = {
    "membership": "who is on the other list is secret, and what is known of them there; the reader owns the columns",
    "person": "everything about a person is secret, columns and being there too, on either side",
}
_OF: dict[str, ThreatModel] = {
    "seed-moments@5": "membership",
    "seed-groups@1": "membership",
    "score-histogram@1": "membership",
    "score-strata@1": "membership",
    "responses@1": "membership",
    "person-fit@2": "person",
    "person-scores@1": "person",
}
_JOBS: dict[JobKind, tuple[ThreatModel, ...]] = {"lookalike": ("membership",), "model": ("person",)}
_COMPLETIONS = ("attribute-moments@1", "answer-counts@1")


def threat_model_of(statistic: str, columns: Sequence[str]) -> ThreatModel | None:
    """That of a noisy statistic, by what the log says of it. columns: as `DATASET.COLUMN`.

    A completion that takes all columns from one data set learnt from the other party's own: everything is secret there.
    """
    if statistic in _COMPLETIONS:
        return "person" if len({column.partition(".")[0] for column in columns}) == 1 else "membership"
    return _OF.get(statistic)


def threat_models(contract: Contract, kind: JobKind, readers: Sequence[str]) -> tuple[ThreatModel, ...]:
    """Those that jobs of a kind have under a contract, for such readers. None where the kind counts.

    Each job knows its own (`Job.threat_model`); this imports no kind of job, so that a contract is shown at once.
    """
    return _completions(contract, readers) if kind == "completion" else _JOBS.get(kind, ())


def _completions(contract: Contract, readers: Sequence[str]) -> tuple[ThreatModel, ...]:
    """By what each data set protects that could be `attributes` to people of a reader."""
    held = contract.dataset
    asked = {
        held[attributes].protects
        for people, attributes in pairs(contract)
        if held[people].owner in readers
        and held[people].id is not None
        and held[people].rows == held[attributes].rows == "people"
    }
    return tuple(sorted(asked))

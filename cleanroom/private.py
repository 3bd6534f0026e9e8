"""Columns that came privatised, as a room and its ledger see them: in the manifests that owners signed.

An entry of the ledger names a data set by the digest of its signed manifest, and the manifest holds the whole
certificate of each privatised column: so every entry, and first the one that charges, commits to metric, vocabulary, ε
for one unit of distance and tokens a person (docs/decisions/0026). This reads that column of the ledger out of a copy.

Metric differential privacy is not (ε, δ), and nothing here is ever added to an account.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from pydantic import ValidationError

from ..dp.text.certificate import rounded, table_digest
from ..dp.text.statement import PrivateColumn
from ..policies.contract import ChoiceColumn, DatasetRule, SetColumn, TextColumn
from .bundle import Manifest

_EUCLID = "Euclidean distance"
METRIC = {"exponential": _EUCLID, "halved": _EUCLID, "euclidean": _EUCLID, "hyperbolic": "hyperbolic distance"}

Declared: TypeAlias = tuple[tuple[str, ...], int]
"""The values of a column, and how many a person has at most."""


def declared_values(rule: DatasetRule) -> Mapping[str, Declared]:
    """Of every category and set of a data set."""
    return {
        name: (tuple(column.values), column.at_most if isinstance(column, SetColumn) else 1)
        for name, column in rule.columns.items()
        if isinstance(column, ChoiceColumn | SetColumn)
    }


def free_texts(rule: DatasetRule) -> Sequence[str]:
    """Columns of a data set that hold any text."""
    return [name for name, column in rule.columns.items() if isinstance(column, TextColumn)]


def faults(columns: Sequence[PrivateColumn], rule: DatasetRule) -> Sequence[str]:
    """What a bundle's certificates get wrong about its contract, in words; nothing where they fit.

    Whether a certificate holds needs its vectors: `passbox text verify` measures that. Here: it speaks of columns of
    this data set, the values it may give are the declared ones, and it says how many were drawn; of a column of text,
    that its words are a vocabulary's.
    """
    return [f"{each.column}: {fault}" for each in columns if (fault := _fault(each, rule))]


def _fault(column: PrivateColumn, rule: DatasetRule) -> str:
    """Of one column; nothing where it fits."""
    if rule.rows_a_person > 1:
        return f"a person has up to {rule.rows_a_person} rows here, each drawn by itself"
    if column.column in free_texts(rule):
        return "its certificate is about declared values, and it holds any text" if column.certificate.values else ""
    declared = declared_values(rule).get(column.column)
    if declared is None:
        return "the contract declares no such category or set, and no text"
    if column.certificate.table != table_digest(list(declared[0])):
        return "its certificate is about other values than the contract declares"
    if column.tokens is None or column.tokens < declared[1]:
        return "its certificate does not cover every value a person may have"
    return ""


@dataclass(frozen=True, slots=True)
class Words:
    """One line of the ledger's column for words. manifest: digest of the signed manifest that says so. entries: of the
    log, which name it. charged: the first of them that charged anybody; None where none did."""

    dataset: str
    column: PrivateColumn
    manifest: str
    entries: tuple[int, ...]
    charged: int | None

    def as_json(self) -> dict[str, Any]:
        """In the terms of the field, for `--json`."""
        made = self.column.certificate
        return {
            "dataset": self.dataset,
            "column": self.column.column,
            "metric": METRIC[made.mechanism],
            "mechanism": made.mechanism,
            "vocabulary": made.vocabulary,
            "epsilon": made.epsilon,
            "tokens": self.column.tokens,
            "any_two": made.any_two,
            "any_two_texts": None if self.column.any_two_texts is None else str(self.column.any_two_texts),
            "certificate": made.digest,
            "manifest": self.manifest,
            "entries": list(self.entries),
            "charged": self.charged,
        }

    def in_a_line(self) -> str:
        """For a record that is filed."""
        made, tokens = self.column.certificate, self.column.tokens
        drawn = "tokens as many as a person has" if tokens is None else f"{tokens} tokens a person"
        unit = f"one unit of {METRIC[made.mechanism]}"
        return (
            f"{self.dataset}.{self.column.column}: metric epsilon {made.epsilon} for {unit}, {drawn}, "
            f"vocabulary {made.vocabulary}, certificate {made.digest}"
        )


def words_of(leaves: Sequence[bytes], manifests: Mapping[str, bytes]) -> list[Words]:
    """The ledger's column for words: of every manifest in a copy, and the entries that name it.

    Nothing is checked here: what cannot be read is `verify`'s to refuse.
    """
    entries = [json.loads(leaf) for leaf in leaves]
    found = []
    for name, data in sorted(manifests.items()):
        if not name.endswith(".json") or b'"private"' not in data:
            continue
        try:
            manifest = Manifest.model_validate_json(data)
        except ValidationError:
            continue
        digest = name.removesuffix(".json")
        naming = [each for each in entries if digest in each.get("specification", {}).get("datasets", {}).values()]
        charged = next((each["seq"] for each in naming if each["charges"]), None)
        seqs = tuple(each["seq"] for each in naming)
        found += [Words(manifest.dataset, each, digest, seqs, charged) for each in manifest.private]
    return sorted(found, key=lambda each: (each.dataset, each.column.column, each.entries))


def spoken(dataset: str, columns: Sequence[PrivateColumn]) -> list[str]:
    """What privatised columns mean, for people: per word, per person. Never added to the (ε, δ) of a budget."""
    said = [_spoken(f"{dataset}.{each.column}", each) for each in columns]
    if len(columns) > 1 and (bound := together(columns)) is not None:
        said.append(f"{dataset}: all {len(columns)} of them together, at most {rounded(bound)} between any two people")
    return said


def together(columns: Sequence[PrivateColumn]) -> Decimal | None:
    """The largest log-ratio between any two people's values of all columns: bounds of one person's add up."""
    bounds = [each.any_two_texts for each in columns]
    return None if None in bounds else sum(filter(None, bounds), Decimal(0))


def _spoken(name: str, column: PrivateColumn) -> str:
    made, tokens = column.certificate, column.tokens
    what = "values" if made.values else "words"
    drawn = "as many words as a person has" if tokens is None else f"{tokens} of {made.size:,} {what} a person"
    said = f"{name} came privatised: {drawn}, each with ε {made.epsilon} for one unit of {METRIC[made.mechanism]}"
    if made.any_two is not None:
        said += f", at most {rounded(made.any_two)} between any two {what}"
    if column.any_two_texts is not None:
        said += f" and {rounded(column.any_two_texts)} between any two people"
    return f"{said}; that is its owner's own noise, apart from the budget"

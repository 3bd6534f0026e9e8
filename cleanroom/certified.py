"""Certificates as files: reading them, finding their vectors, and holding a bundle's against its contract."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import ValidationError

from ..dp.text import certificate as certificates
from ..dp.text import statement as statements
from ..dp.text.certificate import Certificate, CertificateUnreadable, table_digest
from ..dp.text.mechanism import Wanted, certify, mechanism
from ..dp.text.neighbours import Progress
from ..dp.text.statement import PrivateColumn, Statement
from ..dp.text.table import Table, of_values
from ..dp.text.vocabulary import Vocabulary
from ..policies.contract import ChoiceColumn, DatasetRule, SetColumn
from .bundle import Manifest
from .lexicon import vocabulary_of
from .privatise import Values, middle_of, statement_path

Declared: TypeAlias = tuple[tuple[str, ...], int]
"""The values of a column, and how many a person has at most."""


class BadCertificate(Exception):
    """A file is no certificate, or none of this. rule: what is wrong. remedy: what to do."""

    def __init__(self, path: Path, rule: str, remedy: str) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy = path, rule, remedy


_MAKE = "make it with `passbox text certify`"


def read_certificate(path: Path) -> Certificate:
    """Errors: BadCertificate, OSError."""
    try:
        return certificates.parse(path.read_bytes())
    except CertificateUnreadable as error:
        raise BadCertificate(path, error.rule, _MAKE) from None


def read_statement(path: Path) -> Statement:
    """Errors: BadCertificate, OSError."""
    try:
        return statements.parse(path.read_bytes())
    except CertificateUnreadable as error:
        raise BadCertificate(path, error.rule, "`passbox text privatise` writes it beside the new file") from None


def certificates_in(path: Path) -> Sequence[tuple[str, Certificate]]:
    """The certificate in a file, or those of the columns that a statement names. Errors: BadCertificate, OSError."""
    if b'"passbox privatised columns v1"' in path.read_bytes()[:1000]:
        return [(each.column, each.certificate) for each in read_statement(path).columns]
    return [("", read_certificate(path))]


def declared_values(rule: DatasetRule) -> Mapping[str, Declared]:
    """Of every category and set of a data set."""
    return {
        name: (tuple(column.values), column.at_most if isinstance(column, SetColumn) else 1)
        for name, column in rule.columns.items()
        if isinstance(column, ChoiceColumn | SetColumn)
    }


def lexicon_for(
    certificate: Certificate, vectors: Path | None, declared: Declared | None, progress: Progress
) -> tuple[Vocabulary, Table]:
    """The vocabulary and table that a certificate speaks of, nothing but whose words is taken from a cache.

    Errors: BadCertificate, NoVectors, VectorsUnreadable, VocabularyUnfit.
    """
    vocabulary = vocabulary_of(vectors)
    if certificate.values:
        if declared is None:
            named = Path("the certificate")
            raise BadCertificate(named, "it is about declared values", "say `--contract contract.toml --dataset NAME`")
        return of_values(declared[0], vocabulary)
    del progress
    words = vocabulary.outputs(certificate.size)
    nothing = np.zeros((len(words), 0))
    return vocabulary, Table(vocabulary.digest, words, nothing.astype(np.int32), nothing)


def values_for(
    declared: Declared, vectors: Path | None, wanted: Wanted | None, certificate: Path | None, progress: Progress
) -> Values:
    """How a declared column is privatised. Errors: as `certify`, `mechanism` and `read_certificate`."""
    words, draws = declared
    vocabulary, table = of_values(words, vocabulary_of(vectors))
    if wanted is not None:
        wanted = Wanted(wanted.mechanism, wanted.epsilon, wanted.reach, crowd=1)  # few values are a crowd by themselves
        made = certify(vocabulary, table, wanted, progress)
    else:
        made = read_certificate(Path(str(certificate)))
    return Values(made, words, mechanism(made, vocabulary, table), middle_of(table, vocabulary), draws)


def privatised(source: Path, rule: DatasetRule) -> tuple[PrivateColumn, ...]:
    """What the statement beside a party's file says of it; nothing where there is none. Errors: BadCertificate."""
    beside = statement_path(source)
    if not beside.is_file():
        return ()
    said = read_statement(beside)
    with source.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != said.file:
            raise BadCertificate(beside, "it is about another file", "privatise this one, or move the statement away")
    if wrong := faults(said.columns, rule):
        raise BadCertificate(beside, wrong[0], "privatise with `--contract contract.toml --dataset NAME`")
    return said.columns


def faults(columns: Sequence[PrivateColumn], rule: DatasetRule) -> Sequence[str]:
    """What a bundle's certificates get wrong about its contract, in words; nothing where they fit.

    Whether a certificate holds needs its vectors: `passbox text verify` measures that. Here: it speaks of columns of
    this data set, the values it may give are the declared ones, and it says how many were drawn.
    """
    declared = declared_values(rule)
    wrong = []
    for each in columns:
        if each.column not in declared:
            wrong.append(f"{each.column}: the contract declares no such category or set")
        elif each.certificate.table != table_digest(list(declared[each.column][0])):
            wrong.append(f"{each.column}: its certificate is about other values than the contract declares")
        elif each.tokens is None or each.tokens < declared[each.column][1]:
            wrong.append(f"{each.column}: its certificate does not cover every value a person may have")
        elif rule.rows_a_person > 1:
            wrong.append(f"{each.column}: a person has up to {rule.rows_a_person} rows here, each drawn by itself")
    return wrong


def private_columns(manifests: Mapping[str, bytes]) -> list[tuple[str, PrivateColumn]]:
    """Of every manifest in a copy of a ledger: data set and column. What cannot be read is `verify`'s to refuse."""
    found: dict[tuple[str, str], PrivateColumn] = {}
    for name, data in sorted(manifests.items()):
        if not name.endswith(".json") or b'"private"' not in data:
            continue
        try:
            manifest = Manifest.model_validate_json(data)
        except ValidationError:
            continue
        found |= {(manifest.dataset, each.column): each for each in manifest.private}
    return [(dataset, each) for (dataset, _), each in found.items()]


def spoken(dataset: str, columns: Sequence[PrivateColumn]) -> list[str]:
    """What privatised columns mean, for people: per word, per person. Never added to the (ε, δ) of a budget."""
    return [_spoken(f"{dataset}.{each.column}", each) for each in columns]


def _spoken(name: str, column: PrivateColumn) -> str:
    made, tokens = column.certificate, column.tokens
    drawn = "as many words as a person has" if tokens is None else f"{tokens} of {made.size} values a person"
    said = f"{name} came privatised: {drawn}, each with ε {made.epsilon} for one unit of {_METRIC[made.mechanism]}"
    if made.any_two is not None:
        said += f", at most {made.any_two} between any two values"
    if column.any_two_texts is not None:
        said += f" and {column.any_two_texts} between any two people"
    return f"{said}; that is its owner's own noise, apart from the budget"


_EUCLID = "Euclidean distance"
_METRIC = {"exponential": _EUCLID, "halved": _EUCLID, "euclidean": _EUCLID, "hyperbolic": "hyperbolic distance"}

"""Certificates as files: reading them, finding their vectors, and holding a bundle's against its contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..dp.text import certificate as certificates
from ..dp.text import statement as statements
from ..dp.text.certificate import Certificate, CertificateUnreadable, table_digest
from ..dp.text.mechanism import Wanted, certify, mechanism
from ..dp.text.neighbours import Progress
from ..dp.text.statement import PrivateColumn, Statement
from ..dp.text.table import Table, of_values
from ..dp.text.vocabulary import Vocabulary
from ..policies.contract import DatasetRule, NumberColumn, SetColumn
from .lexicon import vocabulary_of
from .privatise import Values, middle_of

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
        if not isinstance(column, NumberColumn)
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
    return wrong

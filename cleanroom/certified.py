"""Certificates as files: reading them, finding their vectors, and making a column private with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..dp.text import certificate as certificates
from ..dp.text import statement as statements
from ..dp.text.certificate import Certificate, CertificateUnreadable
from ..dp.text.mechanism import Wanted, certify, mechanism
from ..dp.text.neighbours import Progress
from ..dp.text.sorter import Sorter
from ..dp.text.statement import PrivateColumn, Statement
from ..dp.text.table import Table, of_values, without_neighbours
from ..dp.text.vocabulary import Vocabulary
from ..policies.contract import DatasetRule
from .bundle import LARGEST_MANIFEST, manifest_in, open_bundle
from .files import FileInTheWay, refuse_unwritable
from .lexicon import vocabulary_of
from .private import Declared, faults
from .privatise import Values, middle_of, statement_path


class BadCertificate(Exception):
    """A file is no certificate, or none of this. rule: what is wrong. remedy: what to do."""

    def __init__(self, path: Path, rule: str, remedy: str) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy = path, rule, remedy


_MAKE = "make it with `passbox text certify`"


def read_certificate(path: Path) -> Certificate:
    """Errors: BadCertificate, OSError."""
    try:
        return certificates.parse(_read(path))
    except CertificateUnreadable as error:
        raise BadCertificate(path, error.rule, _MAKE) from None


def refuse_other_certificate(path: Path, wanted: Wanted) -> None:
    """What writing a certificate would meet, before all pairs are measured: one that was asked for alike may be there.

    Errors: FileInTheWay, OSError.
    """
    if not path.is_file():
        refuse_unwritable(path)
        return
    try:
        there = read_certificate(path)
    except BadCertificate:
        raise FileInTheWay(path) from None
    score = there.score
    asked = (there.mechanism, float(there.epsilon), score and score.reach, score and score.crowd)
    if asked != (wanted.mechanism, wanted.epsilon, score and wanted.reach, score and wanted.crowd):
        raise FileInTheWay(path)


def read_statement(path: Path) -> Statement:
    """Errors: BadCertificate, OSError."""
    try:
        return statements.parse(_read(path))
    except CertificateUnreadable as error:
        raise BadCertificate(path, error.rule, "`passbox text privatise` writes it beside the new file") from None


def certificates_in(path: Path) -> Sequence[tuple[str, Certificate]]:
    """The certificate in a file, or those of the columns that a statement, a bundle or its manifest names.

    Manifests lie in every copy of a ledger: so whoever has one measures what columns came privatised under.
    Errors: BadCertificate, BadBundle, OSError.
    """
    with path.open("rb") as file:
        begins = file.read(1000)
    if begins.startswith(b"PK"):
        return _of_columns(path, open_bundle(path).manifest.private)
    if b'"passbox bundle v1"' in begins:
        return _of_columns(path, manifest_in(path, _read(path)).private)
    if b'"passbox privatised columns v1"' in begins:
        return _of_columns(path, read_statement(path).columns)
    return [("", read_certificate(path))]


def _read(path: Path) -> bytes:
    """As much as any of them may have, and a byte more: of what is larger that is enough to refuse it."""
    with path.open("rb") as file:
        return file.read(max(certificates.LARGEST_FILE, LARGEST_MANIFEST) + 1)


def _of_columns(path: Path, columns: Sequence[PrivateColumn]) -> Sequence[tuple[str, Certificate]]:
    if not columns:
        raise BadCertificate(
            path, "none of its columns came privatised", "`passbox text privatise` comes before `prepare`"
        )
    return [(each.column, each.certificate) for each in columns]


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
    return vocabulary, without_neighbours(vocabulary, certificate.size)


def values_for(
    declared: Declared,
    vectors: Path | None,
    wanted: Wanted | None,
    certificate: Path | None,
    progress: Progress,
    sort: int | None = None,
) -> Values:
    """How a declared column is privatised. sort: where it holds texts, how many common words say nothing of them.

    Errors: as `certify`, `mechanism`, `Sorter` and `read_certificate`.
    """
    words, draws = declared
    whole = vocabulary_of(vectors)
    vocabulary, table = of_values(words, whole)
    sorter = None if sort is None else Sorter(whole, vocabulary, sort)
    if wanted is not None:
        wanted = Wanted(wanted.mechanism, wanted.epsilon, wanted.reach, crowd=1)  # few values are a crowd by themselves
        made = certify(vocabulary, table, wanted, progress)
    else:
        made = read_certificate(Path(str(certificate)))
    return Values(made, words, mechanism(made, vocabulary, table), middle_of(table, vocabulary), draws, sorter)


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

"""Certificates and statements as files: one spelling, and what is refused."""

from __future__ import annotations

import json

import pytest

from passbox.dp.text import certificate as certificates
from passbox.dp.text import statement as statements
from passbox.dp.text.certificate import Certificate, CertificateUnreadable, MechanismName
from passbox.dp.text.mechanism import GeometryMismatch, Wanted, WrongVocabulary, certify, check, mechanism
from passbox.dp.text.neighbours import quiet
from passbox.dp.text.statement import PrivateColumn, Statement
from passbox.dp.text.table import Table, of_values
from passbox.dp.text.vocabulary import Vocabulary, VocabularyUnfit


@pytest.fixture(scope="module")
def made(vocabulary: Vocabulary, table: Table) -> Certificate:
    return certify(vocabulary, table, Wanted("exponential", 2.0), quiet)


def test_a_certificate_reads_back_as_it_was_written(made: Certificate) -> None:
    assert certificates.parse(made.spelled()) == made


@pytest.mark.parametrize(
    ("exact", "shown"),
    [("143.987216", "144"), ("8.83624", "8.84"), ("0.0274825", "0.0275"), ("9.999", "10.00"), ("1234.5", "1235")],
)
def test_a_bound_is_shown_with_three_digits_and_never_below_itself(exact: str, shown: str) -> None:
    assert certificates.rounded(exact) == shown


@pytest.mark.parametrize(
    "change",
    [
        {"worst": "2.5"},
        {"epsilon": "0"},
        {"epsilon": "1e3"},
        {"epsilon": "NaN"},
        {"epsilon": 2.0},
        {"rate": None},
        {"rate": "0"},
        {"crowd": 0},
        {"mechanism": "magic"},
        {"mechanism": "euclidean"},
        {"vocabulary": "00"},
        {"more": 1},
        {"format": "passbox text certificate v2"},
    ],
)
def test_what_is_no_certificate_is_refused(made: Certificate, change: dict[str, object]) -> None:
    text = json.dumps({**json.loads(made.spelled()), **change}).encode()
    with pytest.raises(CertificateUnreadable):
        certificates.parse(text)


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b"\xff", b"0" * 1_000_001])
def test_other_bytes_are_refused(text: bytes) -> None:
    for parse in (certificates.parse, statements.parse):
        with pytest.raises(CertificateUnreadable):
            parse(text)


def test_a_name_that_stands_twice_is_refused(made: Certificate) -> None:
    """Whoever reads the first ε would believe another one than who reads the last."""
    said = Statement(file="0" * 64, columns=(PrivateColumn(column="query", tokens=3, certificate=made),))
    for parse, data in ((certificates.parse, made.spelled()), (statements.parse, said.spelled())):
        parse(data)
        with pytest.raises(CertificateUnreadable, match="twice"):
            parse(data.replace(b'"epsilon": ', b'"epsilon": "0.1", "epsilon": ', 1))


def test_a_statement_adds_up_a_persons_words(made: Certificate) -> None:
    column = PrivateColumn(column="query", tokens=3, certificate=made)
    assert float(str(column.any_two_texts)) == pytest.approx(3 * float(str(made.any_two)))
    assert PrivateColumn(column="query", tokens=None, certificate=made).any_two_texts is None
    said = Statement(file="0" * 64, columns=(column,))
    assert statements.parse(said.spelled()) == said
    with pytest.raises(CertificateUnreadable, match="twice"):
        statements.parse(said.model_copy(update={"columns": (column, column)}).spelled())


def test_a_certificate_makes_no_mechanism_for_other_vectors(
    made: Certificate, vocabulary: Vocabulary, table: Table
) -> None:
    other = Vocabulary(vocabulary.words, vocabulary.vectors * 2)
    with pytest.raises(WrongVocabulary):
        mechanism(made, other, table)
    with pytest.raises(GeometryMismatch):
        certify(vocabulary, table, Wanted("hyperbolic", 20.0), quiet)


@pytest.mark.parametrize("change", [{"words": 7}, {"dimensions": 3}, {"values": True}])
def test_a_certificate_says_of_its_vocabulary_what_is_so(
    change: dict[str, object], made: Certificate, vocabulary: Vocabulary, table: Table
) -> None:
    with pytest.raises(WrongVocabulary):
        check(made.model_copy(update=change), vocabulary, table, quiet)


def test_what_is_proven_is_never_said_to_be_less(vocabulary: Vocabulary, table: Table) -> None:
    proven = certify(vocabulary, table, Wanted("euclidean", 4.0), quiet)
    with pytest.raises(CertificateUnreadable):
        certificates.parse(json.dumps({**json.loads(proven.spelled()), "worst": "0.5"}).encode())


@pytest.mark.parametrize("name", ["exponential", "halved"])
def test_more_digits_than_a_certificate_keeps_are_not_measured(
    name: MechanismName, vocabulary: Vocabulary, table: Table
) -> None:
    """What was measured with other digits than are written would be refused by who measures again."""
    made = certify(vocabulary, table, Wanted(name, 2.0000014999, 3.9999995001, 2), quiet)
    assert check(made, vocabulary, table, quiet).worst is not None


def test_declared_values_lie_where_their_words_do(vocabulary: Vocabulary) -> None:
    names = vocabulary.words[10:14].to_list()
    small, own = of_values([*names, f"{names[0]} {names[1]}"], vocabulary)
    assert small.vectors[4] == pytest.approx(vocabulary.vectors[10:12].mean(axis=0), abs=1e-6)
    assert len(own) == 5
    with pytest.raises(VocabularyUnfit, match="no place"):
        of_values(["zzzunknown"], vocabulary)

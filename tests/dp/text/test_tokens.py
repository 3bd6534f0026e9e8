"""What no vocabulary holds never passes through."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from passbox.dp.text.table import StandsFor, Table
from passbox.dp.text.tokens import Tokeniser, joined
from passbox.dp.text.vocabulary import STAND_INS, Vocabulary

KINDS = {
    "bob.smith@example.com": "address",
    "@handle": "address",
    "https://example.com/secret?q=bob": "link",
    "www.example.com": "link",
    "42": "number",
    "4111-1111": "number",
    "b0b": "number",
    "zzzunknown": "unknown",
    "ÉLODIE": "unknown",
    "王芳": "unknown",
}


@pytest.mark.parametrize("text", KINDS)
def test_each_kind_of_other_token_becomes_the_word_that_stands_for_it(text: str, vocabulary: Vocabulary) -> None:
    tokens = Tokeniser(vocabulary).cut(pl.Series([f"x {text} y"]))
    words = vocabulary.words.gather(tokens.words).to_list()
    stands = STAND_INS[KINDS[text]][0]  # type: ignore[index]
    assert stands in words
    assert not any(part in words for part in text.lower().split())


def passes_nothing(tokeniser: Tokeniser, vocabulary: Vocabulary, text: str) -> bool:
    tokens = tokeniser.cut(pl.Series([text]))
    return len(tokens.words) == 0 or bool(np.isin(tokens.words, vocabulary.plain).all())


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=80))
def test_whatever_is_typed_only_plain_words_of_the_vocabulary_come_out(vocabulary: Vocabulary, text: str) -> None:
    assert passes_nothing(Tokeniser(vocabulary), vocabulary, text)


def test_an_unknown_word_that_is_passed_through_is_caught(vocabulary: Vocabulary) -> None:
    """The planted fault: where a token is not known, some other position is used."""
    tokeniser = Tokeniser(vocabulary)
    tokeniser._stand_ins = {**vocabulary.stand_ins, "unknown": 600}  # "tail-1", which is no plain word
    assert not passes_nothing(tokeniser, vocabulary, "zzzunknown")


def test_known_words_are_themselves_and_lengths_are_kept(vocabulary: Vocabulary) -> None:
    first, second = vocabulary.words[10], vocabulary.words[400]
    texts = pl.Series([f"{first.upper()}, {second}!", None, "", f"{second}"], dtype=pl.String)
    tokens = Tokeniser(vocabulary).cut(texts)
    assert tokens.words.tolist() == [10, 400, 400]
    assert tokens.lengths.tolist() == [2, -1, 0, 1]
    assert joined(vocabulary.words.gather(tokens.words), tokens.lengths).to_list() == [
        f"{first} {second}",
        None,
        "",
        second,
    ]


def test_a_fixed_length_hides_how_long_a_text_was(vocabulary: Vocabulary) -> None:
    tokeniser = Tokeniser(vocabulary)
    texts = pl.Series([" ".join(vocabulary.words[10:30].to_list()), None, "", vocabulary.words[7]], dtype=pl.String)
    fixed = tokeniser.fixed(tokeniser.cut(texts), 5)
    assert fixed.lengths.tolist() == [5, 5, 5, 5]
    rows = fixed.words.reshape(4, 5)
    assert (np.diff(rows[0]) > 0).all()  # chosen ones, in their order
    assert (rows[1:3] == vocabulary.stand_ins["unknown"]).all()
    assert rows[3].tolist() == [7] + [vocabulary.stand_ins["unknown"]] * 4


def test_every_token_is_as_likely_to_be_chosen(vocabulary: Vocabulary) -> None:
    """False alarm 10^-6."""
    tokeniser = Tokeniser(vocabulary)
    text = " ".join(vocabulary.words[10:20].to_list())
    fixed = tokeniser.fixed(tokeniser.cut(pl.Series([text] * 4000)), 3)
    counts = np.bincount(fixed.words - 10, minlength=10)
    assert stats.chisquare(counts).pvalue > 1e-6


def test_a_word_outside_the_table_stands_for_the_nearest_in_it(vocabulary: Vocabulary, table: Table) -> None:
    stands_for = StandsFor(vocabulary, table)
    outside = np.setdiff1d(vocabulary.plain, table.words)[:50]
    vectors = vocabulary.vectors[table.words].astype(np.float64)
    for word, found in zip(outside, stands_for(outside), strict=True):
        far = np.linalg.norm(vectors - vocabulary.vectors[word], axis=1)
        assert far[found] == pytest.approx(far.min(), abs=1e-5)
    assert stands_for(table.words).tolist() == list(range(len(table)))


def test_the_most_common_words_can_be_left_out(vocabulary: Vocabulary) -> None:
    tokeniser = Tokeniser(vocabulary, leave_out=20)
    common, rare = vocabulary.words[12], vocabulary.words[300]
    tokens = tokeniser.cut(pl.Series([f"{common} {rare} 42 {common}", common, None], dtype=pl.String))
    assert tokens.lengths.tolist() == [2, 0, -1]
    assert tokens.words.tolist() == [300, vocabulary.stand_ins["number"]]

"""Vectors aimed at labels: words lie by what they tell of them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from passbox.dp.text.aim import aim
from passbox.dp.text.vocabulary import Vocabulary, VocabularyUnfit

LABELS = ("cars", "music", "travel")


@pytest.fixture(scope="module")
def labelled(vocabulary: Vocabulary) -> tuple[pl.Series, pl.Series]:
    """600 texts: the words at 10 to 69 are told by label, 20 each; those at 70 to 99 stand in all."""
    rng = np.random.default_rng(9)
    words = vocabulary.words.to_list()
    label = rng.integers(3, size=600)
    own = 10 + 20 * label[:, None] + rng.integers(20, size=(600, 4))
    shared = 70 + rng.integers(30, size=(600, 4))
    texts = [" ".join(words[at] for at in row) for row in np.concatenate([own, shared], axis=1)]
    return pl.Series(texts), pl.Series([LABELS[each] for each in label])


def test_words_that_tell_the_same_lie_together(vocabulary: Vocabulary, labelled: tuple[pl.Series, pl.Series]) -> None:
    aimed = aim(vocabulary, *labelled)
    assert aimed.vectors.shape == (len(vocabulary), 3)
    assert aimed.words.equals(vocabulary.words)
    assert np.abs(aimed.vectors.sum(axis=1)).max() < 1e-4
    own = aimed.vectors[10:70].reshape(3, 20, 3)
    for at in range(
        3
    ):  # of its three coordinates, a word's own label's is the largest, and far from what tells nothing
        assert (own[at].argmax(axis=1) == at).all()
    middle = own.mean(axis=1)
    within = np.linalg.norm(own - middle[:, None], axis=2).max()
    between = min(np.linalg.norm(middle[a] - middle[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert within < between / 2
    assert np.linalg.norm(aimed.vectors[70:100], axis=1).max() < between / 2


def test_words_in_no_text_lie_where_their_vectors_suggest(labelled: tuple[pl.Series, pl.Series]) -> None:
    """Vectors that say the label in full: words that occur nowhere follow it."""
    names = ["something", "email", "website", "number"]
    names += ["".join(chr(97 + n // 26**place % 26) for place in range(3)) + "q" for n in range(600)]
    said = np.arange(604) % 2
    vectors = np.stack([2.0 * said - 1, np.random.default_rng(1).normal(size=604)], axis=1).astype(np.float32)
    vocabulary = Vocabulary(pl.Series(names), vectors)
    label = np.random.default_rng(2).integers(2, size=400)
    which = 4 + 2 * np.random.default_rng(3).integers(100, size=(400, 6)) + label[:, None]
    texts = pl.Series([" ".join(names[at] for at in row) for row in which])
    aimed = aim(vocabulary, texts, pl.Series(label.astype(str)))
    unseen = aimed.vectors[300:]
    assert (unseen.argmax(axis=1) == said[300:]).all()
    assert labelled[0].len()


def test_the_same_texts_in_another_order_aim_alike(
    vocabulary: Vocabulary, labelled: tuple[pl.Series, pl.Series]
) -> None:
    order = np.random.default_rng(4).permutation(600)
    turned = aim(vocabulary, labelled[0].gather(order), labelled[1].gather(order))
    assert turned.digest == aim(vocabulary, *labelled).digest


def test_what_cannot_be_aimed_is_refused(vocabulary: Vocabulary, labelled: tuple[pl.Series, pl.Series]) -> None:
    texts, labels = labelled
    with pytest.raises(VocabularyUnfit, match="1 labels"):
        aim(vocabulary, texts, pl.Series(["one"] * 600))
    with pytest.raises(VocabularyUnfit, match="only 99 texts"):
        aim(vocabulary, texts.head(99), labels.head(99))
    ball = Vocabulary(vocabulary.words, vocabulary.vectors / 100, "hyperbolic")
    with pytest.raises(VocabularyUnfit, match="hyperbolic"):
        aim(ball, texts, labels)

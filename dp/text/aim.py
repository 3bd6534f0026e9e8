"""Vectors aimed at a purpose: a word lies where it says the same of some labels as its neighbours do.

Which metric a guarantee is stated for is a choice, and a public one. Vectors of a language put `oil` near `gas`. Who
only wants to know what a text is about can do with less: words that tell the same of the topics may stand for one
another, whatever else they mean. So distances are taken in what a word tells of each label,

    ln P(word | label) - ln P(word), less its mean over the labels,

one coordinate a label, one unit a factor e. It is counted in labelled texts and drawn towards a linear function of the
word's own vector (ridge regression, weighted by how often a word occurs): rare words, and words that occur in none of
the texts, lie where their vectors suggest.

The caller ensures: these texts are public, or somebody else's with their leave, and none of those to be privatised: the
vectors are published with every certificate, and nothing about these texts is hidden in them.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .tokens import Tokeniser
from .vocabulary import Vocabulary, VocabularyUnfit

FEWEST_TEXTS = 100
MOST_LABELS = 100
_OWN_SAY = 8.0
"""How often a word must occur for its own count to weigh as much as its vector."""
_SMOOTH = 3.0
_OFTEN = 30.0
_RIDGE = 20.0


def aim(vocabulary: Vocabulary, texts: pl.Series, labels: pl.Series) -> Vocabulary:
    """The same words, placed by what they tell of the labels. Errors: VocabularyUnfit."""
    if vocabulary.geometry == "hyperbolic":
        raise VocabularyUnfit("it is hyperbolic", "aim vectors of Euclid's space")
    counts = _counted(vocabulary, texts, labels)
    told = _told(counts)
    often = counts.sum(axis=1)
    suggested = _regressed(vocabulary.vectors, told, np.minimum(often, _OFTEN) * (often > 1))
    own = (often / (often + _OWN_SAY))[:, None]
    places = own * told + (1 - own) * suggested
    places -= places.mean(axis=1, keepdims=True)
    return Vocabulary(vocabulary.words, places.astype(np.float32))


def _counted(vocabulary: Vocabulary, texts: pl.Series, labels: pl.Series) -> NDArray[np.float64]:
    """(words, labels): how often each word occurs in texts of each label. Errors: VocabularyUnfit."""
    names = labels.drop_nulls().unique().sort()
    if not 2 <= len(names) <= MOST_LABELS:
        raise VocabularyUnfit(f"the texts have {len(names)} labels", f"bring 2 to {MOST_LABELS}")
    there = labels.is_not_null() & texts.is_not_null()
    if (many := int(there.sum())) < FEWEST_TEXTS:
        raise VocabularyUnfit(f"only {many} texts have a label", f"bring at least {FEWEST_TEXTS}")
    tokens = Tokeniser(vocabulary).cut(texts.filter(there))
    label = np.repeat(labels.filter(there).replace_strict(names, range(len(names))).to_numpy(), tokens.lengths)
    flat = np.bincount(tokens.words * len(names) + label, minlength=len(vocabulary) * len(names))
    return flat.reshape(len(vocabulary), len(names)).astype(np.float64)


def _told(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln P(word | label) - ln P(word), drawn towards 0 by so many texts that say nothing."""
    share = (counts.sum(axis=0) + 1) / (counts.sum() + counts.shape[1])
    return np.asarray(np.log((counts + _SMOOTH * share) / ((counts.sum(axis=1, keepdims=True) + _SMOOTH) * share)))


def _regressed(
    vectors: NDArray[np.float32], told: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What vectors suggest: ridge regression on their coordinates, of one spread each, and a constant."""
    wide = vectors.astype(np.float64)
    wide -= wide.mean(axis=0)
    wide /= np.maximum(wide.std(axis=0), 1e-9)
    wide = np.concatenate([wide, np.ones((len(wide), 1))], axis=1)
    square = (wide * weight[:, None]).T @ wide + _RIDGE * np.eye(wide.shape[1])
    return np.asarray(wide @ np.linalg.solve(square, (wide * weight[:, None]).T @ told))

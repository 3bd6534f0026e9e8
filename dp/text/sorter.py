"""Which of some declared values a free text is about: the one that lies nearest to the middle of its words.

For search queries and titles that are to become a declared column. What is found is a function of public vectors and of
the text alone, before anything is drawn: it hides nothing by itself, and the value is then privatised like any other.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from .search import nearest_point
from .tokens import Tokeniser
from .vocabulary import Vocabulary, VocabularyUnfit

_AT_ONCE = 1 << 13
"""Texts: what is made of them takes many times their own memory."""


class Sorter:
    """Sorts texts into declared values. leave_out: how many of the most common words say nothing of what one is about.

    Errors: VocabularyUnfit.
    """

    def __init__(self, vocabulary: Vocabulary, values: Vocabulary, leave_out: int = 0) -> None:
        if vocabulary.geometry == "hyperbolic":
            raise VocabularyUnfit("hyperbolic words have no middle", "sort texts with vectors of Euclid's space")
        self._vectors, self._values = vocabulary.vectors, values
        self._tokeniser = Tokeniser(vocabulary, leave_out)
        self._stand_ins = list(vocabulary.stand_ins.values())
        self._search = nearest_point(values.vectors)

    def __call__(self, texts: pl.Series) -> pl.Series:
        """A declared value for each text; null where it holds no word of the vocabulary. Declared values stay."""
        strange = texts.is_not_null() & ~texts.is_in(self._values.words.to_list())
        sought = texts.filter(strange)
        found = [self._nearest(sought.slice(at, _AT_ONCE)) for at in range(0, len(sought), _AT_ONCE)]
        return texts.clone().scatter(strange.arg_true(), pl.concat(found)) if found else texts

    def _nearest(self, texts: pl.Series) -> pl.Series:
        from scipy.sparse import csr_array

        tokens = self._tokeniser.cut(texts)
        row = np.repeat(np.arange(len(texts)), tokens.lengths)
        said = ~np.isin(tokens.words, self._stand_ins)
        ones, places = np.ones(np.count_nonzero(said), dtype=np.float32), (row[said], tokens.words[said])
        sums = csr_array((ones, places), shape=(len(texts), len(self._vectors))) @ self._vectors
        many = np.bincount(row[said], minlength=len(texts))
        at = self._search.nearest(sums / np.maximum(many, 1)[:, None])
        return self._values.words.gather(at).zip_with(pl.Series(many > 0), pl.Series([None] * len(at), dtype=pl.String))

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
        found = self._nearest(texts.filter(strange))
        return texts.clone().scatter(strange.arg_true(), found) if len(found) else texts

    def _nearest(self, texts: pl.Series) -> pl.Series:
        tokens = self._tokeniser.cut(texts)
        row = np.repeat(np.arange(len(texts)), tokens.lengths)
        said = ~np.isin(tokens.words, self._stand_ins)
        sums = np.zeros((len(texts), self._vectors.shape[1]))
        np.add.at(sums, row[said], self._vectors[tokens.words[said]])
        many = np.bincount(row[said], minlength=len(texts))
        at = self._search.nearest(sums / np.maximum(many, 1)[:, None])
        return self._values.words.gather(at).zip_with(pl.Series(many > 0), pl.Series([None] * len(at), dtype=pl.String))

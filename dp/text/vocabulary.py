"""A vocabulary: words that a text may hold, and where each lies. Public: every mechanism may look at it freely.

What no vocabulary holds is not passed through. A token that is unknown, an address, a link or a number stands for one
of four words of the vocabulary (`STAND_INS`), and that word is privatised like any other, so that nobody can tell an
unknown token from a known one. Outputs are the first plain words (small letters only): vectors come in order of how
often a word occurs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

Geometry: TypeAlias = Literal["euclidean", "hyperbolic"]
Kind: TypeAlias = Literal["unknown", "address", "link", "number"]

STAND_INS: Mapping[Kind, Sequence[str]] = {
    "unknown": ("something", "thing", "entity"),
    "address": ("email", "mail", "message"),
    "link": ("website", "site", "page"),
    "number": ("number", "amount"),
}
"""What a token that is no word of the vocabulary becomes before it is privatised: the first of these that is in it."""

FEWEST_WORDS = 100


class VocabularyUnfit(Exception):
    """A vocabulary that no mechanism can work on. rule: what is wrong. remedy: what to do."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(rule, remedy)
        self.rule, self.remedy = rule, remedy


@dataclass(frozen=True)
class Vocabulary:
    """words: (n,) distinct strings, often ones first. vectors: (n, d) finite floats.

    Hyperbolic vectors are points of the open unit ball (Poincaré's model, curvature -1). declared: its words are the
    declared values of a column, of any number and spelling.
    """

    words: pl.Series
    vectors: NDArray[np.float32]
    geometry: Geometry = "euclidean"
    declared: bool = False

    def __post_init__(self) -> None:
        if not self.declared:
            _refuse_words(self.words)
        _refuse_vectors(self.words, self.vectors, self.geometry)

    def __len__(self) -> int:
        return len(self.words)

    @property
    def dimensions(self) -> int:
        return int(self.vectors.shape[1])

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of what it is: geometry, shape, words one a line, float32 little-endian vectors."""
        text = hashlib.sha256(f"passbox vocabulary v1\n{self.geometry}\n{len(self)} {self.dimensions}\n".encode())
        text.update("\n".join(self.words.to_list()).encode())
        text.update(b"\n")
        text.update(np.ascontiguousarray(self.vectors, dtype="<f4").data)
        return text.hexdigest()

    @cached_property
    def stand_ins(self) -> Mapping[Kind, int]:
        """Where the word for each kind of other token lies. Errors: VocabularyUnfit."""
        return {kind: self._first_of(names) for kind, names in STAND_INS.items()}

    def _first_of(self, names: Sequence[str]) -> int:
        at = self.words.index_of(names[0])
        for name in names[1:]:
            at = self.words.index_of(name) if at is None else at
        if at is None:
            raise VocabularyUnfit(f"it holds none of {', '.join(names)}", "use one that holds common English nouns")
        return int(at)

    @cached_property
    def plain(self) -> NDArray[np.int64]:
        """Where its plain words lie: small letters only, as `tokens` makes them."""
        return np.flatnonzero(self.words.str.contains(r"^[\p{Ll}\p{Lo}\p{M}]+$").to_numpy())

    def outputs(self, most: int) -> NDArray[np.int64]:
        """The first `most` plain words: what a word may become. Errors: VocabularyUnfit."""
        if len(self.plain) < FEWEST_WORDS:
            raise VocabularyUnfit("fewer than 100 of its words are plain", "use one with more words in small letters")
        return self.plain[:most]

    def first(self, most: int) -> Vocabulary:
        """The same, cut to its first words."""
        return Vocabulary(self.words.head(most), self.vectors[:most], self.geometry) if most < len(self) else self


def _refuse_words(words: pl.Series) -> None:
    """Errors: VocabularyUnfit."""
    if len(words) < FEWEST_WORDS:
        raise VocabularyUnfit("it has fewer than 100 words", "use a larger one")
    if words.str.contains(r"[\s\p{C}]").any():
        raise VocabularyUnfit("a word holds a blank or a control character", "export it again")


def _refuse_vectors(words: pl.Series, vectors: NDArray[np.float32], geometry: Geometry) -> None:
    """Errors: VocabularyUnfit."""
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(words) != len(vectors) or not vectors.shape[1]:
        raise VocabularyUnfit("its vectors are not one row of float32 a word", "export it again")
    if words.n_unique() != len(words) or words.null_count():
        raise VocabularyUnfit("a word stands twice in it", "keep one line a word")
    if not np.isfinite(vectors).all():
        raise VocabularyUnfit("a vector is not finite", "export it again")
    if geometry == "hyperbolic" and not (np.einsum("ij,ij->i", vectors, vectors) < 1).all():
        raise VocabularyUnfit(
            "a vector lies outside the unit ball", "hyperbolic vectors are points of the Poincaré ball"
        )

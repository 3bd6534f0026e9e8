"""From texts to words of a vocabulary and back. What no vocabulary holds never passes through.

A text is lower-cased and cut into links, addresses, whatever holds a digit, and runs of letters; all else (blanks,
marks) is dropped. Runs of letters that the vocabulary holds are themselves; everything else becomes the word that
stands for its kind (`vocabulary.STAND_INS`).

How many tokens a text has is not private: it leaks how long the text is, unless every text gets the same number
(`fixed`): longer ones keep a random choice of their tokens, shorter ones are filled up with the word for unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .randomness import uniforms
from .vocabulary import Kind, Vocabulary

_WORDS_OF_A_TEXT = (
    r"(?:https?://|ftp://|www\.)\S+"  # a link
    r"|[^\s@,;:<>()\[\]\"]+@[^\s@,;:<>()\[\]\"]+"  # an address, or a handle
    r"|@\w+"
    r"|[\p{L}\p{M}]*\p{N}[\p{L}\p{M}\p{N}]*"  # whatever holds a digit
    r"|[\p{L}\p{M}]+"
)
_KINDS: tuple[tuple[Kind, str], ...] = (
    ("link", r"^(?:https?://|ftp://|www\.)"),
    ("address", "@"),
    ("number", r"\p{N}"),
)


@dataclass(frozen=True)
class Tokens:
    """words: (tokens,) positions in the vocabulary, text after text. lengths: (texts,) how many each has; -1 for a
    text that is missing. other: how many tokens were no word of the vocabulary, by kind; of these stays at home."""

    words: NDArray[np.int64]
    lengths: NDArray[np.int64]
    other: dict[Kind, int]


class Tokeniser:
    """Cuts texts for one vocabulary. leave_out: how many of its most common words are dropped from every text: they
    say little of what a text is about, and are what an attacker guesses best."""

    def __init__(self, vocabulary: Vocabulary, leave_out: int = 0) -> None:
        plain = vocabulary.plain
        self._common = int(plain[min(leave_out, len(plain) - 1)])
        self._known = pl.DataFrame(
            {"token": vocabulary.words.gather(plain), "at": plain}, schema={"token": pl.String, "at": pl.Int64}
        )
        self._stand_ins = vocabulary.stand_ins

    def cut(self, texts: pl.Series) -> Tokens:
        """The tokens of every text. texts: strings; nulls are missing texts."""
        lists = texts.str.to_lowercase().str.extract_all(_WORDS_OF_A_TEXT)
        lengths = lists.list.len().cast(pl.Int64)
        there = pl.DataFrame({"token": lists.filter(lengths.fill_null(0) > 0).explode()})
        found = there.join(self._known, on="token", how="left", maintain_order="left")
        every = lengths.fill_null(-1).to_numpy()
        kept = found["at"].fill_null(self._common).to_numpy() >= self._common
        at, other = self._other(found.filter(kept))
        text = np.repeat(np.arange(len(every)), np.maximum(every, 0))[kept]
        real = np.bincount(text, minlength=len(every)).astype(np.int64)
        return Tokens(at, np.where(every < 0, -1, real), other)

    def _other(self, found: pl.DataFrame) -> tuple[NDArray[np.int64], dict[Kind, int]]:
        """What is no word of the vocabulary becomes the word for its kind."""
        at = found["at"].fill_null(-1).to_numpy().copy()
        strange = np.flatnonzero(at < 0)
        tokens = found["token"].gather(strange)
        left = np.ones(len(strange), dtype=np.bool_)
        other: dict[Kind, int] = {}
        for kind, pattern in _KINDS:
            these = tokens.str.contains(pattern).to_numpy() & left
            at[strange[these]], other[kind], left = self._stand_ins[kind], int(these.sum()), left & ~these
        at[strange[left]], other["unknown"] = self._stand_ins["unknown"], int(left.sum())
        return at, other

    def fixed(self, tokens: Tokens, length: int) -> Tokens:
        """Every text with `length` tokens, missing texts too: a random choice in order, or filled up."""
        real = np.maximum(tokens.lengths, 0)
        text = np.repeat(np.arange(len(real)), real)
        order = np.lexsort((uniforms(len(text)), text))  # a random order within each text
        begins = np.cumsum(real) - real
        chosen = np.sort(order[np.arange(len(text)) - begins[text] < length])
        words = np.full(len(real) * length, self._stand_ins["unknown"], dtype=np.int64)
        kept = np.minimum(real, length)
        at = np.arange(len(chosen)) - np.repeat(np.cumsum(kept) - kept, kept)
        words[text[chosen] * length + at] = tokens.words[chosen]
        return Tokens(words, np.full(len(real), length, dtype=np.int64), tokens.other)


def joined(words: pl.Series, lengths: NDArray[np.int64]) -> pl.Series:
    """Texts again: words with blanks between them; null where a text is missing."""
    real = np.maximum(lengths, 0)
    frame = pl.DataFrame({"text": np.repeat(np.arange(len(real)), real), "word": words})
    texts = frame.group_by("text", maintain_order=True).agg(pl.col("word").str.join(" "))
    empty = pl.DataFrame({"text": np.arange(len(real)), "there": lengths >= 0})
    whole = empty.join(texts, on="text", how="left", maintain_order="left")
    return whole.select(pl.when("there").then(pl.col("word").fill_null("")).otherwise(None).alias("text"))["text"]

"""What an attacker recovers who also knows which words follow each other.

A text is taken for a hidden Markov chain. Its states are the words that were there, in their order; what is seen is the
word that came out for each. The attacker knows the mechanism exactly, how often each word occurs, and how often each
follows each (Witten and Bell's mixture with single words: no word is impossible). Forward and backward give, for
every place, the chance of each word given the whole text that came out; the likeliest one is named.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

_TEXTS = 64


@dataclass(frozen=True)
class Chain:
    """often: (words,) how often each occurs. follows: (words, words) chance of each word after each, less what falls
    back. falls: (words,) the chance that what follows is drawn by `often` alone."""

    often: np.ndarray
    follows: sp.csr_matrix
    falls: np.ndarray

    def ahead(self, now: np.ndarray) -> np.ndarray:
        """(words, texts) chances of what comes next, from those of what is there."""
        return self.follows.T @ now + self.often[:, None] * (self.falls @ now)

    def back(self, then: np.ndarray) -> np.ndarray:
        """(words, texts) how well each word explains what comes next."""
        return self.follows @ then + self.falls[:, None] * (self.often @ then)


def chain(words: np.ndarray, row: np.ndarray, counts: np.ndarray) -> Chain:
    """words: text after text. row: which text each is of. counts: (words,) how often each occurs where it is used."""
    size = len(counts)
    within = row[1:] == row[:-1]
    pairs = sp.csr_matrix((np.ones(int(within.sum())), (words[:-1][within], words[1:][within])), shape=(size, size))
    pairs.sum_duplicates()
    total, kinds = np.asarray(pairs.sum(axis=1)).ravel(), np.diff(pairs.indptr)
    follows = sp.diags(1 / np.maximum(total + kinds, 1)) @ pairs
    falls = np.where(total > 0, kinds / np.maximum(total + kinds, 1), 1.0)
    often = (counts + 0.5) / (counts + 0.5).sum()
    return Chain(often.astype(np.float32), follows.astype(np.float32).tocsr(), falls.astype(np.float32))


def named(drawn: np.ndarray, row: np.ndarray, known: Chain, told: np.ndarray) -> np.ndarray:
    """The word that the attacker names for every place. told: (outputs, words) chance of each output for each word."""
    found = np.full(len(drawn), -1, dtype=np.int64)
    begins = np.flatnonzero(np.diff(row, prepend=-1))
    lengths = np.diff(begins, append=len(row))
    for length in np.unique(lengths):
        these = begins[lengths == length]
        for start in range(0, len(these), _TEXTS):
            places = these[start : start + _TEXTS, None] + np.arange(length)
            found[places] = _likeliest(drawn[places], known, told)
    return found


def _likeliest(drawn: np.ndarray, known: Chain, told: np.ndarray) -> np.ndarray:
    """drawn: (texts, length). Returns the same shape."""
    length = drawn.shape[1]
    seen = [np.ascontiguousarray(told[drawn[:, at]].T) for at in range(length)]
    before = [_shares(known.often[:, None] * seen[0])]
    for at in range(1, length):
        before.append(_shares(known.ahead(before[-1]) * seen[at]))
    out = np.empty_like(drawn)
    after = np.ones_like(seen[0])
    for at in range(length - 1, -1, -1):
        out[:, at] = (before[at] * after).argmax(axis=0)
        after = _shares(known.back(after * seen[at]))
    return out


def _shares(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=0)


def chances(rows) -> np.ndarray:
    """(outputs, words), from a mechanism's whole weights."""
    own, total = np.diff(rows.above.astype(np.float64), axis=1, prepend=0.0), rows.total.astype(np.float64)[:, None]
    told = np.repeat((rows.base[:, None] / total).astype(np.float32), rows.outputs, axis=1)
    np.put_along_axis(told, rows.near, ((own + rows.base[:, None]) / total).astype(np.float32), axis=1)
    return np.ascontiguousarray(told.T)

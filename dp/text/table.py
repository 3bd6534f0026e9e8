"""What a vocabulary is made ready with, once: the words of its table and their neighbours; what stands for the others.

The table holds the words that a word may become. Every other word of the vocabulary stands for the table word nearest
to it, before anything is drawn: two words that stand for the same one cannot be told apart at all, and distances in a
guarantee are those of the table words.

Kept on disk as plain arrays, with a digest: what is drawn among is what was measured, or it is measured again. It is a
cache and no authority: `verify` measures everything again from the vectors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .neighbours import Progress, nearest, quiet
from .search import nearest_point
from .vocabulary import Vocabulary, VocabularyUnfit

MOST_NEAR = 512
"""How many outputs have a weight of their own, at most."""
TABLE = 20_000
"""How many words a table holds, where nothing is said."""
_ARRAYS = ("words", "near", "far")


@dataclass(frozen=True)
class Table:
    """The words that a word may become, and what lies near them.

    words: (m,) their positions in the vocabulary. near: (m, K) positions in the table, nearest first, the word itself
    among them. far: (m, K) distances; K is 0 where nothing draws among neighbours. values: it is a list of declared
    values. cells: (m,) in which cell of `dp.text.cells` each word lies, where there are many.
    """

    vocabulary: str
    words: NDArray[np.int64]
    near: NDArray[np.int32]
    far: NDArray[np.float64]
    values: bool = False
    cells: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.words)


def width_for(size: int) -> int:
    """How many near outputs are kept: a power of two, so that a search among them halves."""
    return min(MOST_NEAR, 1 << (size.bit_length() - 1))


def neighbours_of(vectors: NDArray[np.float32], progress: Progress) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The nearest of all vectors for each of them."""
    return nearest(vectors, vectors, width_for(len(vectors)), progress)


def build(vocabulary: Vocabulary, most: int, progress: Progress) -> Table:
    """Measure a table of the first `most` plain words. Errors: VocabularyUnfit."""
    words = vocabulary.outputs(most)
    vectors = vocabulary.vectors[words]
    near, far = neighbours_of(vectors, progress)
    return Table(vocabulary.digest, words, near, far)


def without_neighbours(vocabulary: Vocabulary, most: int) -> Table:
    """The same words, nothing measured: for additive noise, and to measure again. Errors: VocabularyUnfit."""
    words = vocabulary.outputs(most)
    nothing = np.zeros((len(words), 0))
    return Table(vocabulary.digest, words, nothing.astype(np.int32), nothing)


class StandsFor:
    """Which table word each word of a vocabulary stands for: itself, or the nearest.

    Found when a word first occurs, in float32: any function of public vectors will do.
    """

    def __init__(self, vocabulary: Vocabulary, table: Table) -> None:
        self._vectors = vocabulary.vectors
        self._search = nearest_point(vocabulary.vectors[table.words])
        self._known = np.full(len(vocabulary), -1, dtype=np.int32)
        self._known[table.words] = np.arange(len(table), dtype=np.int32)

    def __call__(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """words: positions in the vocabulary. Returns positions in the table."""
        found = self._known[words]
        if len(strange := np.unique(words[found < 0])):
            self._known[strange] = self._search.nearest(self._vectors[strange].astype(np.float64))
            found = self._known[words]
        return found.astype(np.int64)


def of_values(values: Sequence[str], vocabulary: Vocabulary) -> tuple[Vocabulary, Table]:
    """A small vocabulary of declared values, which is its own table. A value of several words lies at their mean.

    Errors: VocabularyUnfit where a value holds no word of the vocabulary: it is named, for declared values are public.
    """
    places = {word: at for at, word in enumerate(vocabulary.words.to_list())}
    vectors = np.stack([_place(value, places, vocabulary) for value in values])
    small = Vocabulary(pl.Series(list(values), dtype=pl.String), vectors, vocabulary.geometry, declared=True)
    near, far = neighbours_of(vectors, quiet)
    return small, Table(small.digest, np.arange(len(values)), near, far, values=True)


def _place(value: str, places: Mapping[str, int], vocabulary: Vocabulary) -> NDArray[np.float32]:
    words = re.findall(r"[^\W\d_]+", value.lower())
    found = [vocabulary.vectors[places[word]] for word in words if word in places]
    if not found or (vocabulary.geometry == "hyperbolic" and len(found) > 1):
        raise VocabularyUnfit(f"the value {value} has no place in it", "declare values that are words of it")
    return np.asarray(np.mean(found, axis=0, dtype=np.float64), dtype=np.float32)


def save(table: Table, folder: Path) -> None:
    """Write the arrays; the description last, so that a folder without one is not read."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = [getattr(table, name) for name in _ARRAYS]
    for name, array in zip(_ARRAYS, arrays, strict=True):
        np.save(folder / f"{name}.npy", array)
    (folder / "table.json").write_text(json.dumps(_description(table.vocabulary, len(table), arrays)))


def load(vocabulary: Vocabulary, most: int, folder: Path) -> Table | None:
    """What was saved for this very vocabulary; None where there is nothing, or something else."""
    try:
        said = json.loads((folder / "table.json").read_text())
        arrays = [np.load(folder / f"{name}.npy") for name in _ARRAYS]
    except (OSError, ValueError, EOFError):
        return None
    words = vocabulary.outputs(most)
    shape = (len(words), width_for(len(words)))
    fits = np.array_equal(arrays[0], words) and said == _description(vocabulary.digest, len(words), arrays)
    shapes = [each.shape for each in arrays[1:]]
    return Table(vocabulary.digest, *arrays) if fits and shapes == [shape, shape] else None


def _description(vocabulary: str, size: int, arrays: Sequence[NDArray[np.generic]]) -> dict[str, str | int]:
    digest = hashlib.sha256()
    for each in arrays:
        digest.update(np.ascontiguousarray(each).data)
    return {"vocabulary": vocabulary, "size": size, "width": width_for(size), "sha256": digest.hexdigest()}

"""Word vectors made ready on this machine: read, measured once, and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..dp.text import table as tables
from ..dp.text.cells import sorted_into_cells
from ..dp.text.euclidean import MOST_IN_TURN
from ..dp.text.neighbours import Progress
from ..dp.text.table import Table
from ..dp.text.vectors import aimed_at, default, read
from ..dp.text.vocabulary import Vocabulary
from .files import replacing


@dataclass(frozen=True)
class Lexicon:
    """A vocabulary and its table. cached: the table was measured before."""

    vocabulary: Vocabulary
    table: Table
    cached: bool


def vocabulary_of(vectors: Path | None) -> Vocabulary:
    """From a file, or GloVe's package. Errors: NoVectors, VectorsUnreadable, VocabularyUnfit, OSError."""
    return default() if vectors is None else read(vectors)


class AimedWithThese(Exception):
    """Vectors were aimed with the very texts that are to be privatised. rule, remedy: plain words."""

    def __init__(self, path: Path) -> None:
        self.rule = "the vectors were aimed with this very file, so what it says of its labels stands in them"
        self.remedy = "aim them with other, public texts: `passbox text aim`"
        super().__init__(path, self.rule, self.remedy)
        self.path = path


def refuse_aimed(source: Path, vectors: Path | None) -> None:
    """Vectors go with every certificate, and hide nothing of the texts they were aimed with.

    The code ensures: not the same bytes. The caller ensures: nor the same texts in another file.
    Errors: AimedWithThese, VectorsUnreadable, OSError.
    """
    if (aimed := aimed_at(vectors)) and digest_of(source) in aimed:
        raise AimedWithThese(source)


def digest_of(source: Path) -> str:
    """SHA-256 of a file, in hex. Errors: OSError."""
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_lexicon(vectors: Path | None, size: int, progress: Progress, *, neighbours: bool = True) -> Lexicon:
    """A vocabulary and its table of the first `size` plain words. Errors: as `vocabulary_of`.

    neighbours: whether they are measured; a mechanism that adds noise has no use for them.
    """
    vocabulary = vocabulary_of(vectors)
    if not neighbours:
        return _without_neighbours(vocabulary, size)
    folder = _cache() / f"{vocabulary.digest[:32]}-{size}"
    if (kept := tables.load(vocabulary, size, folder)) is not None:
        return Lexicon(vocabulary, kept, cached=True)
    table = tables.build(vocabulary, size, progress)
    try:
        tables.save(table, folder)
    except OSError:  # a cache that cannot be written costs time and nothing else
        return Lexicon(vocabulary, table, cached=False)
    return Lexicon(vocabulary, table, cached=False)


def _without_neighbours(vocabulary: Vocabulary, size: int) -> Lexicon:
    """Words alone; where there are many, sorted into cells."""
    table = tables.without_neighbours(vocabulary, size)
    if vocabulary.geometry == "hyperbolic" or len(table) <= MOST_IN_TURN:
        return Lexicon(vocabulary, table, cached=True)
    kept = _cache() / f"{vocabulary.digest[:32]}-{size}-cells.npy"
    if (lies := _kept_cells(kept, len(table))) is not None:
        return Lexicon(vocabulary, replace(table, cells=lies), cached=True)
    lies = sorted_into_cells(vocabulary.vectors[table.words])
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as temporary, temporary.open("wb") as file:
            np.save(file, lies)
    return Lexicon(vocabulary, replace(table, cells=lies), cached=False)


def _kept_cells(path: Path, size: int) -> NDArray[np.int32] | None:
    """Cells say where a search looks, and nothing that is promised: any of the right number will do."""
    try:
        lies = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return lies if lies.shape == (size,) and lies.dtype == np.int32 else None


def _cache() -> Path:
    """Where caches lie: XDG_CACHE_HOME, or ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home else Path.home() / ".cache") / "passbox" / "text"

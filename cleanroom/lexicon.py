"""Word vectors made ready on this machine: read, measured once, and kept in the user's cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..dp.text import table as tables
from ..dp.text.neighbours import Progress
from ..dp.text.table import Table
from ..dp.text.vectors import default, read
from ..dp.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Lexicon:
    """A vocabulary and its table. cached: the table was measured before."""

    vocabulary: Vocabulary
    table: Table
    cached: bool


def vocabulary_of(vectors: Path | None) -> Vocabulary:
    """From a file, or GloVe's package. Errors: NoVectors, VectorsUnreadable, VocabularyUnfit, OSError."""
    return default() if vectors is None else read(vectors)


def open_lexicon(vectors: Path | None, size: int, progress: Progress) -> Lexicon:
    """A vocabulary and its table of the first `size` plain words. Errors: as `vocabulary_of`."""
    vocabulary = vocabulary_of(vectors)
    folder = _cache() / f"{vocabulary.digest[:32]}-{size}"
    if (kept := tables.load(vocabulary, size, folder)) is not None:
        return Lexicon(vocabulary, kept, cached=True)
    table = tables.build(vocabulary, size, progress)
    try:
        tables.save(table, folder)
    except OSError:  # a cache that cannot be written costs time and nothing else
        return Lexicon(vocabulary, table, cached=False)
    return Lexicon(vocabulary, table, cached=False)


def _cache() -> Path:
    """Where caches lie: XDG_CACHE_HOME, or ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home else Path.home() / ".cache") / "passbox" / "text"

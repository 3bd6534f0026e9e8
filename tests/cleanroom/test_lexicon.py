"""Vocabularies made ready, and what the cache may say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from passbox.cleanroom.lexicon import open_lexicon
from passbox.dp.text.euclidean import MOST_IN_TURN
from passbox.dp.text.neighbours import quiet
from passbox.dp.text.vocabulary import STAND_INS

SIZE = MOST_IN_TURN + 500


@pytest.fixture
def vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """More words than are looked at one by one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = [each[0] for each in STAND_INS.values()]
    names += ["".join(chr(97 + n // 26**place % 26) for place in range(4)) + "qx" for n in range(SIZE)]
    path = tmp_path / "many.npz"
    rows = np.random.default_rng(2).normal(size=(len(names), 4)).astype(np.float32)
    np.savez(path, words=np.array(names), vectors=rows, geometry=np.array("euclidean"))
    return path


def test_words_for_additive_noise_are_sorted_once_and_their_neighbours_never(vectors: Path) -> None:
    first, again = (open_lexicon(vectors, SIZE, quiet, neighbours=False) for _ in range(2))
    assert (first.cached, again.cached) == (False, True)
    assert first.table.near.shape == (SIZE, 0)
    assert first.table.cells is not None
    assert again.table.cells is not None
    assert np.array_equal(first.table.cells, again.table.cells)


@pytest.mark.parametrize("content", [b"", b"no array", "shape"])
def test_a_broken_cache_of_cells_is_made_again(content: bytes | str, vectors: Path) -> None:
    made = open_lexicon(vectors, SIZE, quiet, neighbours=False).table.cells
    (kept,) = vectors.parent.glob("cache/passbox/text/*-cells.npy")
    if isinstance(content, bytes):
        kept.write_bytes(content)
    else:
        np.save(kept, np.zeros(3, dtype=np.int32))
    again = open_lexicon(vectors, SIZE, quiet, neighbours=False)
    assert not again.cached
    assert again.table.cells is not None
    assert made is not None
    assert np.array_equal(again.table.cells, made)


def test_few_words_need_no_cells(vectors: Path) -> None:
    assert open_lexicon(vectors, 1_000, quiet, neighbours=False).table.cells is None


@pytest.mark.parametrize("array", ["near", "far"])
def test_a_cache_in_which_a_neighbour_changed_is_measured_again(array: str, vectors: Path) -> None:
    """Whole weights are made of it: a distance or a name that is off by one would break what is promised."""
    made = open_lexicon(vectors, 500, quiet).table
    (kept,) = vectors.parent.glob(f"cache/passbox/text/*-500/{array}.npy")
    changed = np.load(kept)
    changed[7, 3] += 1
    np.save(kept, changed)
    again = open_lexicon(vectors, 500, quiet)
    assert not again.cached
    assert np.array_equal(getattr(again.table, array), getattr(made, array))
    assert open_lexicon(vectors, 500, quiet).cached

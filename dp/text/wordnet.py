"""Nouns and what they are kinds of, from WordNet's own files (wndb(5WN): data.noun, index.noun, cntlist.rev).

WordNet 3.0's licence allows any use with its notice. Its files are read where they are installed and are not part of
Passbox (Debian: wordnet-base); vectors trained on them are the user's own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PLAIN = re.compile(r"[a-z]{2,}")


class NoWordnet(Exception):
    """A folder does not hold WordNet's noun files. path: the folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True)
class Nouns:
    """words: often ones first. node: the position of each word's first sense among the nodes. above: for every node,
    all that it is a kind of, itself left out."""

    words: Sequence[str]
    node: Sequence[int]
    above: Sequence[Sequence[int]]


def read_nouns(folder: Path, most: int) -> Nouns:
    """The nouns used most often, and everything that they are kinds of. Errors: NoWordnet."""
    try:
        parents = _parents((folder / "data.noun").read_text(encoding="latin-1"))
        senses = _first_senses((folder / "index.noun").read_text(encoding="latin-1"))
        counts = _counts((folder / "cntlist.rev").read_text(encoding="latin-1"))
    except (OSError, ValueError, IndexError):
        raise NoWordnet(folder) from None
    words = sorted((word for word in senses if _PLAIN.fullmatch(word)), key=lambda word: (-counts[word], word))[:most]
    return _nouns(words, senses, parents)


def _lines(text: str) -> list[list[str]]:
    return [line.split(" ") for line in text.splitlines() if line and not line.startswith("  ")]


def _parents(text: str) -> Mapping[str, Sequence[str]]:
    """Synset to those it is a kind, or an instance, of."""
    found: dict[str, Sequence[str]] = {}
    for fields in _lines(text):
        at = 4 + 2 * int(fields[3], 16)
        pointers = [fields[at + 1 + 4 * each : at + 5 + 4 * each] for each in range(int(fields[at]))]
        found[fields[0]] = [pointer[1] for pointer in pointers if pointer[0] in ("@", "@i")]
    return found


def _first_senses(text: str) -> Mapping[str, str]:
    """Lemma to the synset of its first sense."""
    found = {}
    for fields in _lines(text):
        senses, pointers = int(fields[2]), int(fields[3])
        found[fields[0]] = fields[6 + pointers : 6 + pointers + senses][0]
    return found


def _counts(text: str) -> Counter[str]:
    """How often WordNet's own corpus uses a noun."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        key, _, count = line.split(" ")[:3]
        lemma, _, rest = key.partition("%")
        if rest.startswith("1:"):
            found[lemma] += int(count)
    return found


def _nouns(words: Sequence[str], senses: Mapping[str, str], parents: Mapping[str, Sequence[str]]) -> Nouns:
    ancestors: dict[str, frozenset[str]] = {}

    def above(synset: str) -> frozenset[str]:
        if synset not in ancestors:
            direct = parents[synset]
            ancestors[synset] = frozenset(direct).union(*(above(each) for each in direct))
        return ancestors[synset]

    for word in words:
        above(senses[word])
    place = {synset: at for at, synset in enumerate(sorted(ancestors))}
    closure = [sorted(place[each] for each in ancestors[synset]) for synset in place]
    return Nouns(words, [place[senses[word]] for word in words], closure)

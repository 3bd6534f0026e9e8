"""How the hashes of one's own list were made, as far as values that one knows tell.

A recipe is a scheme, or none (hashed as it was written), and how often it was hashed. Known are the raw values beside
the hashes, row by row, or a few values that stand somewhere in the column.

The code ensures: every known value is tried under every recipe; what is given back holds counts and names, no value.
"""

from __future__ import annotations

import hashlib
import math
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .encodings import SIZES, decoded
from .identifiers import as_binary, normalised, refuse_other_than_text
from .rejects import RejectCode
from .schemes import known, load
from .schemes.setting import Setting
from .suspects import suspicion

MOST_PAIRS = 2_000
"""Rows whose hash is held against the raw value beside it, spread over the list."""

Fit: TypeAlias = tuple[str, str]
"""A scheme ("" where it was none), and the layers: how often it was hashed, and of what."""
ONCE = "once"
LAYERS: Mapping[str, Callable[[bytes], bytes]] = {
    "twice, the second time of its hex": lambda digest: digest.hex().encode(),
    "twice, the second time of its hex in capitals": lambda digest: digest.hex().upper().encode(),
    "twice, the second time of its base64": b64encode,
    "twice, the second time of its bytes": lambda digest: digest,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How hashes were made of values that are known. scheme: "" where it was none. share: of those values."""

    scheme: str
    layers: str
    share: float


@dataclass(frozen=True, slots=True)
class Part:
    """Values that the agreed recipe does not explain. fits: what explains all of them; empty where nothing does."""

    fits: tuple[Fit, ...]
    values: int


@dataclass(frozen=True, slots=True)
class Made:
    """Which recipes give the hash of each known value. of: rows that were looked at, those without either value too."""

    fits: tuple[frozenset[Fit], ...]
    of: int

    def explained(self, scheme: str) -> int:
        """How many values fit a scheme, hashed once."""
        return sum((scheme, ONCE) in each for each in self.fits)

    def recipes(self, scheme: str) -> list[Recipe]:
        """All that fit any value, and the agreed one though it fits none: the best first, of those alike the agreed."""
        if not self.fits:
            return []
        counts = Counter(chain.from_iterable(self.fits))
        counts[scheme, ONCE] += 0
        found = sorted(counts, key=lambda fit: (-counts[fit], fit != (scheme, ONCE), fit[1] != ONCE, fit[0]))
        return [Recipe(*fit, counts[fit] / len(self.fits)) for fit in found]

    def parts(self, scheme: str) -> list[Part]:
        """What the agreed scheme does not explain, recipe by recipe, the one that explains most first; last what none
        does."""

        def order(fit: Fit) -> tuple[bool, bool, str]:
            return fit[1] != ONCE, fit[0] != scheme, fit[0]

        left, parts = [each for each in self.fits if (scheme, ONCE) not in each], list[Part]()
        while counts := Counter(chain.from_iterable(left)):
            best = min(counts, key=lambda fit: (-counts[fit], *order(fit)))
            mine = [each for each in left if best in each]
            parts.append(Part(tuple(sorted(frozenset.intersection(*mine), key=order)), len(mine)))
            left = [each for each in left if best not in each]
        return [*parts, Part((), len(left))] if left else parts

    def undecided(self, scheme: str, others: Iterable[str]) -> tuple[str, ...]:
        """Which of some other schemes explain all that the agreed one does, so that these values do not tell."""
        mine = [each for each in self.fits if (scheme, ONCE) in each]
        return tuple(name for name in others if mine and all((name, ONCE) in each for each in mine))


def beside(raw: pa.ChunkedArray, hashed: pa.ChunkedArray, kind: str, setting: Setting) -> Made:
    """Of raw values and the hashes in the same rows. Rows without either are passed over. Errors: NotText."""
    step = max(1, len(raw) // MOST_PAIRS)
    written, hashes = texts(raw, step), map(_digest, texts(hashed, step))
    pairs = [(text, digest) for text, digest in zip(written, hashes, strict=True) if text and digest]
    fits = (frozenset(fit for fit, made in _made(text, kind, setting) if made == digest) for text, digest in pairs)
    return Made(tuple(fits), len(written))


def standing(values: Sequence[str], hashed: pa.ChunkedArray, kind: str, setting: Setting) -> Made:
    """Of values that stand somewhere in a column of hashes, all of which is looked at. Errors: NotText."""
    made = [list(_made(text, kind, setting)) for text in values]
    there = _there({digest for each in made for _, digest in each}, hashed)
    return Made(tuple(frozenset(fit for fit, digest in each if digest in there) for each in made), len(values))


def likenesses(values: Sequence[str], kind: str, setting: Setting) -> tuple[str, ...]:
    """Those that look like identifiers of a kind, to one scheme at least: of others, such as whole lines of a list, no
    recipe says anything."""
    rules = [load(name).rules[kind] for name in known() if kind in load(name).rules]
    return tuple(
        text for text in values if any(_is_like(normalised(rule, kind, text, setting), kind) for rule in rules)
    )


def _is_like(result: str | RejectCode, kind: str) -> bool:
    code = result if isinstance(result, RejectCode) else suspicion(kind, result)
    return code not in _UNLIKE


_UNLIKE = (
    RejectCode.TOO_LONG,
    RejectCode.NOT_AN_EMAIL,
    RejectCode.UNLIKELY,
    RejectCode.NOT_A_PHONE,
    RejectCode.LETTERS,
    RejectCode.NOT_A_DEVICE,
    RejectCode.NOT_AN_ADDRESS,
    RejectCode.ALREADY_HASHED,
)


def texts(column: pa.ChunkedArray, step: int) -> list[str | None]:
    """One of each so many rows, as text; None where it holds none. Errors: NotText.

    Which one goes by the golden ratio: a list that alternates is not seen as half of it.
    """
    plain = _plain(column)
    begins = np.arange(0, len(plain), step)
    rows = begins + (np.arange(len(begins)) * _GOLDEN % 1 * step).astype(np.int64)
    return [_text(raw) for raw in plain.take(pa.array(np.minimum(rows, len(plain) - 1))).to_pylist()]


_GOLDEN = (math.sqrt(5) - 1) / 2


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    refuse_other_than_text(column)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return pa.chunked_array(map(as_binary, chunks), pa.large_binary())


def _text(raw: bytes | None) -> str | None:
    try:
        return raw.decode() if raw is not None else None
    except UnicodeDecodeError:
        return None


def _digest(text: str | None) -> bytes | None:
    """The bytes of a hash of either size; None where it is none."""
    for algorithm in SIZES if text else ():
        result = decoded(str(text), algorithm)
        if not isinstance(result, RejectCode):
            return result[0]
    return None


_AROUND = rb"^[ \t\n\x0b\x0c\r]+|[ \t\n\x0b\x0c\r]+$"


def _there(digests: set[bytes], column: pa.ChunkedArray) -> set[bytes]:
    """Which of these stand in the column, in hex of either case or in base64, white space around them or not."""
    written = {text: digest for digest in digests for text in _spelled(digest)}
    bare = pc.replace_substring_regex(_plain(column), pattern=_AROUND, replacement=b"")
    found = pc.unique(bare.filter(pc.is_in(bare, value_set=pa.array(written, pa.large_binary()))))
    return {written[text] for text in found.to_pylist()}


def _spelled(digest: bytes) -> tuple[bytes, ...]:
    return digest.hex().encode(), digest.hex().upper().encode(), b64encode(digest)


def _made(text: str, kind: str, setting: Setting) -> Iterator[tuple[Fit, bytes]]:
    """What each scheme would have made of a value, hashed once or, by mistake, twice."""
    before = {"": ("sha256", text)}
    for name in known():
        rules = load(name).rules
        if kind in rules and not isinstance(result := normalised(rules[kind], kind, text, setting), RejectCode):
            before[name] = (rules[kind].hash, result)
    for name, (algorithm, value) in before.items():
        once = hashlib.new(algorithm, value.encode()).digest()
        yield (name, ONCE), once
        for layers, write in LAYERS.items():
            yield (name, layers), hashlib.new(algorithm, write(once)).digest()

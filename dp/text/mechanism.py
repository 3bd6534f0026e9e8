"""From a certificate to a mechanism that draws, and back: making certificates, and checking them.

`certify` measures and writes down; `check` measures again, from the vectors alone, and refuses what does not hold.
`mechanism` makes what a certificate describes. All three take the same vocabulary and table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .certificate import Certificate, MechanismName, decimal, table_digest
from .euclidean import euclidean
from .hyperbolic import NoiseUnbounded, hyperbolic
from .neighbours import Progress
from .ratio import Asked, Worst, distance_blocks, measure, solve, worst_of_channel
from .table import Table, neighbours_of
from .vocabulary import Vocabulary
from .weights import Rows, Score, draw, probabilities, rows_of

DEFAULT_REACH = 6.0
DEFAULT_CROWD = 16
BY_FORCE = 64
"""Words whose whole weights, as drawn, are compared output by output, besides the formula over all pairs."""


def needs_neighbours(name: MechanismName) -> bool:
    """Whether a mechanism draws among neighbours, which a table must hold; additive noise needs its words alone."""
    return name in ("exponential", "halved")


class Mechanism(Protocol):
    """Anything that draws: table positions in, table positions out, fresh for every one."""

    def draw(self, words: NDArray[np.int64]) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class Exponential:
    """The truncated exponential mechanism on a table."""

    rows: Rows

    def draw(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        return draw(self.rows, words)


class CertificateBroken(Exception):
    """A certificate does not hold for this vocabulary. rule: which part, with figures that are public."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class WrongVocabulary(Exception):
    """A certificate is about another vocabulary or table."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class GeometryMismatch(Exception):
    """A mechanism for one geometry, vectors of another."""

    def __init__(self, mechanism: str, geometry: str) -> None:
        super().__init__(mechanism, geometry)
        self.mechanism, self.geometry = mechanism, geometry


@dataclass(frozen=True)
class Wanted:
    """What a certificate is asked for. epsilon: for one unit of distance. reach, crowd: of an exponential mechanism."""

    mechanism: MechanismName
    epsilon: float
    reach: float = DEFAULT_REACH
    crowd: int = DEFAULT_CROWD


def certify(vocabulary: Vocabulary, table: Table, wanted: Wanted, progress: Progress) -> Certificate:
    """Measured is what is written: with the digits that a certificate keeps. Errors: NoRate, NoiseUnbounded,
    GeometryMismatch."""
    wanted = replace(wanted, epsilon=_kept(wanted.epsilon), reach=_kept(wanted.reach))
    _refuse_geometry(vocabulary, wanted)
    if not needs_neighbours(wanted.mechanism):
        epsilon = decimal(wanted.epsilon)
        return _written(vocabulary, table, wanted, {"epsilon": epsilon, "worst": epsilon})
    vectors = vocabulary.vectors[table.words]
    if wanted.mechanism == "halved":
        score = Score(_kept(wanted.epsilon / 2), wanted.reach, wanted.crowd)
        worst = measure(vectors, table.far, score, progress)
        asked = max(wanted.epsilon, worst.epsilon)
    else:
        score, worst = solve(
            vectors, table.near, table.far, Asked(wanted.epsilon, wanted.reach, wanted.crowd), progress
        )
        asked = wanted.epsilon
    return _written(vocabulary, table, wanted, _figures(asked, score, worst))


def _kept(value: float) -> float:
    return float(decimal(value))


def _figures(epsilon: float, score: Score, worst: Worst) -> dict[str, str | int]:
    return {
        "epsilon": decimal(epsilon),
        "rate": decimal(score.rate),
        "reach": decimal(score.reach),
        "crowd": score.crowd,
        "worst": decimal(worst.epsilon),
        "any_two": decimal(worst.any_two),
    }


def _written(vocabulary: Vocabulary, table: Table, wanted: Wanted, figures: Mapping[str, str | int]) -> Certificate:
    return Certificate(
        mechanism=wanted.mechanism,
        vocabulary=vocabulary.digest,
        words=len(vocabulary),
        dimensions=vocabulary.dimensions,
        table=table_digest(words_of(vocabulary, table)),
        size=len(table),
        values=table.values,
        **figures,  # type: ignore[arg-type]
    )


def words_of(vocabulary: Vocabulary, table: Table) -> list[str]:
    """The table's words."""
    return vocabulary.words.gather(table.words).to_list()


def _refuse_geometry(vocabulary: Vocabulary, wanted: Wanted) -> None:
    fits = (wanted.mechanism == "hyperbolic") == (vocabulary.geometry == "hyperbolic")
    if not fits:
        raise GeometryMismatch(wanted.mechanism, vocabulary.geometry)
    if wanted.mechanism == "hyperbolic" and not wanted.epsilon > vocabulary.dimensions - 1:
        raise NoiseUnbounded(wanted.epsilon, vocabulary.dimensions - 1)


def refuse_other(certificate: Certificate, vocabulary: Vocabulary, table: Table) -> None:
    """Errors: WrongVocabulary."""
    said = (certificate.vocabulary, certificate.words, certificate.dimensions)
    if said != (vocabulary.digest, len(vocabulary), vocabulary.dimensions):
        raise WrongVocabulary("vocabulary")
    outputs = (certificate.size, certificate.table, certificate.values)
    if outputs != (len(table), table_digest(words_of(vocabulary, table)), table.values):
        raise WrongVocabulary("table")


def mechanism(certificate: Certificate, vocabulary: Vocabulary, table: Table) -> Mechanism:
    """What a certificate describes. Errors: WrongVocabulary, NoiseUnbounded."""
    refuse_other(certificate, vocabulary, table)
    if (score := certificate.score) is not None:
        return Exponential(rows_of(table.near, table.far, score, len(table)))
    vectors, epsilon = vocabulary.vectors[table.words], float(certificate.epsilon)
    if certificate.mechanism == "hyperbolic":
        return hyperbolic(vectors, epsilon)
    return euclidean(vectors, epsilon, table.cells)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check measured itself. by_force: the largest log-ratio for one unit of distance among whole weights;
    pairs: how many pairs the formula looked at, forced: how many the weights were compared for."""

    worst: Worst | None
    by_force: float
    forced: int


def check(certificate: Certificate, vocabulary: Vocabulary, table: Table, progress: Progress) -> Checked:
    """Measure again from the vectors alone. table: only its words are used.

    Errors: CertificateBroken, WrongVocabulary, GeometryMismatch, NoiseUnbounded.
    """
    refuse_other(certificate, vocabulary, table)
    _refuse_geometry(vocabulary, Wanted(certificate.mechanism, float(certificate.epsilon)))
    if (score := certificate.score) is None:
        return Checked(None, 0.0, 0)
    vectors = vocabulary.vectors[table.words]
    near, far = neighbours_of(vectors, progress)
    worst = measure(vectors, far, score, progress)
    if worst.epsilon > float(certificate.epsilon):
        raise CertificateBroken(f"the worst pair comes to {worst.epsilon:.6f}, above ε {certificate.epsilon}")
    if worst.epsilon > float(certificate.worst) + 2e-6 or worst.any_two > float(str(certificate.any_two)) + 2e-6:
        raise CertificateBroken("its figures are smaller than what is measured")
    forced, count = by_force(vectors, rows_of(near, far, score, len(table)), worst)
    if forced > float(certificate.epsilon):
        raise CertificateBroken(f"weights as drawn come to {forced:.6f}, above ε {certificate.epsilon}")
    return Checked(worst, forced, count)


def by_force(vectors: NDArray[np.float32], rows: Rows, worst: Worst) -> tuple[float, int]:
    """The whole weights of the worst pair and of other words spread over the table, output by output.

    Returns the largest log-ratio for one unit of distance, and how many ordered pairs were compared.
    """
    spaced = np.linspace(0, len(rows) - 1, min(BY_FORCE, len(rows))).astype(np.int64)
    chosen = np.unique(np.concatenate([[worst.one, worst.other], spaced]))
    weights = np.array([probabilities(rows, int(row)) for row in chosen], dtype=np.float64)
    with np.errstate(divide="ignore"):
        logs = np.log(weights) - np.log(weights.sum(axis=1, keepdims=True))
    apart = np.concatenate([block for _, _, block in distance_blocks(vectors[chosen])])
    return worst_of_channel(logs, apart)[0], len(chosen) * (len(chosen) - 1)

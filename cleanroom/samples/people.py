"""Invented people and what draws them to the advertiser's product, an electric bicycle.

Every table of logits below is made up. Purchases follow one latent logistic model with a few interactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

AGES: Final = (18, 90)
AGE_GROUPS: Final = ((0.36, 28.0, 6.0), (0.40, 44.0, 9.0), (0.24, 66.0, 9.0))
"""Share, mean and standard deviation of three groups."""

REGIONS: Final = {
    "capital": 0.19, "north": 0.12, "south": 0.11, "east": 0.09, "west": 0.10, "coast": 0.08,
    "lakes": 0.07, "hills": 0.06, "valley": 0.06, "plains": 0.05, "borders": 0.04, "islands": 0.03,
}  # fmt: skip
"""Region to its share of the people."""

DEVICES: Final = {
    "android": (1.0, -0.3), "ios": (0.8, -0.5), "desktop": (0.7, 0.5),
    "tablet": (-0.6, 0.6), "ctv": (-0.7, 0.2),
}  # fmt: skip
"""Device to how common it is at the middle age and how that changes with age."""

TOPICS: Final = {
    "arts": (-1.8, 0.3, 0.0), "beauty": (-1.8, -0.5, 0.0), "books": (-1.6, 0.3, 0.1),
    "business": (-1.8, 0.1, -0.3), "cars": (-1.6, 0.0, -0.2), "cooking": (-1.4, 0.2, 0.0),
    "cycling": (-2.0, -0.2, -0.3), "education": (-2.1, -0.5, 0.0), "family": (-1.4, 0.0, -0.6),
    "fashion": (-1.5, -0.6, 0.0), "finance": (-1.8, 0.4, -0.2), "fitness": (-1.6, -0.5, -0.1),
    "gaming": (-1.4, -1.1, 0.0), "gardening": (-2.0, 0.9, -0.1), "home": (-1.5, 0.2, -0.3),
    "movies": (-1.1, -0.2, 0.0), "music": (-1.0, -0.4, 0.0), "nature": (-1.7, 0.4, 0.0),
    "news": (-0.9, 0.5, 0.0), "pets": (-1.6, 0.0, 0.0), "photography": (-2.2, 0.0, 0.0),
    "sports": (-1.1, -0.2, 0.0), "technology": (-1.4, -0.4, 0.0), "travel": (-1.2, 0.2, -0.2),
}  # fmt: skip
"""Topic to how common it is at the middle age, its slope with age and its curve."""
TOPICS_AT_MOST: Final = 8
TOPICS_ON_DEVICE: Final = {
    ("ctv", "movies"): 1.1, ("ctv", "sports"): 0.9, ("desktop", "business"): 0.6, ("desktop", "finance"): 0.5,
    ("ios", "fashion"): 0.4, ("ios", "travel"): 0.4, ("tablet", "books"): 0.7, ("android", "gaming"): 0.3,
}  # fmt: skip

DRAW_OF_REGION: Final = {
    "capital": 0.7, "valley": 0.5, "coast": 0.3, "borders": -0.5, "hills": -0.6, "islands": -0.9,
}  # fmt: skip
DRAW_OF_DEVICE: Final = {"ios": 0.6, "tablet": 0.3, "android": -0.2, "ctv": -0.3}
DRAW_OF_TOPIC: Final = {
    "cycling": 1.5, "fitness": 0.7, "nature": 0.7, "travel": 0.6, "technology": 0.5, "home": 0.2,
    "cars": -0.7, "gaming": -0.6, "movies": -0.4, "fashion": -0.3,
}  # fmt: skip

BLOCK: Final = 250_000
"""People drawn at a time where a row is a topic wide, which bounds the memory."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """People by position. region, device: codes into `REGIONS`, `DEVICES`. topics: people x `TOPICS`."""

    age: Ints
    region: Ints
    device: Ints
    topics: Bools


def invent(rng: np.random.Generator, count: int) -> Crowd:
    """`count` people; device depends on age, topics on both."""
    age = _ages(rng, count)
    region = rng.choice(len(REGIONS), size=count, p=list(REGIONS.values())).astype(np.int64)
    device = _devices(rng, age)
    topics = np.empty((count, len(TOPICS)), dtype=np.bool_)
    for start in range(0, count, BLOCK):
        block = slice(start, start + BLOCK)
        topics[block] = _topics(rng, age[block], device[block])
    return Crowd(age, region, device, topics)


def purchases(rng: np.random.Generator, crowd: Crowd, buyers: int) -> Bools:
    """Who buys: exactly `buyers` people, those of the highest logit plus logistic noise.

    That is a logistic model whose intercept is set so that this many buy.
    """
    utility = _draw(crowd) + rng.logistic(size=crowd.age.size)
    chosen = np.zeros(crowd.age.size, dtype=np.bool_)
    chosen[np.argpartition(utility, -buyers)[-buyers:]] = True
    return chosen


def _ages(rng: np.random.Generator, count: int) -> Ints:
    """Whole years; the youngest are mirrored at the lower bound, so that none pile up there."""
    low, high = AGES
    share, mean, spread = np.array(AGE_GROUPS).T
    group = rng.choice(share.size, size=count, p=share)
    years = np.rint(mean[group] + spread[group] * rng.standard_normal(count)).astype(np.int64)
    mirrored: Ints = np.minimum(low + np.abs(years - low), high)
    return mirrored


def _devices(rng: np.random.Generator, age: Ints) -> Ints:
    common, with_age = np.array(list(DEVICES.values())).T
    weight = np.exp(common + np.multiply.outer(_standard(age), with_age))
    share = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    picked: Ints = (rng.random(age.size)[:, None] > share[:, :-1]).sum(axis=1, dtype=np.int64)
    return picked


def _topics(rng: np.random.Generator, age: Ints, device: Ints) -> Bools:
    common, slope, curve = np.array(list(TOPICS.values()), dtype=np.float32).T
    on_device = np.zeros((len(DEVICES), len(TOPICS)), dtype=np.float32)
    for (where, topic), more in TOPICS_ON_DEVICE.items():
        on_device[_code(DEVICES, where), _code(TOPICS, topic)] = more
    years = _standard(age).astype(np.float32)[:, None]
    breadth = rng.standard_normal((age.size, 1), dtype=np.float32) * np.float32(0.5)
    logit = common + slope * years + curve * (years**2 - 1) + on_device[device] + breadth
    follows = rng.random(logit.shape, dtype=np.float32) * (1 + np.exp(-logit)) < 1
    return _at_most(rng, follows)


def _at_most(rng: np.random.Generator, follows: Bools) -> Bools:
    """The same topics, where who follows too many keeps a random choice of `TOPICS_AT_MOST`."""
    many = np.flatnonzero(follows.sum(axis=1) > TOPICS_AT_MOST)
    rank = np.where(follows[many], rng.random((many.size, follows.shape[1])), 2.0)
    kept = np.argsort(rank, axis=1)[:, :TOPICS_AT_MOST]
    follows[many] = False
    follows[many[:, None], kept] = True
    return follows


def _draw(crowd: Crowd) -> Floats:
    """The latent logit of a purchase, up to its intercept."""
    topic = {name: crowd.topics[:, code] for code, name in enumerate(TOPICS)}
    on = {name: crowd.device == code for code, name in enumerate(DEVICES)}
    age = crowd.age
    prime = np.exp(-(((age - 42) / 16.0) ** 2))
    logit: Floats = 2.0 * prime
    logit += _weights(REGIONS, DRAW_OF_REGION)[crowd.region]
    logit += _weights(DEVICES, DRAW_OF_DEVICE)[crowd.device]
    logit += crowd.topics @ _weights(TOPICS, DRAW_OF_TOPIC)
    logit += 0.8 * (topic["family"] & (age >= 30) & (age < 46))
    logit += 0.7 * (topic["travel"] & on["ios"])
    logit += 0.6 * (topic["finance"] & (crowd.region == _code(REGIONS, "capital")))
    logit -= 0.9 * (topic["cycling"] & (age < 26))
    return logit


def _standard(age: Ints) -> Floats:
    return (age - 45) / 18.0


def _code(names: Mapping[str, object], name: str) -> int:
    return list(names).index(name)


def _weights(names: Mapping[str, object], weights: Mapping[str, float]) -> Floats:
    return np.array([weights.get(name, 0.0) for name in names])

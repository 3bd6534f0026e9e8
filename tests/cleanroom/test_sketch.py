"""A list that returns is noticed at home: renamed, shuffled, a hundredth of it changed; another list is not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from passbox.cleanroom.keys import Keys, KeysUnusable
from passbox.cleanroom.newkeys import make
from passbox.cleanroom.sketch import KEPT, Marker, Sketch, keep, returned, shared, smallest


def people(first: int, last: int) -> np.ndarray:
    return np.array([list(hashlib.sha256(str(each).encode()).digest()) for each in range(first, last)], dtype=np.uint8)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make(tmp_path, "shop", "advertiser", None, None).keys


def smallest_of(keys: Keys, pieces: list[np.ndarray]) -> list[int]:
    marker = Marker(keys)
    marker.remember()
    return smallest(map(marker, pieces))


def sketch(keys: Keys, first: int, last: int, contract: str = "aa" * 32, dataset: str = "buyers") -> Sketch:
    return Sketch(
        contract=contract,
        contract_name="spring",
        dataset=dataset,
        kind="email",
        people=last - first,
        smallest=smallest_of(keys, [people(first, last)]),
    )


@pytest.mark.parametrize(
    ("first", "last", "share"), [(0, 8000, 1), (80, 8080, 0.99), (4000, 12000, 0.5), (8000, 16000, 0), (0, 4000, 1)]
)
def test_the_share_is_estimated_within_its_error(keys: Keys, first: int, last: int, share: float) -> None:
    """Five standard errors of Jaccard, and what it means for the share: less than one list in a million is off."""
    assert shared(sketch(keys, 0, 8000), sketch(keys, first, last)) == pytest.approx(share, abs=5 * 0.022)


def test_a_list_that_returns_under_another_contract_is_named(keys: Keys) -> None:
    keep(keys, sketch(keys, 0, 3000))
    shuffled = sketch(keys, 0, 3000, "bb" * 32, "customers")
    assert [(each.dataset, each.share > 0.95) for each in returned(keys, shuffled, frozenset())] == [("buyers", True)]
    assert returned(keys, sketch(keys, 30, 3030, "bb" * 32), frozenset())
    assert not returned(keys, sketch(keys, 3000, 6000, "bb" * 32), frozenset())


def test_the_same_contract_or_one_it_continues_is_no_return(keys: Keys) -> None:
    keep(keys, sketch(keys, 0, 3000))
    assert not returned(keys, sketch(keys, 0, 3000), frozenset())
    assert not returned(keys, sketch(keys, 0, 3000, "bb" * 32), frozenset({"aa" * 32}))


def test_a_sketch_tells_nothing_without_the_secret(keys: Keys, tmp_path: Path) -> None:
    """Of the same people, under another owner's secret, it shares no value: no guess can be tested."""
    other = make(tmp_path, "press", "publisher", None, None).keys
    mine, theirs = smallest_of(keys, [people(0, 3000)]), smallest_of(other, [people(0, 3000)])
    assert not set(mine) & set(theirs)
    assert len(mine) == KEPT


def test_it_is_kept_for_its_owner_alone_and_a_damaged_one_is_named(keys: Keys) -> None:
    keep(keys, sketch(keys, 0, 100))
    (at,) = (keys.folder / "sketches").iterdir()
    assert at.stat().st_mode & 0o077 == 0
    at.write_text("{")
    with pytest.raises(KeysUnusable):
        returned(keys, sketch(keys, 0, 100), frozenset())


def test_pieces_give_the_sketch_of_the_whole(keys: Keys) -> None:
    whole = people(0, 5000)
    assert smallest_of(keys, [whole]) == smallest_of(keys, [whole[:1], whole[1:1500], whole[1500:1500], whole[1500:]])

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbox.dp import tree
from passbox.dp.tree import BadProof, BadTree, Frontier

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "tree.json").read_text())
ENTRIES = [bytes.fromhex(each) for each in VECTORS["entries"]]
LEAVES = [tree.leaf_hash(b"%d" % n) for n in range(300)]

sizes = st.integers(0, 300)


def definition(entries: Sequence[bytes]) -> bytes:
    """MTH as RFC 6962, section 2.1, writes it."""
    if len(entries) < 2:
        return hashlib.sha256(b"\0" + entries[0] if entries else b"").digest()
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return hashlib.sha256(b"\1" + definition(entries[:k]) + definition(entries[k:])).digest()


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


def grown(size: int) -> Frontier:
    frontier = Frontier()
    for n in range(size):
        frontier = frontier.push(b"%d" % n)
    return frontier


def hashes(case: dict[str, Any], name: str) -> list[bytes]:
    return [bytes.fromhex(each) for each in case[name]]


# --- vectors


def test_roots_are_those_that_certificate_transparency_publishes() -> None:
    roots = [tree.root_of(map(tree.leaf_hash, ENTRIES[:n])).hex() for n in range(9)]
    assert roots == VECTORS["roots"]
    assert roots[0] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert roots[8] == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@pytest.mark.parametrize("case", VECTORS["inclusion"], ids=lambda case: case["claim"])
def test_inclusion_vectors(case: dict[str, Any]) -> None:
    proof, leaf, root = hashes(case, "proof"), bytes.fromhex(case["leaf_hash"]), bytes.fromhex(case["root"])
    assert tree.verify_inclusion(leaf, case["index"], case["size"], proof, root) is case["holds"]
    if case["holds"]:
        assert tree.inclusion_proof([*map(tree.leaf_hash, ENTRIES[: case["size"]])], case["index"]) == proof


@pytest.mark.parametrize("case", VECTORS["consistency"], ids=lambda case: case["claim"])
def test_consistency_vectors(case: dict[str, Any]) -> None:
    proof, old, new = hashes(case, "proof"), bytes.fromhex(case["old_root"]), bytes.fromhex(case["new_root"])
    holds = tree.verify_consistency(case["old_size"], old, case["new_size"], new, proof)
    assert holds is case["holds"]
    if case["holds"]:
        leaves = [*map(tree.leaf_hash, ENTRIES[: case["new_size"]])]
        assert tree.consistency_proof(leaves, case["old_size"]) == proof


@pytest.mark.parametrize(("number", "path"), VECTORS["paths"])
def test_tile_path_vectors(number: int, path: str) -> None:
    assert tree.tile_path(number) == path


@pytest.mark.parametrize("case", VECTORS["bundles"], ids=lambda case: case["claim"])
def test_bundle_vectors(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["data"])
    if "entries" in case:
        assert tree.read_bundle(data, case["expected"]) == hashes(case, "entries")
    else:
        with pytest.raises(BadTree) as refused:
            tree.read_bundle(data, case["expected"])
        assert refused.value.reason == "not-a-bundle"


# --- the frontier


def test_the_frontier_has_the_root_of_the_definition_at_every_size() -> None:
    frontier = Frontier()
    for size in range(301):
        assert frontier.size == size
        assert frontier.root() == definition([b"%d" % n for n in range(size)]) == tree.root_of(LEAVES[:size])
        frontier = frontier.push(b"%d" % size)


@given(st.lists(st.binary(max_size=40), max_size=40))
def test_a_frontier_survives_being_stored(entries: list[bytes]) -> None:
    frontier = Frontier()
    for entry in entries:
        frontier = Frontier.from_bytes(frontier.size, frontier.to_bytes()).push(entry)
    assert frontier.root() == definition(entries)


@pytest.mark.parametrize(
    ("size", "length"), [(-1, 32), (0, 32), (1, 0), (1, 31), (1, 33), (3, 32), (4, 64), (2**63, 32)]
)
def test_bytes_that_are_no_frontier_are_refused(size: int, length: int) -> None:
    with pytest.raises(BadTree) as refused:
        Frontier.from_bytes(size, bytes(length))
    assert refused.value.reason == "not-a-frontier"


def test_pushing_leaves_the_old_frontier_as_it_was() -> None:
    old = grown(5)
    before = old.to_bytes()
    old.push(b"more")
    assert (old.size, old.to_bytes()) == (5, before)


def test_a_leaf_cannot_pass_for_a_node() -> None:
    left, right = LEAVES[:2]
    assert tree.leaf_hash(left + right) != tree.node_hash(left, right)


# --- proofs


@given(st.data(), st.integers(1, 300))
def test_an_inclusion_proof_holds_and_any_flipped_bit_breaks_it(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    root, proof = tree.root_of(LEAVES[:size]), tree.inclusion_proof(LEAVES[:size], index)
    assert tree.verify_inclusion(LEAVES[index], index, size, proof, root)
    bit, at = data.draw(st.integers(0, 255)), data.draw(st.integers(-2, len(proof) - 1))
    parts = [*proof, LEAVES[index], root]
    parts[at] = flipped(parts[at], bit)
    assert not tree.verify_inclusion(parts[-2], index, size, parts[:-2], parts[-1])


@given(st.data(), st.integers(1, 300))
def test_an_inclusion_proof_holds_for_no_other_index(data: st.DataObject, size: int) -> None:
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(-1, size + 1))
    root, proof = tree.root_of(LEAVES[:size]), tree.inclusion_proof(LEAVES[:size], index)
    assert tree.verify_inclusion(LEAVES[index], other, size, proof, root) is (other == index)


@given(st.data(), st.integers(1, 300))
def test_a_consistency_proof_holds_and_any_flipped_bit_breaks_it(data: st.DataObject, size: int) -> None:
    old_size = data.draw(st.integers(0, size))
    old, new = tree.root_of(LEAVES[:old_size]), tree.root_of(LEAVES[:size])
    proof = tree.consistency_proof(LEAVES[:size], old_size)
    assert tree.verify_consistency(old_size, old, size, new, proof)
    bit, at = data.draw(st.integers(0, 255)), data.draw(st.integers(-1 if old_size else 0, len(proof)))
    parts = [*proof, old, new]
    at = len(proof) if not old_size else at
    parts[at] = flipped(parts[at], bit)
    assert not tree.verify_consistency(old_size, parts[-2], size, parts[-1], parts[:-2])


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 299))
def test_a_rewritten_log_has_no_consistency_proof(old_size: int, size: int, changed: int) -> None:
    old_size, size = min(old_size, size), max(old_size, size)
    changed %= old_size
    rewritten = [*LEAVES[:size]]
    rewritten[changed] = tree.leaf_hash(b"something else")
    for source in (LEAVES[:size], rewritten):
        proof = tree.consistency_proof(source, old_size)
        old, new = tree.root_of(LEAVES[:old_size]), tree.root_of(rewritten)
        assert not tree.verify_consistency(old_size, old, size, new, proof)


@given(st.data(), st.integers(1, 300), st.integers(2, 40))
def test_a_proof_does_not_reach_the_root_of_a_deeper_tree(data: st.DataObject, size: int, deeper: int) -> None:
    old_size, larger, root = data.draw(st.integers(1, size)), size << deeper, tree.root_of(LEAVES[:size])
    proof = tree.inclusion_proof(LEAVES[:size], old_size - 1)
    assert not tree.verify_inclusion(LEAVES[old_size - 1], old_size - 1, larger, proof, root)
    proof, old = tree.consistency_proof(LEAVES[:size], old_size), tree.root_of(LEAVES[:old_size])
    assert not tree.verify_consistency(old_size, old, larger, root, proof)


@given(st.integers(-2, 2**64), st.integers(-2, 2**64), st.lists(st.binary(max_size=33), max_size=70))
def test_proofs_from_anywhere_are_answered_not_raised(first: int, second: int, proof: list[bytes]) -> None:
    root = LEAVES[0]
    assert not tree.verify_inclusion(LEAVES[1], first, second, proof, root)
    tree.verify_consistency(first, root, second, root, proof)


def test_an_empty_log_has_one_root() -> None:
    assert tree.verify_consistency(0, tree.EMPTY_ROOT, 0, tree.EMPTY_ROOT, [])
    assert not tree.verify_consistency(0, tree.EMPTY_ROOT, 0, LEAVES[0], [])
    assert not tree.verify_consistency(0, LEAVES[0], 0, LEAVES[0], [])


@pytest.mark.parametrize("index", [-1, 3, 4])
def test_a_leaf_that_is_not_there_has_no_proof(index: int) -> None:
    with pytest.raises(BadProof) as refused:
        tree.inclusion_proof(LEAVES[:3], index)
    assert refused.value.reason == "no-such-leaf"


@pytest.mark.parametrize("old_size", [-1, 4])
def test_a_size_that_never_was_has_no_proof(old_size: int) -> None:
    with pytest.raises(BadProof) as refused:
        tree.consistency_proof(LEAVES[:3], old_size)
    assert refused.value.reason == "no-such-size"


# --- files


@given(st.integers(0, 10**12))
def test_every_tile_has_a_path_of_its_own(number: int) -> None:
    groups = tree.tile_path(number).split("/")
    assert all(group[0] == "x" for group in groups[:-1])
    assert int("".join(group.removeprefix("x") for group in groups)) == number


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 700])
def test_a_log_can_be_read_back_from_its_bundles(size: int) -> None:
    entries = [b"%d" % n * (n % 7) for n in range(size)]
    bundles = tree.bundle_entries(entries)
    assert len(bundles) == -(-size // 256)
    assert [*tree.read_entries(size, bundles.__getitem__)] == entries


def test_bundles_are_named_as_c2sp_names_them() -> None:
    assert [*tree.bundle_entries([b"a"] * 300)] == ["tile/entries/000", "tile/entries/001.p/44"]


@given(st.binary(max_size=60), st.integers(0, 5))
def test_a_bundle_is_read_in_one_way_or_not_at_all(data: bytes, expected: int) -> None:
    try:
        entries = tree.read_bundle(data, expected)
    except BadTree:
        return
    assert len(entries) == expected
    assert b"".join(tree.bundle_entries(entries).values()) == data


def test_the_largest_entry_fits_and_one_byte_more_is_refused() -> None:
    assert len(tree.bundle_entries([bytes(65535)])["tile/entries/000.p/1"]) == 65537
    with pytest.raises(BadTree) as refused:
        tree.bundle_entries([bytes(65536)])
    assert refused.value.reason == "entry-too-large"


def test_hash_tiles_of_seventy_thousand_leaves_are_those_of_the_specification() -> None:
    leaves = [n.to_bytes(32, "big") for n in range(70_000)]
    tiles = tree.hash_tiles(leaves)
    assert len([path for path in tiles if path.startswith("tile/0/") and ".p/" not in path]) == 273
    assert sorted(path for path in tiles if ".p/" in path) == [
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert tiles["tile/2/000.p/1"] == tree.root_of(leaves[: 256 * 256])


def test_a_full_tile_appears_one_level_up() -> None:
    tiles = tree.hash_tiles(LEAVES[:256])
    assert {path: len(data) for path, data in tiles.items()} == {"tile/0/000": 8192, "tile/1/000.p/1": 32}
    assert tiles["tile/1/000.p/1"] == tree.root_of(LEAVES[:256])


def test_an_empty_log_has_no_tiles() -> None:
    assert tree.hash_tiles([]) == tree.bundle_entries([]) == {}

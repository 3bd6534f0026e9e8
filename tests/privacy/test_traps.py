"""No trap without a test, and no test that is not there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from traps import PLANTED, TRAPS

TESTS = Path(__file__).parents[1]
LIST = TESTS.parents[1] / "shared" / "dp-traps.md"


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", [trap.row for trap in TRAPS])
def test_every_trap_names_tests_that_are_there(row: str) -> None:
    (trap,) = [trap for trap in TRAPS if trap.row == row]
    assert trap.tests
    for name in trap.tests:
        file, _, function = name.partition("::")
        assert function in functions(file), name


def test_every_planted_fault_names_a_test_that_is_there() -> None:
    for name in PLANTED.values():
        file, _, function = name.partition("::")
        assert function in functions(file), name


def test_the_attacks_are_all_there() -> None:
    assert {f"A{n}" for n in range(1, 19)} <= {trap.row for trap in TRAPS}


def rows_of(text: str) -> set[str]:
    """What the list of traps names: attacks, faults by number, and those that have no number."""
    attacks = set(re.findall(r"^\| (A\d+) \|", text, re.M))
    faults = set(re.findall(r"#\d{4}", text))
    named = {"seen here", "truncate_num_groups"} & set(re.findall(r"^\| `?([a-z_ ]+)`? \|", text, re.M))
    bullets = {word for word in ("Rich", "polars cast", "Parquet", "json", "Quantise") if word in text}
    return attacks | faults | named | bullets


def test_the_list_has_no_row_without_a_trap_here() -> None:
    if not LIST.exists():
        pytest.skip("the list of traps that this one was made from is not beside the repository")
    rows = rows_of(LIST.read_text())
    assert len(rows) > 30
    assert rows - {trap.row for trap in TRAPS} == set()

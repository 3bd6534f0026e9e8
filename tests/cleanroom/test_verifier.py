"""Three readings of one format must agree: the product's, one page of Python, and Node. Each vector is run by all.

The page (`cleanroom/verifier/verify_ledger.py`) and Node (`docs/verify_ledger.mjs`) run as an officer would run them.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from passbox.cleanroom.audit import LedgerBroken, verify_log
from passbox.cleanroom.log import BadLog, read_log
from passbox.cleanroom.terms import terms_of
from passbox.cleanroom.verifier import verify_ledger as page
from passbox.dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED
from passbox.dp.flip import FLIP_UNIT
from passbox.dp.scale import SCALE_UNIT
from passbox.modelling import answers, attributes
from passbox.modelling.attributes import Target
from passbox.modelling.blank import STEPS
from passbox.modelling.design import BITS, MOMENTS_L2_SQUARED
from passbox.modelling.packed import step_l2_squared
from passbox.policies.agreement import read_agreement
from passbox.policies.jobs.overlap import COUNT, TIERS

if TYPE_CHECKING:
    from .world import World

ROOT = Path(__file__).resolve().parents[2]
PAGE, NODE = ROOT / "cleanroom/verifier/verify_ledger.py", ROOT / "docs/verify_ledger.mjs"
MAKE = ROOT / "tests/vectors/ledger/make.py"
VECTORS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(MAKE.parent.glob("*.json"))}
FLIPS = 1_500

Vector = dict[str, Any]

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not on this machine")
needs_node = pytest.mark.skipif(not (shutil.which("node") and NODE.is_file()), reason="Node is not on this machine")


@dataclass(frozen=True)
class Case:
    """A vector on disk, and what each verifier says of it."""

    folder: Path

    @property
    def export(self) -> Path:
        return self.folder / "export"

    @property
    def contract(self) -> Path:
        return self.folder / "contract.toml"

    @property
    def seen(self) -> list[Path]:
        return sorted((self.folder / "seen").iterdir())

    def page(self) -> str:
        return said(sys.executable, PAGE, self.export, self.contract, *self.seen)

    def node(self) -> str:
        return said("node", NODE, self.export, self.folder / "terms.json", *self.seen)

    def product(self) -> str:
        seen = [each.read_text() for each in self.seen]
        try:
            verify_log(read_log(self.export), read_agreement(self.contract), seen)
        except LedgerBroken as broken:
            return f"FAIL {'log' if broken.entry is None else f'entry {broken.entry}'}: {broken.rule}"
        except BadLog as bad:
            return f"FAIL log: {bad.rule}"
        return "OK"

    def page_holds(self) -> bool:
        """The page within this process, for the many."""
        try:
            page.verify(self.export, self.contract, *self.seen)
        except Exception:  # noqa: BLE001 - whatever it raises, it prints as FAIL
            return False
        return True

    def page_here(self) -> str:
        """The page as a script, but without a process of its own, which takes most of the time."""
        printed, hook, typed = io.StringIO(), sys.excepthook, sys.argv
        try:
            sys.argv = [str(word) for word in (PAGE, self.export, self.contract, *self.seen)]
            with contextlib.redirect_stdout(printed):
                try:
                    runpy.run_path(str(PAGE), run_name="__main__")
                except Exception as why:  # noqa: BLE001 - as the interpreter would
                    sys.excepthook(type(why), why, why.__traceback__)
        finally:
            sys.excepthook, sys.argv = hook, typed
        return verdict(printed.getvalue())


def said(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0 if done.stdout.startswith("OK\n") else 1, "")
    return verdict(done.stdout)


def verdict(printed: str) -> str:
    """The first line; nothing more where it says FAIL."""
    first, *rest = printed.splitlines()
    assert first == "OK" or (first.startswith("FAIL ") and not rest)
    return first


def unpack(vector: Vector, folder: Path) -> Case:
    for part, at in (("contract", folder), ("export", folder / "export"), ("seen", folder / "seen")):
        at.mkdir(parents=True, exist_ok=True)
        for name, text in vector[part].items():
            (at / name).parent.mkdir(parents=True, exist_ok=True)
            (at / name).write_bytes(as_bytes(text))
    (folder / "terms.json").write_text(json.dumps(vector["terms"]))
    return Case(folder)


def as_bytes(text: str) -> bytes:
    return base64.b64decode(text.removeprefix("base64:")) if text.startswith("base64:") else text.encode()


def agrees(said: str, vector: Vector, who: str) -> bool:
    """The same verdict, at the same entry, in the words of the vector where it has some."""
    if vector["accept"] or who in vector["beyond"]:
        return said == "OK"
    if vector["entry"] is None and not vector["rule"]:
        return said.startswith("FAIL ")
    place = "log" if vector["entry"] is None else f"entry {vector['entry']}"
    return said.startswith(f"FAIL {place}: {vector['rule'].partition(',')[0]}")


# -- vectors -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=VECTORS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Vector, Case]:
    vector = VECTORS[request.param]
    return vector, unpack(vector, tmp_path)


@needs_openssl
def test_the_page_says_of_every_vector_what_is_expected(case: tuple[Vector, Case]) -> None:
    vector, files = case
    assert agrees(files.page_here(), vector, "page")


EACH = """
import { pathToFileURL } from "node:url";
const [script, ...cases] = process.argv.slice(2);
const found = [];
for (const [at, one] of cases.map((each) => JSON.parse(each)).entries()) {
  const lines = [];
  console.log = (line) => lines.push(line);
  process.exitCode = 0;
  process.argv = [process.argv[0], script, ...one];
  await import(`${pathToFileURL(script)}?${at}`);
  found.push([process.exitCode, lines.join("\\n")]);
}
process.exitCode = 0;
process.stdout.write(JSON.stringify(found));
"""
"""Node's script as it is typed, once for each case, in one process: a process each takes most of the time."""


@pytest.fixture(scope="module")
def by_node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What Node says of each vector."""
    home = tmp_path_factory.mktemp("node")
    driver = home / "each.mjs"
    driver.write_text(EACH)
    cases = [unpack(vector, home / str(at)) for at, vector in enumerate(VECTORS.values())]
    typed = [
        json.dumps([str(word) for word in (each.export, each.folder / "terms.json", *each.seen)]) for each in cases
    ]
    done = subprocess.run(["node", driver, NODE, *typed], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert all(code == (0 if printed.startswith("OK\n") else 1) for code, printed in found)
    return {name: verdict(printed) for name, (_, printed) in zip(VECTORS, found, strict=True)}


@needs_node
@pytest.mark.parametrize("name", VECTORS)
def test_node_says_of_every_vector_what_is_expected(by_node: dict[str, str], name: str) -> None:
    assert agrees(by_node[name], VECTORS[name], "node")


def test_the_product_gives_every_vector_the_same_verdict_at_the_same_entry(case: tuple[Vector, Case]) -> None:
    """Where the whole does not fit, it may still name the entry: it compares with the hashes in the copy."""
    vector, files = case
    said = files.product()
    assert agrees(said, {**vector, "rule": ""}, "product") or ("signed over" in said and vector["entry"] is None)


ORDERS = {
    "open outcome": True,
    "open open outcome release": True,
    "open outcome outcome": False,
    "open outcome open": False,
    "open release": False,
}
"""What may stand of one key whose noise is drawn ahead. Each, but an outcome, is for readers of its own."""


@needs_openssl
@needs_node
@pytest.mark.parametrize("order", ORDERS)
def test_noise_is_opened_then_settled_once_then_released(
    order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(MAKE.parent)
    make, pen = import_module("make"), import_module("pen").Pen(plans=True)
    jobs = (pen.request("model", recipients=each) for each in (["officer"], ["advertiser", "officer"], ["publisher"]))
    for kind in order.split():
        if kind != "outcome":
            wanted = pen.purchases(next(jobs))[0]
        pen.release(wanted, kind=kind)
    files = unpack(make.vector("", "", pen)[1], tmp_path)
    says = "OK" if ORDERS[order] else f"FAIL entry {1 + len(order.split())}: its noise is not open"
    assert (files.page(), files.node()) == (says, says)


KEPT = {
    "responses": {"responses": "2.0"},
    "selection": {"events": True, "selection": "1e-9"},
}
"""What a contract may keep, or not: a room's changes for it."""


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("both", [True, False])
def test_what_one_of_two_earlier_contracts_did_not_keep_is_not_kept_by_both_together(
    kept: str, both: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ε for labels, and of δ for keys that nobody listed: the smallest of the two caps is 0 then."""
    monkeypatch.syspath_prepend(MAKE.parent)
    make, pen = import_module("make"), import_module("pen")
    plain = KEPT[kept] if both else {name: value for name, value in KEPT[kept].items() if name == "events"}
    earlier = pen.Pen(name="april", **plain), pen.Pen(name="may", **KEPT[kept])
    later = pen.Pen(name="summer", continues=earlier, **KEPT[kept])
    for each in earlier:
        each.close(later)
        later.carry(each)
    said = unpack(make.vector("", "", later)[1], tmp_path).product()
    if both:
        assert said == "OK"
    else:
        assert re.fullmatch(rf"FAIL log: it puts 2 accounts of \w+/{kept} into one, with a larger cap than .*", said)


@needs_openssl
@pytest.mark.parametrize("text", [b"", b"\xff", b"[room", b'dataset = 1\nroom = "x"', None])
def test_a_contract_that_is_none_ends_in_one_line(text: bytes | None, tmp_path: Path) -> None:
    files = unpack(VECTORS["overlap"], tmp_path)
    files.contract.unlink() if text is None else files.contract.write_bytes(text)
    assert files.page().startswith("FAIL log: ")


@needs_node
@pytest.mark.parametrize("text", ["", "[", "{}", '{"vkey": "x"}', '{"vkey": 1}'])
def test_terms_that_are_none_end_in_one_line(text: str, tmp_path: Path) -> None:
    files = unpack(VECTORS["overlap"], tmp_path)
    (files.folder / "terms.json").write_text(text)
    assert files.node().startswith("FAIL log: ")


def test_most_vectors_are_rejections_and_every_rule_of_the_page_has_one() -> None:
    rejected = [vector for vector in VECTORS.values() if not vector["accept"]]
    assert len(VECTORS) - len(rejected) >= 8
    assert len(rejected) >= len(VECTORS) / 2
    rules = set(re.findall(r', "([^"{]+)"\)$', PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(rules) >= 10
    named_elsewhere_by_others = {"a job or manifest was changed", "an owner has no cap"}
    assert rules - named_elsewhere_by_others <= {vector["rule"] for vector in rejected}


def test_the_vectors_are_what_their_maker_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(MAKE), str(tmp_path)], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}
    assert made == {path.name: path.read_bytes() for path in MAKE.parent.glob("*.json")}


# -- any flipped bit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("cosigned", FLIPS // 6),
        ("carried", FLIPS // 10),
        ("loss", FLIPS // 10),
        *(pytest.param(name, FLIPS, marks=pytest.mark.long) for name in ("cosigned", "carried", "loss")),
    ],
)
def test_the_product_catches_every_flipped_bit_that_matters(name: str, count: int, tmp_path: Path) -> None:
    """In the earlier log as well, and in who approved a loss."""
    files, random = unpack(VECTORS[name], tmp_path), Random(20270110)
    for path, _, at in flips(files, random, count):
        name = str(path.relative_to(files.export))
        assert (files.product() == "OK") == ("tile/0/" in name), (name, at)


@needs_openssl
@pytest.mark.parametrize("count", [FLIPS // 6, pytest.param(FLIPS, marks=pytest.mark.long)])
def test_the_page_catches_every_flipped_bit_of_what_it_looks_at(count: int, tmp_path: Path) -> None:
    files, random = unpack(VECTORS["lookalike"], tmp_path), Random(20270111)
    for path, _, at in flips(files, random, count):
        name = str(path.relative_to(files.export))
        assert files.page_holds() == (name.startswith("tile/0/") or name.endswith(".sig")), (name, at)


@needs_node
def test_node_catches_every_flipped_bit_that_matters(tmp_path: Path) -> None:
    """In one process: the driver flips, and calls the verifier's own function."""
    files = unpack(VECTORS["cosigned"], tmp_path)
    driver = MAKE.with_name("flips.mjs")
    command = ["node", driver, NODE, files.export, files.folder / "terms.json", FLIPS, *files.seen]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{FLIPS} flips\n", "")


def flips(files: Case, random: Random, count: int) -> Any:
    """One bit at a time, in every file equally often; each is put back."""
    paths = sorted(path for path in files.export.rglob("*") if path.is_file())
    for turn in range(count):
        path = paths[turn % len(paths)]
        data = path.read_bytes()
        at = random.randrange(len(data) * 8)
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        path.write_bytes(changed)
        yield path, data, at
        path.write_bytes(data)


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_knows_what_each_statistic_moves_or_moves_at_least() -> None:
    """What is moved at least, where the name does not fix it, stands below 0: with one attribute, one cell. Tables:
    tests/dp/test_layout.py."""
    one, noise = Target("plan", ("basic", "plus")), ("discrete-gaussian", f"1/{SCALE_UNIT}")
    flips = ("randomised-response", f"1/{FLIP_UNIT}")
    assert {name: moved for name, moved in page.L2.items() if name[0] not in ("table@1", "keys@1")} == {
        (COUNT, *noise, f"2^-{COUNT_BITS}", 14): COUNT_L2_SQUARED,
        (TIERS, *noise, f"2^-{COUNT_BITS}", 14): -COUNT_L2_SQUARED,
        ("score-histogram@1", *noise, f"2^-{COUNT_BITS}", 14): COUNT_L2_SQUARED,
        ("score-strata@1", *noise, f"2^-{COUNT_BITS}", 14): COUNT_L2_SQUARED,
        ("responses@1", *flips, "2^-0", 14): 1,
        ("seed-moments@5", *noise, f"2^-{BITS}", 14): MOMENTS_L2_SQUARED,
        ("seed-groups@1", *noise, f"2^-{COUNT_BITS}", 15): COUNT_L2_SQUARED,
        ("person-scores@1", *noise, f"2^-{COUNT_BITS}", 15): 2 * COUNT_L2_SQUARED,
        ("answer-counts@1", *noise, f"2^-{COUNT_BITS}", 15): -answers.l2_squared(1),
        ("attribute-moments@1", *noise, f"2^-{BITS}", 15): -attributes.l2_squared([one]),
        ("person-fit@2", *noise, f"2^-{BITS}", 15): -(STEPS + 1) * step_l2_squared(1),
    }


def test_the_page_is_one_page_and_needs_nothing() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    assert set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)) <= sys.stdlib_module_names
    assert not re.search(r"^from \.|passbox\.", text, re.MULTILINE)


@needs_openssl
def test_an_export_brings_the_page_along_and_it_verifies(used: World) -> None:
    used.log()
    export = used.folder / "export"
    assert (export / "verify_ledger.py").read_bytes() == PAGE.read_bytes()
    assert "your OWN" in (export / "README.txt").read_text()
    command = [sys.executable, "-I", str(export / "verify_ledger.py"), str(export), str(used.contract)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("OK\n"), done
    spent = used.spent()
    assert all(f"{name} {spent[name]} of " in done.stdout for name in spent)


@pytest.mark.parametrize("name", VECTORS)
def test_the_terms_of_a_contract_are_what_its_vectors_say(name: str) -> None:
    """Also of the contracts that it continues, whose bytes lie in the copy."""
    vector = VECTORS[name]
    earlier = [text.encode() for path, text in vector["export"].items() if path.endswith("contract/contract.toml")]
    wanted = vector["terms"] if earlier else {key: item for key, item in vector["terms"].items() if key != "before"}
    assert terms_of(vector["contract"]["contract.toml"].encode(), earlier) == wanted

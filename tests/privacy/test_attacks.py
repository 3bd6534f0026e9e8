"""Published attacks, played against the path that every number takes. `traps.py` says which test answers which."""

from __future__ import annotations

import ast
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from plans import SECRET, frame, layouts, tables
from scipy.stats import binom, chi2

import passbox
from passbox.dp.accounting import attack_auc, rho_within
from passbox.dp.aggregate import Statistic
from passbox.dp.budget import Budget, Delta, Epsilon, delta_units
from passbox.dp.entry import Purchase
from passbox.dp.grouped import aggregate, candidates
from passbox.dp.keys import Bins, Category, InvalidQuery, Open
from passbox.dp.layout import GroupBy, Layout
from passbox.dp.ledger import Ledger
from passbox.dp.measures import Count, Measure, People, Sum
from passbox.dp.mechanisms import gaussian
from passbox.dp.noisy import Noisy
from passbox.dp.scale import SCALE_UNIT, Scale, price, smallest_scale
from passbox.dp.selection import Selection, shown
from passbox.modelling.design import COUNT_UNIT, MOMENTS_L2_SQUARED, ONE

RHO = rho_within(Budget(Epsilon(1.0), Delta(1e-6)))
ALARM = 1e-6

# -- A1, A2: the last bits of a number tell nothing -------------------------------------------------------------------


def residues_are_even(noisy: np.ndarray, modulus: int = 16) -> bool:
    """Chi-square at `ALARM`: every residue is reached equally often, whatever exact number lies beneath."""
    seen = np.bincount(noisy % modulus, minlength=modulus)
    expected = len(noisy) / modulus
    return bool(((seen - expected) ** 2 / expected).sum() < chi2.isf(ALARM, modulus - 1))


def test_neighbours_reach_the_same_numbers_though_exact_ones_are_multiples() -> None:
    """Exact sums are multiples of 2^14 here. Where noise were too, the last bits of a release would give a sum away."""
    layout = Layout.of([GroupBy("t", (), 1, (People(),))])
    steps, scale = layout.blocks[0].steps, smallest_scale(layout.l2_squared, RHO)
    for people in (0, 1, 12_345):
        drawn = gaussian(np.full(15_000, people * steps), layout.l2_squared, scale, RHO)
        assert residues_are_even(drawn)
    assert not residues_are_even(np.full(15_000, 7 * steps) + steps * np.arange(15_000))  # the planted fault


# -- A5: odd values are no errors -------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(layouts(), tables)
def test_no_value_of_a_row_is_an_error(plan: Layout, rows: pl.DataFrame) -> None:
    assert aggregate(plan, [rows] * len(plan.groups), SECRET).values.shape == (plan.cells,)


@pytest.mark.parametrize("column", ["region", "age", "person"])
def test_a_wrong_type_is_an_error_whether_there_are_rows_or_not(column: str) -> None:
    """What is refused is the schema, so an error says nothing about who is there."""
    group = GroupBy("t", (Category("region", ("a",)), Bins("age", (0.0, 1.0))), 1, (People(),))
    kind = pl.Int64 if column == "region" else pl.String
    said = set()
    for rows in (frame([]), frame([(1, "a", 0.5, 1.0, True, 0)] * 3)):
        changed = rows.with_columns(pl.lit(None, dtype=kind).alias(column))
        with pytest.raises(InvalidQuery) as caught:
            aggregate(Layout.of([group]), [changed], SECRET)
        said.add(str(caught.value))
    assert len(said) == 1


# -- A6: what is empty looks like what is not -------------------------------------------------------------------------


def test_every_declared_key_comes_back_though_nobody_is_in_it() -> None:
    regions = Category("region", ("north", "nowhere", "south"))
    layout = Layout.of([GroupBy("t", (regions,), 1, (People(),))])
    for rows in (frame([]), frame([(1, "north", 0.0, 0.0, True, 0)]), frame([(1, "elsewhere", 0.0, 0.0, True, 0)])):
        exact = aggregate(layout, [rows], SECRET)
        scale = smallest_scale(layout.l2_squared, RHO)
        noisy = gaussian(exact.values, layout.l2_squared, scale, RHO)
        assert len(noisy) == 3
        assert len(set((noisy % layout.blocks[0].steps).tolist())) > 1  # all three have noise


# -- A8: no code of users in the path of a release --------------------------------------------------------------------

RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
TAKES_CODE = {"map_elements", "map_batches", "map_groups", "SQLContext", "sql", "deserialize"}
LOADS_CODE = {"pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"}


def sources() -> list[Path]:
    root = Path(passbox.__file__).parent
    folders = ("cli", "cleanroom", "dp", "matching", "modelling", "policies")
    return [path for folder in folders for path in (root / folder).rglob("*.py")]


def runs_code(text: str) -> set[str]:
    """What in a module could run what somebody brought."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found |= {node.func.attr} & TAKES_CODE
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found |= {node.func.id} & RUNS_TEXT
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names} & LOADS_CODE
        if isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").partition(".")[0]} & LOADS_CODE
    return found


def test_what_may_be_asked_is_a_closed_list_and_nothing_runs_text() -> None:
    assert len(sources()) > 200
    assert {path.name: found for path in sources() if (found := runs_code(path.read_text()))} == {}
    assert {kind.__name__ for kind in Measure.__args__} == {"People", "Count", "Sum", "Cut"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "planted", ["eval(text)", "rows.map_elements(given)", "import pickle", "from joblib import load"]
)
def test_code_of_users_that_is_let_in_is_caught(planted: str) -> None:
    assert runs_code(planted)


# -- A9: what it costs and whether it is refused follows from declarations --------------------------------------------


def test_price_noise_and_refusal_are_known_without_a_row() -> None:
    """Nothing that decides takes rows: the same request is the same plan on any data."""
    import inspect

    from passbox.dp import layout, scale, target

    for decide in (layout.Layout.of, layout.Layout.noise, target.rho_for, target.half_width, scale.smallest_scale):
        assert not {"rows", "frame", "data", "statistic"} & set(inspect.signature(decide).parameters)


# -- A10: the same work, whoever is there -----------------------------------------------------------------------------


def test_the_draw_takes_as_many_draws_whoever_is_there() -> None:
    """Time is not defended beyond rounded hours; that no cell is skipped can be shown."""
    layout = Layout.of([GroupBy("t", (Category("region", ("north", "south")),), 1, (People(),))])
    one = frame([(1, "north", 0.0, 0.0, True, 0)])
    assert {aggregate(layout, [rows], SECRET).values.shape for rows in (frame([]), one)} == {(2,)}


# -- A11: nobody's values in what shows -------------------------------------------------------------------------------


def test_nothing_of_a_thousand_people_shows_in_reprs_and_errors() -> None:
    names = [f"canary-{n}" for n in range(1000)]
    rows = pl.DataFrame({"person": np.arange(1000, dtype=np.uint64) + 77_000_000, "region": names})
    layout = Layout.of([GroupBy("t", (Category("region", ("north",)),), 1, (People(),))])
    pages = Layout.of([GroupBy("t", (Open("region"),), 1, (People(),))])
    said = [repr(aggregate(layout, [rows], SECRET)), repr(candidates(pages, 0, [rows], SECRET))]
    wrong = [
        lambda: aggregate(layout, [rows.rename({"region": "other"})], SECRET),
        lambda: aggregate(layout, [rows.with_columns(pl.col("person").cast(pl.String))], SECRET),
        lambda: aggregate(Layout.of([GroupBy("t", (Bins("region", (0.0, 1.0)),), 1, (People(),))]), [rows], SECRET),
        lambda: aggregate(Layout.of([GroupBy("t", (), 1, (Sum("s", "region", 0, 1, 1, 1),))]), [rows], SECRET),
        lambda: aggregate(layout, [], SECRET),
        lambda: aggregate(layout, [rows], b"short"),
    ]
    for run in wrong:
        with pytest.raises((InvalidQuery, ValueError)) as caught:
            run()
        said.append(str(caught.value) + repr(caught.value) + str(caught.value.__cause__))
    assert not any("canary-" in text or "7700" in text for text in said)


# -- A12: one person with ten thousand rows: see test_replay; here, what it takes in memory --


def test_many_rows_of_one_person_are_worked_on_once() -> None:
    layout = Layout.of([GroupBy("t", (Category("region", ("north", "south")),), 1, (Count("views", 5),))])
    rows = pl.DataFrame({"person": np.zeros(200_000, dtype=np.uint64), "region": ["north", "south"] * 100_000})
    tracemalloc.start()
    aggregate(layout, [rows], SECRET)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * rows.height


# -- A13: one receipt, one release ------------------------------------------------------------------------------------


class Reusing:
    """The planted fault: a ledger that lets a receipt pay for whatever statistic comes next."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.receipt = ledger, None

    def pay(self, purchase: Purchase, statistic: Statistic) -> Noisy:
        if self.receipt is None:
            paid = self.ledger.pay(purchase, statistic)
            self.receipt = paid.receipt
            return paid
        spec = purchase.specification
        drawn = gaussian(statistic.values, spec.l2_squared, spec.scale, price(spec.l2_squared, spec.scale))
        return Noisy(drawn, spec.scale / SCALE_UNIT, spec.bits, self.receipt)


def each_release_has_a_receipt_of_its_own(desk: Any, pay: Any) -> bool:
    """Three statistics asked: three receipts, which open three commitments in the log."""
    from passbox.dp.entry import commitment_to

    paid = [pay(desk.purchase(name), desk.count()) for name in "abc"]
    receipts = {each.receipt.key for each in paid}
    opens = [commitment_to(each.receipt.nonce, each.values) == each.receipt.commitment for each in paid]
    return len(receipts) == 3 and all(opens)


def test_a_receipt_is_good_for_one_release(desk: Any) -> None:
    with desk.create() as ledger:
        assert each_release_has_a_receipt_of_its_own(desk, ledger.pay)
        assert ledger.accounts()["advertiser/record"].spent == 3 * desk.cost


def test_a_ledger_that_takes_a_receipt_twice_is_caught(desk: Any) -> None:
    with desk.create() as ledger:
        assert not each_release_has_a_receipt_of_its_own(desk, Reusing(ledger).pay)


# -- A17: the best test for one person, on what a model is fitted on --------------------------------------------------


def attacked_auc(l2_squared: int, scale: Scale, move: np.ndarray, draws: int) -> float:
    """AUC of the best test for one person who moves the vector so: the noisy numbers, laid along that move."""
    scores = []
    for present in (0, 1):
        exact = np.tile(present * move, draws)
        noisy = gaussian(exact, l2_squared, scale, price(l2_squared, scale)).reshape(draws, -1)
        scores.append(noisy @ (move / np.linalg.norm(move)))
    ranks = np.argsort(np.argsort(np.concatenate(scores)))
    return float((ranks[draws:].sum() - draws * (draws - 1) / 2) / draws**2)


@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_a_person_planted_in_the_moments_is_found_as_often_as_is_said_and_no_more(epsilon: float) -> None:
    """Two worlds, a worst-case row: as long as rows may be, alone in its cells. 6,000 draws each; ±5.2 deviations of an
    AUC of so many: a false alarm once in 4 million. With half the noise the same test finds it too often."""
    rho, draws, cells = rho_within(Budget(Epsilon(epsilon), Delta(1e-6))), 6_000, 3
    scale = smallest_scale(MOMENTS_L2_SQUARED, rho)
    move = np.zeros(cells, dtype=np.int64)
    move[[1, cells - 1]] = [ONE, COUNT_UNIT]
    assert int((move.astype(object) ** 2).sum()) == MOMENTS_L2_SQUARED
    said, wide = attack_auc(rho), 5.2 / math.sqrt(6 * draws)
    assert abs(attacked_auc(MOMENTS_L2_SQUARED, scale, move, draws) - said) < wide
    assert attacked_auc(MOMENTS_L2_SQUARED, Scale(scale // 2), move, draws) > said + wide


# -- upstream faults: what OpenDP does, and why it cannot happen here -------------------------------------------------


def imported_from_opendp() -> set[str]:
    found = set()
    for text in filter(lambda text: "opendp" in text, (path.read_text() for path in sources())):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("opendp"):
                found |= {f"{node.module}.{name.name}" for name in node.names}
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names if name.name.startswith("opendp")}
    return found


def test_nothing_of_opendp_is_used_but_the_gaussian_on_integers_and_the_flip_of_bits() -> None:
    """So #2922, #2927, #2932, #2937 to #2939, #2942, #2944, #2945, #2949, #2950 and `truncate_num_groups` are far."""
    assert imported_from_opendp() == {
        "opendp.domains.atom_domain",
        "opendp.domains.bitvector_domain",
        "opendp.domains.vector_domain",
        "opendp.measurements.make_gaussian",
        "opendp.measurements.make_randomized_response_bitvec",
        "opendp.metrics.discrete_distance",
        "opendp.metrics.l2_distance",
        "opendp.mod.Measurement",
        "opendp.mod.OpenDPException",
        "opendp.mod.enable_features",
    }


def test_a_number_that_is_none_cannot_shift_a_sum_as_it_does_in_a_vector_of_floats() -> None:
    """#2935, #2936, and +inf: upstream they come out of a float mechanism as they went in, with no noise at all."""
    from opendp.domains import atom_domain, vector_domain
    from opendp.measurements import make_gaussian
    from opendp.metrics import l2_distance

    floats = make_gaussian(vector_domain(atom_domain(T="f64", nan=False)), l2_distance(T="f64"), scale=1.0)
    upstream = {float(floats([math.inf])[0]) for _ in range(5)}
    assert len(upstream) == 1  # the fault is still there: the rule is needed
    spend = Layout.of([GroupBy("t", (), 1, (Sum("s", "price", 0, 10, 1, 10),))])
    for odd in (math.nan, math.inf, -math.inf, 1e308):
        rows = frame([(1, "a", 0.0, odd, True, 0), (2, "a", 0.0, 5.0, True, 0)])
        exact = aggregate(spend, [rows], SECRET).values[0] / spend.blocks[0].steps
        assert exact in (5, 15)
    with pytest.raises(TypeError):
        gaussian(np.array([math.inf]), 1, Scale(5 * SCALE_UNIT), RHO)


def test_no_day_flips_a_mean_and_no_small_float_tells_a_row_apart() -> None:
    """#2937, #2941: days are whole numbers inside declared edges; single precision is widened before it is clipped."""
    windows = Bins("day", (0.0, 100.0, 200.0))
    days = pl.DataFrame({"day": pl.Series([-(2**31), 50, 2**31 - 1], dtype=pl.Int32).cast(pl.Date)})
    assert windows.codes(days).tolist() == [-1, 0, -1]
    spend = Sum("s", "x", 0, 2**20)
    near = pl.DataFrame({"x": pl.Series([2**24 + 1, 2**24], dtype=pl.Int64)})
    single = near.cast(pl.Float32)
    assert spend.of_rows(near).tolist() == spend.of_rows(single).tolist() == [2**20, 2**20]  # type: ignore[union-attr]


def test_a_key_that_one_person_has_alone_appears_at_most_at_rate_delta() -> None:
    """#2922 and A7, end to end: rows to shown keys. More than δ once in 10^6."""
    layout = Layout.of([GroupBy("people", (Open("region"),), 1, (People(), Count("rows", 3)))])
    steps, delta = layout.blocks[0].steps, 5e-3
    selection, scale = Selection(1, delta_units(delta), steps), Scale(3 * steps * SCALE_UNIT)
    rows = pl.DataFrame({"person": np.arange(20_000, dtype=np.uint64), "region": [f"own-{n}" for n in range(20_000)]})
    found, cost = candidates(layout, 0, [rows], SECRET), price(layout.l2_squared, scale)
    names, _ = shown(selection, found, scale, lambda values: gaussian(values, layout.l2_squared, scale, cost))
    assert len(names) <= binom.isf(ALARM, 20_000, delta)

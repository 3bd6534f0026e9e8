"""The features' bounds are the sensitivity: exact replay on neighbours, and faults that must not get through."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.modelling import features, tables
from passbox.modelling.bins import adaptive_edges, declared_edges
from passbox.modelling.design import COUNT_UNIT, MOMENTS_L2_SQUARED, ONE, Block, SensitivityExceeded, verify
from passbox.modelling.features import (
    Category,
    ColumnMismatch,
    Encoder,
    Kind,
    Number,
    Ordinal,
    Topics,
    most_cells,
)

WORDS = [f"w{i}" for i in range(6)]


@st.composite
def people(draw: st.DrawFn) -> tuple[list[Kind], pa.Table]:
    """A few declared columns, and a few people who may keep to them or not."""
    rows = draw(st.integers(1, 12))
    declared: list[Kind] = []
    columns = {}
    for i in range(draw(st.integers(1, 4))):
        name = f"c{i}"
        shape = draw(st.sampled_from(["number", "ordinal", "category", "topics"]))
        values = tuple(WORDS[: draw(st.integers(1, 6))])
        if shape == "ordinal":
            declared.append(Ordinal(name, values))
            cell = st.none() | st.sampled_from(WORDS)
            columns[name] = pa.array(draw(st.lists(cell, min_size=rows, max_size=rows)), type=pa.string())
        elif shape == "number":
            low = draw(st.floats(-1e6, 1e6))
            declared.append(Number(name, low, low + draw(st.floats(0, 1e6))))
            cell = st.none() | st.floats(width=64)
            columns[name] = pa.array(draw(st.lists(cell, min_size=rows, max_size=rows)), type=pa.float64())
        elif shape == "category":
            declared.append(Category(name, values))
            cell = st.none() | st.sampled_from(WORDS)
            columns[name] = pa.array(draw(st.lists(cell, min_size=rows, max_size=rows)), type=pa.string())
        else:
            declared.append(Topics(name, values, draw(st.integers(1, 7))))
            cell = st.none() | st.lists(st.none() | st.sampled_from(WORDS), max_size=9)
            cells = draw(st.lists(cell, min_size=rows, max_size=rows))
            columns[name] = pa.array(cells, type=pa.list_(pa.string()))
    return declared, pa.table(columns)


def largest_move(declared: list[Kind], table: pa.Table) -> int:
    return largest_move_of(Encoder.from_owner(table, declared), table)


def largest_move_of(encoder: Encoder, table: pa.Table) -> int:
    """Replay: the largest squared L2 move of the exact moments when one matched row leaves."""
    design = encoder.encode(table)
    everyone = np.ones(design.rows, dtype=bool)
    whole = design.moments(everyone).values
    moves = []
    for gone in range(design.rows):
        without = everyone.copy()
        without[gone] = False
        move = whole - design.moments(without).values
        moves.append(sum(int(v) ** 2 for v in move))
    return max(moves)


@given(people())
@settings(max_examples=150, deadline=None)
def test_one_matched_row_moves_the_moments_no_further_than_promised(case: tuple[list[Kind], pa.Table]) -> None:
    assert largest_move(*case) <= MOMENTS_L2_SQUARED


ADVERSARY: list[tuple[list[Kind], pa.Table]] = [
    ([Number("x", 0, 1)], pa.table({"x": [math.inf, -math.inf, math.nan, -0.0, 1e308, None]})),
    ([Topics("t", tuple(WORDS), 2)], pa.table({"t": [WORDS * 3, WORDS[:2], [], None]})),
    ([Topics("t", tuple(WORDS), 99)], pa.table({"t": [WORDS * 3, [None, "no"], ["w0"] * 50]})),
    ([Number(f"x{i}", 0, 9) for i in range(7)], pa.table({f"x{i}": [float(v) for v in range(9)] for i in range(7)})),
]


@pytest.mark.parametrize(("declared", "table"), ADVERSARY)
def test_rows_made_to_stretch_the_bound_do_not(declared: list[Kind], table: pa.Table) -> None:
    assert largest_move(declared, table) <= MOMENTS_L2_SQUARED


def test_the_bound_is_reached_so_no_noise_is_wasted() -> None:
    table = pa.table({"a": ["x"], "b": ["x"], "c": ["x"], "d": ["x"]})
    for values in (("x", "y"), ("x", "y", "z")):
        reached = largest_move([Category(name, values) for name in "abcd"], table)
        assert MOMENTS_L2_SQUARED * (1 - 1e-5) < reached <= MOMENTS_L2_SQUARED


def test_planted_fault_topics_without_their_cap_are_caught_by_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "at_most_a_row", lambda row, code, *_: (row, code))
    assert max(largest_move(*case) for case in ADVERSARY) > MOMENTS_L2_SQUARED


def away_from_zero(real: np.ndarray) -> np.ndarray:
    scaled = np.ldexp(real, 20)
    return (np.sign(scaled) * np.ceil(np.abs(scaled))).astype(np.int64)


@pytest.mark.parametrize("rounding", [away_from_zero, lambda real: np.rint(np.ldexp(real, 20)).astype(np.int64)])
def test_planted_fault_other_roundings_are_refused_by_the_check(
    monkeypatch: pytest.MonkeyPatch, rounding: object
) -> None:
    monkeypatch.setattr(tables, "towards_zero", rounding)
    table = pa.table({f"x{i}": [float(v) for v in range(20)] for i in range(7)})
    with pytest.raises(SensitivityExceeded):
        Encoder.from_owner(table, [Number(f"x{i}", 0, 20) for i in range(7)])


def test_planted_fault_other_roundings_are_caught_by_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "towards_zero", away_from_zero)
    monkeypatch.setattr(features, "verify", lambda _: None)
    assert largest_move(*ADVERSARY[3]) > MOMENTS_L2_SQUARED


def test_tables_from_elsewhere_are_checked_like_our_own(crowd) -> None:
    text = crowd.encoder(np.ones(3000, dtype=bool)).to_json()
    tampered = json.loads(text)
    tampered["columns"][0]["table"][0][0] += 200_000
    with pytest.raises(SensitivityExceeded):
        Encoder.from_json(json.dumps(tampered))


def test_levels_that_come_together_may_not_share_a_cell() -> None:
    with pytest.raises(ValueError, match="share"):
        verify([Block("t", ("a", "b", "-"), np.ones((3, 2), dtype=np.int64), at_most=2)])


def test_shuffling_people_changes_no_bit_of_the_moments(crowd) -> None:
    encoder = crowd.encoder(np.ones(3000, dtype=bool))
    order = np.random.default_rng(1).permutation(3000)
    plain = encoder.encode(crowd.table).moments(crowd.label)
    shuffled = encoder.encode(crowd.table.take(pa.array(order))).moments(crowd.label[order])
    assert np.array_equal(plain.values, shuffled.values)
    assert plain.l2_squared == shuffled.l2_squared == MOMENTS_L2_SQUARED


@pytest.mark.parametrize("size", [1, 7, 1024, 3000])
def test_chunks_make_the_same_table_and_the_same_moments(crowd, size: int) -> None:
    encoder = crowd.encoder(np.ones(3000, dtype=bool))
    whole = encoder.encode(crowd.table)
    chunked = pa.concat_tables([crowd.table.slice(at, size) for at in range(0, 3000, size)])
    assert np.array_equal(encoder.encode(chunked).moments(crowd.label).values, whole.moments(crowd.label).values)


def test_moments_are_the_sum_of_the_dense_integer_rows(crowd) -> None:
    design = crowd.encoder(np.ones(3000, dtype=bool)).encode(crowd.table)
    dense = np.vstack(list(design.blocks(size=701)))
    assert dense.shape == (3000, design.cells)
    integers = (dense * ONE).astype(np.int64)
    assert np.array_equal(integers / ONE, dense)
    assert (integers.astype(object) ** 2).sum(axis=1).max() <= ONE**2
    expected = [*integers[crowd.label].sum(axis=0), crowd.label.sum() * COUNT_UNIT]
    assert np.array_equal(design.moments(crowd.label).values, expected)


def test_codes_answer_as_the_dense_rows_would(crowd) -> None:
    design = crowd.encoder(np.ones(3000, dtype=bool)).encode(crowd.table)
    dense = np.vstack(list(design.blocks()))
    weights = np.random.default_rng(3).random(3000)
    assert np.allclose(design.project(weights), dense.T @ weights)
    assert np.allclose(design.curvature(weights), (dense * weights[:, None]).T @ dense)


def test_two_columns_of_topics_meet_in_the_curvature_too() -> None:
    lists = [["w0", "w1"], None, [], ["w2", "w0", "w5"]]
    table = pa.table({"a": lists, "b": lists[::-1]})
    declared = [Topics("a", tuple(WORDS), 2), Topics("b", tuple(WORDS), 3)]
    design = Encoder.from_owner(table, declared).encode(table)
    (dense,) = design.blocks()
    assert np.allclose(design.curvature(np.arange(4.0)), (dense * np.arange(4.0)[:, None]).T @ dense)


def test_a_part_of_the_people_is_encoded_as_within_the_whole(crowd) -> None:
    design = crowd.encoder(np.ones(3000, dtype=bool)).encode(crowd.table)
    kept = crowd.split(0)
    part = design.take(kept)
    assert np.array_equal(np.vstack(list(part.blocks())), np.vstack(list(design.blocks()))[kept])
    assert part.rows == kept.sum()


def test_bins_do_not_look_at_labels_and_outsiders_count_as_missing() -> None:
    table = pa.table({"r": pa.array(["north", "mars", None, "south"]).dictionary_encode()})
    design = Encoder.from_owner(table, [Category("r", ("north", "south"))]).encode(table)
    assert design.codes[0].level.tolist() == [0, 2, 2, 1]


def test_text_may_come_in_any_arrow_layout() -> None:
    declared = [Category("r", ("a", "b")), Topics("t", ("a", "b"), 2)]
    plain = pa.table({"r": ["a", None, "b"], "t": [["a"], None, ["b", "a"]]})
    large = pa.table({"r": plain["r"].cast(pa.large_string()), "t": plain["t"].cast(pa.large_list(pa.large_string()))})
    views = pa.table({"r": plain["r"].cast(pa.string_view()), "t": plain["t"]})
    coded = pa.table({"r": plain["r"].dictionary_encode(), "t": plain["t"]})
    encoder = Encoder.from_owner(plain, declared)
    expected = next(encoder.encode(plain).blocks())
    for table in (large, views, coded):
        assert np.array_equal(next(encoder.encode(table).blocks()), expected)


def test_a_sliced_table_is_read_from_where_it_starts(crowd) -> None:
    encoder = crowd.encoder(np.ones(3000, dtype=bool))
    whole = next(encoder.encode(crowd.table).blocks())
    assert np.array_equal(next(encoder.encode(crowd.table.slice(1000, 50)).blocks()), whole[1000:1050])


@pytest.mark.parametrize(
    ("declared", "column"),
    [
        (Number("x", 0, 1), pa.array(["secret-7"])),
        (Category("x", ("a",)), pa.array([1.0])),
        (Topics("x", ("a",), 1), pa.array(["secret-7"])),
        (Topics("x", ("a",), 1), pa.array([[1]])),
    ],
)
def test_a_column_of_another_type_is_refused_without_its_values(declared: Kind, column: pa.Array) -> None:
    with pytest.raises(ColumnMismatch) as refused:
        Encoder.from_owner(pa.table({"x": column}), [declared]).encode(pa.table({"x": column}))
    assert "secret" not in str(refused.value)
    with pytest.raises(ColumnMismatch, match="there"):
        Encoder.from_owner(pa.table({"y": column}), [declared]).encode(pa.table({"y": column}))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Number("x", 1, 0),
        lambda: Number("x", 0, math.inf),
        lambda: Category("x", ()),
        lambda: Category("x", ("a", "a")),
        lambda: Topics("x", ("a",), 0),
        lambda: Encoder(()),
        lambda: Encoder.from_owner(pa.table({"x": ["a"]}), [Category("x", ("a",))] * 2),
        lambda: Encoder.from_json('{"version": 1, "bits": 20, "columns": []}'),
        lambda: Encoder.from_json('{"version": 2, "bits": 20, "columns": []}'),
        lambda: Encoder.from_declared([]),
        lambda: Ordinal("x", ("a", "a")),
    ],
)
def test_what_cannot_be_declared_is_refused(wrong) -> None:
    with pytest.raises(ValueError):
        wrong()


def test_an_encoder_read_back_encodes_the_same(crowd) -> None:
    encoder = crowd.encoder(np.ones(3000, dtype=bool))
    again = Encoder.from_json(encoder.to_json())
    assert again.digest == encoder.digest
    assert np.array_equal(
        again.encode(crowd.table).moments(crowd.label).values, encoder.encode(crowd.table).moments(crowd.label).values
    )


@given(st.lists(st.floats(allow_nan=False), max_size=400), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_edges_ascend_and_stay_within_the_declared_number(values: list[float], repeat: int) -> None:
    edges = adaptive_edges(np.array(values * repeat))
    assert (np.diff(edges) > 0).all()
    assert len(edges) + 2 <= features.MOST_LEVELS


def test_frequent_values_stand_alone() -> None:
    rng = np.random.default_rng(5)
    values = np.concatenate([np.zeros(900), rng.gamma(2, 100, 3000)])
    edges = adaptive_edges(values)
    level = np.searchsorted(edges, values, side="right")
    assert (level[:900] == 0).all()
    assert (level[900:] > 0).all()
    assert np.bincount(level[900:]).max() < 300


def test_no_width_exceeds_what_was_declared(crowd) -> None:
    assert crowd.encoder(np.ones(3000, dtype=bool)).encode(crowd.table).cells <= most_cells(crowd.declared)


@pytest.mark.parametrize(("own", "reach"), [(0.2, 0.15), (0.1, 0.3)])
def test_neighbouring_bins_resemble_each_other_as_documented(own: float, reach: float) -> None:
    rows = tables.smooth(20, tables.Likeness(own, reach)).rows[:20, :20]
    apart = np.abs(np.subtract.outer(np.arange(20), np.arange(20)))
    alike = own * np.eye(20) + (1 - own) * np.exp(-apart / (20 * reach))
    assert np.allclose(((rows[:, None] - rows[None]) ** 2).sum(axis=2), 2 - 2 * alike, atol=1e-9)


@pytest.mark.parametrize(
    "rows", [tables.smooth(24, tables.OWNED), tables.smooth(128, tables.EVEN), tables.plain(2), tables.plain(7)]
)
def test_centred_rows_lie_in_the_smallest_ball(rows: tables.Rows) -> None:
    """All levels are equally far from the middle, so that no other middle is nearer to all of them."""
    lengths = (rows.rows[:-1] ** 2).sum(axis=1)
    assert np.allclose(lengths, rows.reach, rtol=1e-6)
    assert rows.reach < 1


def test_the_more_is_paid_the_more_of_a_declared_bin_is_its_own(crowd) -> None:
    """From an epsilon alone, and only where bins come from declarations; no row gets longer than it may be."""
    own = [tables.even_at(epsilon).own for epsilon in (None, 0.5, 2.0, 3.0, 4.0, 64.0)]
    assert own == pytest.approx([0.1, 0.1, 0.1, 0.15, 0.2, 0.2])
    encoders = [Encoder.from_declared(crowd.declared, epsilon) for epsilon in (1.0, 2.0, 4.0, 9.0)]
    assert encoders[0].digest == encoders[1].digest == Encoder.from_declared(crowd.declared).digest
    assert encoders[1].digest != encoders[2].digest == encoders[3].digest
    assert all(largest_move_of(each, crowd.table.slice(0, 200)) <= MOMENTS_L2_SQUARED for each in encoders)


def test_public_bins_look_at_no_row(crowd) -> None:
    encoder = Encoder.from_declared(crowd.declared)
    assert encoder.digest == Encoder.from_declared(crowd.declared).digest
    assert largest_move_of(encoder, crowd.table.slice(0, 200)) <= MOMENTS_L2_SQUARED
    again = Encoder.from_json(encoder.to_json())
    assert again.digest == encoder.digest
    assert all(
        np.array_equal(a.block.table, b.block.table) for a, b in zip(again.columns, encoder.columns, strict=True)
    )


@pytest.mark.parametrize(
    ("low", "high", "bins", "edges"),
    [
        (1, 4, 9, [1.5, 2.5, 3.5]),
        (0, 1, 8, [1 / 6, 3 / 6, 5 / 6]),
        (-0.5, 0.5, 4, [-0.25, 0.0, 0.25]),
        (0, 0.5, 4, [0.005, 0.05, 0.25]),
        (3, 3, 9, []),
    ],
)
def test_public_edges_lie_around_whole_numbers_or_even_or_finer_below(
    low: float, high: float, bins: int, edges: list[float]
) -> None:
    assert np.allclose(declared_edges(low, high, bins), edges)


@pytest.mark.parametrize("high", [1, 5, 16, 90])
def test_whole_numbers_stay_apart_and_a_ratio_between_them_is_seen(high: int) -> None:
    edges = declared_edges(0, high, 128)
    assert len(edges) < 128
    levels = np.searchsorted(edges, np.arange(high + 1))
    assert (np.diff(levels) > 0).all()
    assert high == 90 or np.searchsorted(edges, 0.4) > levels[0]


@pytest.mark.parametrize(("low", "high"), [(1_000_000, 1_000_005), (1990, 2020), (0, 1e6), (7, 7)])
def test_no_two_bins_are_called_the_same(low: float, high: float) -> None:
    levels = Encoder.from_declared([Number("year", low, high)]).columns[0].block.levels
    assert len(set(levels)) == len(levels)


def test_long_ranges_are_cut_by_size_and_zero_stands_alone() -> None:
    edges = declared_edges(0, 99_999, 16)
    assert edges[0] == 0.5
    assert np.allclose(np.diff(np.log1p(edges[2:])), np.log(100_000) / 15)


def test_dense_rows_come_a_few_people_at_a_time(crowd) -> None:
    design = crowd.encoder(np.ones(3000, dtype=bool)).encode(crowd.table)
    assert [len(block) for block in design.blocks(size=1300)] == [1300, 1300, 400]

"""Totals and parts that add up are the least squares solution, and the noise that is left is what it says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.dp.consistency import add_up

SHAPES = [(4,), (2, 3), (3, 2, 2), (5, 1)]


def plain_least_squares(parts: np.ndarray, sigma: float, totals: dict) -> tuple[np.ndarray, np.ndarray]:
    """Generalised least squares with one column a part: what `add_up` must be equal to."""
    rows, seen, noise = [np.eye(parts.size)], [parts.ravel()], [np.full(parts.size, sigma)]
    index = np.arange(parts.size).reshape(parts.shape)
    for kept, (values, s) in totals.items():
        gone = tuple(a for a in range(parts.ndim) if a not in kept)
        groups = np.moveaxis(index, gone, range(-len(gone), 0)).reshape(values.size, -1)
        row = np.zeros((values.size, parts.size))
        for i, members in enumerate(groups):
            row[i, members] = 1
        rows.append(row)
        seen.append(values.ravel())
        noise.append(np.full(values.size, s))
    design, y, s = np.vstack(rows), np.concatenate(seen), np.concatenate(noise)
    precision = design.T / s**2
    covariance = np.linalg.inv(precision @ design)
    estimate = covariance @ (precision @ y)
    return design @ estimate, np.sqrt(np.diag(design @ covariance @ design.T))


@settings(deadline=None)
@given(st.sampled_from(SHAPES), st.data())
def test_it_is_generalised_least_squares(shape: tuple[int, ...], data: st.DataObject) -> None:
    axes = range(len(shape))
    choices = [kept for n in range(len(shape)) for kept in itertools.combinations(axes, n)]
    asked = data.draw(st.lists(st.sampled_from(choices), unique=True, max_size=4))
    g = np.random.default_rng(data.draw(st.integers(0, 99)))
    parts = g.normal(size=shape) * 10
    totals = {kept: (g.normal(size=[shape[a] for a in kept]) * 10, float(g.uniform(0.1, 9))) for kept in asked}
    sigma = float(g.uniform(0.1, 9))
    values, noise = plain_least_squares(parts, sigma, totals)
    found = add_up(parts, sigma, totals)
    order = [tuple(axes), *totals]
    assert np.concatenate([found[kept].values.ravel() for kept in order]) == pytest.approx(values, abs=1e-8)
    assert np.concatenate([np.full(found[kept].values.size, found[kept].sigma) for kept in order]) == pytest.approx(
        noise
    )


def test_parts_add_up_to_their_totals() -> None:
    g = np.random.default_rng(0)
    found = add_up(g.normal(size=(3, 4)), 2.0, {(): (g.normal(size=()), 1.0), (0,): (g.normal(size=3), 3.0)})
    assert found[0, 1].values.sum(axis=1) == pytest.approx(found[0,].values)
    assert found[0,].values.sum() == pytest.approx(float(found[()].values))


def test_no_number_is_noisier_for_it() -> None:
    zeros = np.zeros((3, 4))
    found = add_up(zeros, 2.0, {(): (np.zeros(()), 1.0), (0,): (np.zeros(3), 3.0)})
    assert found[0, 1].sigma < 2
    assert found[()].sigma < 1
    assert found[0,].sigma < 3

"""Overlap: how many records two data sets share, and the match rate on the public size of the seed."""

from __future__ import annotations

from ...dp.noisy import Z95, Estimate, Noisy


def overlap(noisy: Noisy, seeds: int) -> dict[str, object]:
    """The matched count and the match rate, as a release holds them. seeds: accepted rows, public and above 0.

    The intervals cover the noise, whose size is known exactly. The count is shown as it came, though noise may make it
    negative: cutting it off would bias it. A rate lies in [0, 1], one seed matching one row at most, and so do the
    figures of the rate: cutting the interval there leaves no possible rate out.
    """
    count, half = float(noisy.real[0]), Z95 * noisy.sigma
    low, middle, high = (min(1.0, max(0.0, end / seeds)) for end in (count - half, count, count + half))
    return {
        "seed_rows": seeds,
        "matched": Estimate(count, count - half, count + half).as_json(),
        "match_rate": Estimate(middle, low, high).as_json(),
    }

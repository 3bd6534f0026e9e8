"""Overlap: how many records two data sets share, and the match rate on the public size of the seed."""

from __future__ import annotations

from ...dp.noisy import Z95, Estimate, Noisy


def overlap(noisy: Noisy, seeds: int) -> dict[str, object]:
    """The matched count and the match rate, as a release holds them. seeds: accepted rows, public and above 0.

    The intervals cover the noise, whose size is known exactly. A noisy count may be negative; it is shown as it came,
    because cutting it off at 0 would bias it.
    """
    count, half = float(noisy.real[0]), Z95 * noisy.sigma
    return {
        "seed_rows": seeds,
        "matched": Estimate(count, count - half, count + half).as_json(),
        "match_rate": Estimate(count / seeds, (count - half) / seeds, (count + half) / seeds).as_json(),
    }

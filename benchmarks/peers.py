"""The same sum by key in other libraries, each run by the interpreter of an environment of its own.

    PYTHON benchmarks/peers.py NAME rows.parquet KEYS LIMIT      prints one line of JSON: CPU seconds of the best of two

rows.parquet: person (int64), key (text), v (0 to 500). NAME: opendp, opendp-bounded, diffprivlib, python-dp,
pipeline-dp, smartnoise-sql. LIMIT: keys of one person, where the library can bound them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

LOW, HIGH, RHO, EPSILON, DELTA = 0, 500, 0.03, 1.0, 1e-6


def opendp(path: str, keys: list[str], limit: int, bounded: bool = False) -> Callable[[], object]:
    """OpenDP's frame API. `truncate_num_groups` cannot be released on this request, so rows of a person are bounded."""
    import opendp.prelude as dp
    import polars as pl

    dp.enable_features("contrib")
    declared = pl.LazyFrame({"key": keys})

    def run() -> object:
        unit = dp.unit_of(contributions=1, identifier="person") if bounded else dp.unit_of(contributions=1)
        query = dp.Context.compositor(
            data=pl.scan_parquet(path),
            privacy_unit=unit,
            privacy_loss=dp.loss_of(rho=RHO),
            split_evenly_over=1,
            margins=[dp.polars.Margin(by=[], max_length=10**8)],
        ).query()
        if bounded:
            query = query.truncate_per_group(limit)
        total = pl.col("v").cast(int).fill_null(0).dp.sum((LOW, HIGH))
        return query.group_by("key").agg(total).with_keys(declared).release().collect()

    return run


def diffprivlib(path: str, keys: list[str], limit: int) -> Callable[[], object]:
    """A sum a key after pandas' group-by; nothing bounds a person."""
    del limit
    import pandas as pd
    from diffprivlib import tools

    rows = pd.read_parquet(path)

    def run() -> object:
        groups = dict(iter(rows.groupby("key")["v"]))
        empty = rows["v"][:0]
        return [tools.sum(groups.get(key, empty), epsilon=EPSILON, bounds=(LOW, HIGH)) for key in keys]

    return run


def python_dp(path: str, keys: list[str], limit: int) -> Callable[[], object]:
    """A BoundedSum a key; nothing bounds a person over keys. The rows come as lists, by key."""
    del limit
    import pyarrow.parquet as pq
    from pydp.algorithms.laplacian import BoundedSum

    table = pq.read_table(path, columns=["key", "v"])
    rows = list(zip(table.column("key").to_pylist(), table.column("v").to_pylist(), strict=True))

    def run() -> object:
        groups: dict[str, list[int]] = {key: [] for key in keys}
        for key, v in rows:
            groups[key].append(v)
        make = lambda: BoundedSum(epsilon=EPSILON, lower_bound=LOW, upper_bound=HIGH, dtype="int")  # noqa: E731
        return [make().quick_result(groups[key]) for key in keys]

    return run


def pipeline_dp(path: str, keys: list[str], limit: int) -> Callable[[], object]:
    """PipelineDP on its local backend, which bounds keys of a person as Passbox does."""
    import pipeline_dp as pdp
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    rows = list(zip(*(table.column(name).to_pylist() for name in ("person", "key", "v")), strict=True))

    def run() -> object:
        budget = pdp.NaiveBudgetAccountant(total_epsilon=EPSILON, total_delta=DELTA)
        engine = pdp.DPEngine(budget, pdp.LocalBackend())
        params = pdp.AggregateParams(
            metrics=[pdp.Metrics.SUM],
            noise_kind=pdp.NoiseKind.GAUSSIAN,
            max_partitions_contributed=limit,
            max_contributions_per_partition=4,
            min_value=LOW,
            max_value=HIGH,
        )
        extract = pdp.DataExtractors(
            privacy_id_extractor=lambda row: row[0],
            partition_extractor=lambda row: row[1],
            value_extractor=lambda row: row[2],
        )
        result = engine.aggregate(rows, params, extract, public_partitions=keys)
        budget.compute_budgets()
        return list(result)

    return run


def smartnoise_sql(path: str, keys: list[str], limit: int) -> Callable[[], object]:
    """SmartNoise SQL over pandas, which bounds keys of a person by sampling; keys come from the data."""
    del keys
    import pandas as pd
    import snsql

    rows = pd.read_parquet(path)
    columns: dict[str, Any] = {
        "person": {"type": "int", "private_id": True},
        "key": {"type": "string"},
        "v": {"type": "int", "lower": LOW, "upper": HIGH},
    }
    table = {"max_ids": limit, "censor_dims": False, "rows": len(rows), **columns}
    metadata = {"": {"s": {"rows": table}}}

    def run() -> object:
        reader = snsql.from_df(rows, privacy=snsql.Privacy(epsilon=EPSILON, delta=DELTA), metadata=metadata)
        return reader.execute("SELECT key, SUM(v) AS total FROM s.rows GROUP BY key")

    return run


PEERS: dict[str, Callable[[str, list[str], int], Callable[[], object]]] = {
    "opendp": opendp,
    "opendp-bounded": lambda path, keys, limit: opendp(path, keys, limit, bounded=True),
    "diffprivlib": diffprivlib,
    "python-dp": python_dp,
    "pipeline-dp": pipeline_dp,
    "smartnoise-sql": smartnoise_sql,
}


def main(name: str, path: str, keys: int, limit: int) -> None:
    run, best = PEERS[name](path, [f"key{at:06d}" for at in range(keys)], limit), float("inf")
    for _ in range(2):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    print(json.dumps({"cpu": best}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

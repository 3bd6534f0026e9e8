"""PostgreSQL as a peer of the ledger, on the same disk in the same run.

    pip install pgserver "psycopg[binary]"      # PostgreSQL 16 in a wheel; not needed by Passbox or its tests
    python benchmarks/postgres.py [--seconds 2]

What PostgreSQL does for one spend is the money alone: lock the account's row, look at the cap, and commit the charge,
the entry (as long as ours) and the sealed bytes. It draws no noise, keeps no tree and signs nothing, so its figure is
what a ledger behind it could reach at best. Ours does all of it. Both are ratios to this disk's fdatasyncs a second;
ledger, PostgreSQL and disk take turns. `synchronous_commit`, `fsync` and `wal_sync_method` are as PostgreSQL comes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import tempfile
from pathlib import Path

import pgserver
import psycopg
from ledger import PROCESSES, ROUNDS, Race, spend_rates, spread, sync_rate

SCHEMA = """
create table account(id text primary key, cap bigint not null, spent bigint not null check(spent <= cap));
create table entry(seq bigserial primary key, leaf bytea not null);
create table release(key text primary key, seq bigint not null, body bytea not null);
create table charge(key text not null, account text not null, rho bigint not null, primary key(key, account));
insert into account values('advertiser/record', 100000000000000000, 0);
"""
ACCOUNT, LEAF, BODY, RHO = "advertiser/record", bytes(1100), bytes(68), 1000


def spend(database: psycopg.Connection, key: str) -> None:
    with database.transaction():
        row = database.execute("select cap, spent from account where id = %s for update", (ACCOUNT,)).fetchone()
        if row is None or row[1] + RHO > row[0]:
            raise ValueError("the account does not hold it")
        seq = database.execute("insert into entry(leaf) values(%s) returning seq", (LEAF,)).fetchone()
        assert seq
        database.execute("insert into release values(%s, %s, %s)", (key, seq[0], BODY))
        database.execute("insert into charge values(%s, %s, %s)", (key, ACCOUNT, RHO))
        database.execute("update account set spent = spent + %s where id = %s", (RHO, ACCOUNT))


def spender(uri: str, number: int, race: Race) -> None:
    """As the ledger's spender in `ledger.py`: open and spend once, then spend in each round."""
    with psycopg.connect(uri, autocommit=True) as database:
        spend(database, f"{race.processes}-{number}-first")
        for turn in range(ROUNDS):
            race.counts[number] = race.count(lambda at: spend(database, f"{race.processes}-{number}-{turn}-{at}"))  # noqa: B023
            race.barrier.wait()


def postgres_rates(folder: Path, uri: str, processes: int, seconds: float) -> list[tuple[float, float]]:
    """Round for round, what the disk syncs a second and what PostgreSQL commits."""
    race = Race.of(processes, seconds)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=spender, args=(uri, number, race)) for number in range(processes)]
    return race.run(workers, lambda: sync_rate(folder, seconds / 2))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=2.0, help="that a round takes")
    seconds = options.parse_args().seconds
    home = Path(tempfile.mkdtemp(prefix="passbox-bench-", dir=Path.cwd()))
    server = pgserver.get_server(home / "postgres", cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as database:
            database.execute(SCHEMA)
        for processes in PROCESSES:
            folder = home / str(processes)
            folder.mkdir()
            ours = [spends / syncs for syncs, spends in spend_rates(folder, processes, seconds)]
            theirs = [spends / syncs for syncs, spends in postgres_rates(folder, server.get_uri(), processes, seconds)]
            print(
                f"{processes:2} processes, ratio to fdatasync: ledger {spread(ours, 2)}; PostgreSQL {spread(theirs, 2)}"
            )
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()

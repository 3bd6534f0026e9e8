"""Mutated bytes for everything that reads a party's values: python tests/fuzz/parsers.py [--inputs 1000000] [--seed 0]

Each input is made of the seeds below by cutting, repeating, flipping and joining, and goes to one of: a scheme's rule
and its trace (any scheme and kind), the reader of hashes, a whole column (compiled and plain, which must agree), the
reader of scheme files, the reader of CSV and Parquet files with what reads identifiers from its columns. One Parquet
file in twenty is first read in a process of its own, as `prepare` has it; the others are looked at in this one, which
is quicker. What may come back is a value, a reason, or an error class that the command line has words for. Anything
else is printed with its input, and the run fails.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq

from passbox.cleanroom import probe, source
from passbox.cleanroom.source import BadSource, header, read_pieces, read_source
from passbox.matching import fast
from passbox.matching.encodings import MixedEncodings
from passbox.matching.identifiers import NotText, Reject, RejectCode, digest_of, digests, normalise
from passbox.matching.schemes import BadScheme, known, load, parse
from passbox.matching.schemes.setting import Setting
from passbox.matching.trace import outcome, trace

SEEDS = [
    b"Jane.Doe+x@GoogleMail.com",
    b" a@b.c\t",
    "jörg@münchen.example".encode(),
    "a@gmаil.com".encode(),
    b"@",
    b"",
    b"\0",
    b"+1 (415) 555-2671",
    b"0049 (0)151 1234-5678",
    b"1-800-FLOWERS",
    "٠١٢٣٤٥٦".encode(),
    "＋１４１５".encode(),
    b"+999",
    b"911",
    b"6D92078A-8246-4BA4-AE5B-76104861E7DC",
    b"00000000-0000-0000-0000-000000000000",
    b"7XCBNROQJQPYW",
    b"af3802a465767e36",
    b"203.0.113.7 2026-11-29T10:03:00Z",
    b"::ffff:1.2.3.4,1764412983",
    b"2606:4700::6810:84e5%eth0@2026-11-29T10:03+02:00",
    b"1.2.3.4 9999-12-31T23:59:59-23:59",
    b"ab" * 32,
    b"AB" * 32,
    b"eaYSPC2zsRDJLyhy0hdUXfxf9RR7vdR+Z+cvIjdHpTg=",
    b"null",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    "\u202ea\u200b@b.c\u2028".encode(),
    b"x" * 400,
    b"9" * 5000,
    b"\r\n",
    b'a,b\n"',
    b"'\"",
]
BY_KIND = {
    "email": SEEDS[:4],
    "phone": SEEDS[7:14],
    "ip": SEEDS[18:22],
    "ctv": SEEDS[14:17],
    "android-id": SEEDS[17:18],
    **dict.fromkeys(("idfa", "gaid", "maid"), SEEDS[14:16]),
}
SCHEME = b'name = "new@1"\nsource = "s"\n[phone]\nencoding = "hex"\nsteps = [{ do = "e164", digits = [7, 15] }]\n'
CSV = b'email,phone\nJane@b.c,"+1 415, 555"\n"a ""b""@c.d",\n'
REGIONS = (None, "US", "DE", "SG", "AU", "IT", "AR", "ZZ")
RULES = [(name, kind) for name in known() for kind in load(name).rules]


class Fuzzer:
    """Makes inputs and hands them out. Counts what came back."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random, self.folder = random.Random(seed), folder
        self.seen: Counter[str] = Counter()
        self.parquet = [self._parquet(table) for table in tables()]
        self.picked = RULES[0]

    def _parquet(self, table: pa.Table) -> bytes:
        path = self.folder / "seed.parquet"
        pq.write_table(table, path, compression=self.random.choice(("none", "snappy", "zstd")))
        return path.read_bytes()

    def run(self, inputs: int) -> list[str]:
        """Faults, each with its input."""
        faults: list[str] = []
        for at in range(inputs):
            target = self._target(at)
            data = self._input(target)
            try:
                self.seen[target.__name__ + ": " + target(data)] += 1
            except Exception:  # noqa: BLE001 - what is looked for
                faults.append(f"{target.__name__} {data!r}\n{traceback.format_exc()}")
                if len(faults) > 20:
                    break
        return faults

    def _target(self, at: int) -> Callable[[bytes], str]:
        if at % 100 == 0:
            return self.parquet_file
        if at % 100 == 50:
            return self.csv_file
        if at % 200 == 25:
            return self.column
        if at % 50 == 10:
            return self.scheme_file
        return self.rule if at % 4 else self.hash

    def _input(self, target: Callable[[bytes], str]) -> bytes:
        parquet = self.random.choice(self.parquet)
        whole = {"parquet_file": parquet, "csv_file": CSV, "scheme_file": SCHEME}.get(target.__name__)
        data = whole if whole is not None else self.random.choice(SEEDS)
        if target == self.rule:
            self.picked = self.random.choice(RULES)
            data = self.random.choice(BY_KIND.get(self.picked[1], SEEDS)) if self.random.randrange(3) else data
        for _ in range(self.random.randrange(5)):
            data = self._mutated(data)
        return data

    def _mutated(self, data: bytes) -> bytes:
        pick, at = self.random.randrange(6), self.random.randrange(len(data) + 1)
        to = min(len(data), at + self.random.randrange(1, 9))
        if pick == 0:
            return data[:at] + bytes([self.random.randrange(256)]) + data[at:]
        if pick == 1:
            return data[:at] + data[to:]
        if pick == 2:
            return data[:at] + self.random.choice(SEEDS) + data[at:]
        if pick == 3:
            return data[:at] + data[at:to] * self.random.randrange(1, 5) + data[to:]
        if pick == 4:
            return data[:at] + bytes(b ^ (1 << self.random.randrange(8)) for b in data[at:to]) + data[to:]
        return data[:at] + chr(self.random.choice((0xA0, 0x200B, 0x1F60A, 0x430, 0x0, 0x2028))).encode() + data[at:]

    # -- targets -------------------------------------------------------------------------------------------------------

    def _setting(self) -> Setting:
        return Setting(self.random.choice(REGIONS), self.random.choice((1, 6, 24, 744)))

    def rule(self, data: bytes) -> str:
        text = data.decode("utf-8", self.random.choice(("replace", "surrogateescape", "ignore")))
        scheme, kind = self.picked
        setting = self._setting()
        result = normalise(scheme, kind, text, setting)
        if self.random.randrange(8) == 0:
            steps, found = trace(scheme, kind, text, setting), outcome(scheme, kind, text, setting)
            told = found.rejected if isinstance(result, Reject) else found.normalised
            assert told == (result.code if isinstance(result, Reject) else result)
            assert steps
        if isinstance(result, Reject):
            return f"{kind}: {result.code}"
        result.encode()
        return f"{kind}: accepted"

    def hash(self, data: bytes) -> str:
        result = digest_of(data.decode("latin-1"))
        return str(result.code) if isinstance(result, Reject) else "read"

    def column(self, data: bytes) -> str:
        raw = pa.array([data, None, *(self._mutated(data) for _ in range(8))], pa.binary())
        values = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers(), null_count=1)
        scheme = self.random.choice([name for name, kind in RULES if kind == "email"])
        with contextlib.suppress(MixedEncodings):
            digests(values, scheme, "email", "sha256")
        kept = fast.WORTH_IT
        found = []
        for size in (0, kept):
            fast.WORTH_IT = size
            found.append(digests(values, scheme, "email", "raw"))
        fast.WORTH_IT = kept
        one, two = found
        assert one.values.tobytes() == two.values.tobytes()
        assert (dict(one.rejects), dict(one.suspects)) == (dict(two.rejects), dict(two.suspects))
        assert set(one.rejects) <= set(RejectCode)
        return "read"

    def scheme_file(self, data: bytes) -> str:
        try:
            parse("new-1.toml", data.decode("utf-8", "replace"))
        except BadScheme as error:
            return error.rule
        return "read"

    def csv_file(self, data: bytes) -> str:
        return self._file(data, "fuzz.csv")

    def parquet_file(self, data: bytes) -> str:
        if self.random.randrange(20) == 0:
            return self._file(data, "fuzz.parquet")
        with mock.patch.object(source, "unpacks", unpacks_here):
            return self._file(data, "fuzz.parquet")

    def _file(self, data: bytes, name: str) -> str:
        path = self.folder / name
        path.write_bytes(data)
        try:
            whole = read_source(path)
        except BadSource:
            whole = None
        try:
            pieces = pa.concat_tables(read_pieces(path, header(path)))
        except BadSource:
            pieces = None
        if (whole is None) != (pieces is None) or not (whole is None or whole.equals(pieces)):
            raise AssertionError("a file read in pieces is another one")
        if whole is None:
            return "refused"
        for column, arrives in product(whole.columns, ("raw", "sha256")):
            with contextlib.suppress(NotText, MixedEncodings):
                digests(column, "uid2@1", "email", arrives)
        return "read"


def unpacks_here(path: Path, columns: Sequence[str]) -> bool:
    """What `probe.unpacks` answers, without its process."""
    try:
        return probe.fits(path, columns, path.stat().st_size)
    except Exception:  # noqa: BLE001 - it ends the other process
        return False


def tables() -> list[pa.Table]:
    """Every layout in which a file may hold text: plain, kept once, in views, inside of others."""
    emails = pa.array(["a@b.c", "jörg@b.de", None, ""] * 12)
    kept = emails.dictionary_encode()
    rows = pa.array(range(len(emails) + 1), pa.int32())
    return [
        pa.table({"email": emails, "n": list(range(len(emails)))}),
        pa.table({"email": kept, "n": pa.array([1.5] * len(emails)).dictionary_encode()}),
        pa.table({"email": emails.cast(pa.string_view()), "hash": emails.cast(pa.large_string())}),
        pa.table({"email": pa.ListArray.from_arrays(rows, kept), "ids": pa.ListArray.from_arrays(rows, emails)}),
        pa.table({"email": pa.StructArray.from_arrays([kept, emails], ["a", "b"])}),
        pa.table({"email": pa.MapArray.from_arrays(rows, pa.array(["k"] * len(emails)), kept)}),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(asked.seed, Path(folder))
        faults = fuzzer.run(asked.inputs)
    for what, count in sorted(fuzzer.seen.items()):
        print(f"{count:>9,}  {what}")
    print(f"{sum(fuzzer.seen.values()):,} inputs, {len(faults)} faults")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

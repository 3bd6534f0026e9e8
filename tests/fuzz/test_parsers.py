"""The short form of `make fuzz`: mutated bytes give values, reasons or errors with words, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from parsers import Fuzzer


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_bytes_never_end_in_a_fault(seed: int, tmp_path: Path) -> None:
    fuzzer = Fuzzer(seed, tmp_path)
    assert fuzzer.run(15_000) == []
    kinds = {what.partition(":")[0] for what in fuzzer.seen}
    assert kinds == {"rule", "hash", "column", "scheme_file", "csv_file", "parquet_file"}
    assert sum("accepted" in what for what in fuzzer.seen) >= 5


def test_a_planted_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(self: Fuzzer, data: bytes) -> str:
        return data.decode()

    monkeypatch.setattr(Fuzzer, "hash", planted)
    assert Fuzzer(1, tmp_path).run(2_000)

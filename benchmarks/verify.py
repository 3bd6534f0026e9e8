"""CPU time of three verifiers for a long log: python benchmarks/verify.py [ENTRIES]

The two scripts read a whole and honest log of releases, each a draw of its own for a job of its own. The signed jobs
and manifests are left out of it, so that what is measured is entries. `passbox ledger verify` checks their signatures
for every entry, and makes the entry anew: it is measured on a hundredth of the entries, with the files. Figures are CPU
seconds of the process, its start and the openssl it starts.
"""

from __future__ import annotations

import hashlib
import math
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/vectors/ledger"))

from pen import Files, Pen  # noqa: E402

from passbox.dp.canonical import canonical, digest  # noqa: E402

PAGE, NODE = ROOT / "cleanroom/verifier/verify_ledger.py", ROOT / "docs/verify_ledger.mjs"


def written(entries: int, folder: Path) -> Pen:
    """An export with so many entries, or a few more, and without the files they name."""
    pen, each = Pen(epsilon=60.0), math.isqrt(entries - 1) + 1
    requests = [pen.request("overlap", epsilon=round(0.01 + step / 100_000, 5)) for step in range(each)]
    bought = [pen.purchases(request)[0] for request in requests]
    cost = [pen.release(purchase)["charges"][0]["rho"] for purchase in bought]
    drawn, pen.entries = pen.entries[2:], pen.entries[:2]
    leaves, spent = pen.leaves(), 0
    for step in range(each):
        manifest = hashlib.sha256(f"manifest {step}".encode()).hexdigest()
        for purchase, rho, entry in zip(bought, cost, drawn, strict=True):
            datasets = {**purchase.specification.datasets, "buyers": manifest}
            spec = replace(purchase.specification, datasets=datasets).as_json()
            job = hashlib.sha256(f"job {len(leaves)}".encode()).hexdigest()
            charges = [{**entry["charges"][0], "before": spent}]
            changed = {"seq": len(leaves), "job": job, "specification": spec, "key": digest(spec), "charges": charges}
            leaves.append(canonical({**entry, **changed}))
            spent += rho
    pen.requests, pen.manifests = {}, {}
    write(pen, pen.export(leaves), folder)
    print(f"{len(leaves):,} entries, {sum(map(len, leaves)) / 2**20:.0f} MiB")
    return pen


def signed(entries: int, folder: Path) -> None:
    """An export with so many entries, and every file they name."""
    pen = Pen(epsilon=60.0)
    for step in range(entries - 2):
        pen.run("overlap", epsilon=round(0.01 + step / 100_000, 5))
    write(pen, pen.export(), folder)


def write(pen: Pen, export: Files, folder: Path) -> None:
    files = {**pen.contract_files(), **{f"export/{name}": data for name, data in export.items()}}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def cpu_of(*command: object) -> tuple[str, float]:
    """What it says first, and the CPU seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = (done.stdout.splitlines() or [done.stderr])[0]
    return said, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    few = max(10, entries // 100)
    with tempfile.TemporaryDirectory() as long, tempfile.TemporaryDirectory() as short:
        pen = written(entries, Path(long))
        signed(few, Path(short))
        per_entry: dict[str, float] = {}
        for who, count, command in (
            ("page", entries, (sys.executable, PAGE, Path(long, "export"), Path(long, "contract.toml"))),
            ("node", entries, ("node", NODE, Path(long, "export"), pen.room.vkey)),
            ("product", few, (sys.executable, "-c", AUDIT, Path(short, "export"), Path(short, "contract.toml"))),
        ):
            if not shutil.which(str(command[0])):
                print(f"{who}: {command[0]} is not on this machine")
                continue
            said, seconds = cpu_of(*command)
            per_entry[who] = seconds / count
            ratio = per_entry[who] / per_entry["page"]
            figures = f"{count:,} entries in {seconds:.2f} CPU seconds"
            print(f"{who}: {said}, {figures}, {ratio:.2f} of the page's time an entry")


AUDIT = """
import sys
from pathlib import Path
from passbox.cleanroom.audit import verify_log
from passbox.cleanroom.log import read_log
from passbox.policies.agreement import read_agreement
verify_log(read_log(Path(sys.argv[1])), read_agreement(Path(sys.argv[2])))
print("OK")
"""


if __name__ == "__main__":
    main()

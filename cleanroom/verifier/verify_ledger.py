"""Verify a copy of a Passbox ledger without Passbox: python3 verify_ledger.py EXPORT CONTRACT [SEEN_CHECKPOINT ...]
CONTRACT is your own. Left to `passbox ledger verify`: other signatures, logs in before/, window, what jobs ask for."""

import base64, hashlib, json, math, subprocess, sys, tempfile, tomllib
from pathlib import Path

OPENSSL = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in message -sigfile signature"
L2 = {"seed-moments@1 2^-20": 1_124_250_513_572, "matched-count@1 2^-10": 2**20, "score-histogram@1 2^-10": 2**20}
PARTS = """cap account delta epsilon owner rho unit, carry charges from statement, closed next, denial asker clause job
purpose recipients, release asker beside charges commitment covered job key library purpose recipients specification"""
KINDS = {each.split()[0]: {*each.split()[1:], "contract", "kind", "seq", "time", "v"} for each in PARTS.split(",")}
decode, place = json.JSONDecoder(parse_float=str, parse_constant=str).decode, ["log"]
canonical, sha256 = json.JSONEncoder(check_circular=False, sort_keys=True, separators=(",", ":")).encode, hashlib.sha256


def require(holds: object, rule: str) -> None:
    if not holds:
        raise ValueError(rule)


def head(path: Path, vkey: str, hashes: list[bytes]) -> int:  # its size; signed with this key, over these hashes
    (name, key_id, key), (text, _, by) = vkey.split("+", 2), path.read_bytes().decode().rpartition("\n\n")
    raws = [base64.b64decode(line.rpartition(" ")[2]) for line in by.split("\n")]
    ours = {raw[4:] for raw in raws if raw[:4].hex() == key_id and f"— {name} {base64.b64encode(raw).decode()}\n" in by}
    der, (origin, size, root) = bytes.fromhex("302a300506032b6570032100") + base64.b64decode(key)[1:], text.split("\n")
    with tempfile.TemporaryDirectory() as folder:
        for file, data in (("key", der), ("message", f"{text}\n".encode()), ("signature", b"".join(ours))):
            Path(folder, file).write_bytes(data)
        failed = subprocess.run(OPENSSL.split(), cwd=folder, capture_output=True, check=False).returncode
    require(not failed and origin == name, f"{path.name} is not signed by the contract's room")
    row = hashes[: int(size)]
    require(int(size) == len(row) > 0, f"rolled back: {path.name} counts {size} entries, {len(row)} are here")
    while len(row) > 1:
        row = [sha256(b"\1" + a + b).digest() for a, b in zip(row[::2], row[1::2], strict=False)] + row[len(row) & ~1 :]
    require(base64.b64encode(row[0]).decode() == root, f"changed or forked: {path.name} was signed over other entries")
    return int(size)


def keeps(rho: int, epsilon: float, delta: float, **_: float) -> bool:  # ρ = μ²/2 in 10^-12, by the exact curve
    mu = math.sqrt(2 * (rho / 10**12))
    near, far = (math.erfc((epsilon / mu + half) / math.sqrt(2)) / 2 for half in (-mu / 2, mu / 2))
    return near - math.exp(epsilon) * far + 1e-13 * (near + math.exp(epsilon) * far) <= delta * (1 - 1e-9)


def verify(export: Path, contract: Path, *seen: Path) -> None:
    terms, digest = tomllib.loads(contract.read_bytes().decode()), sha256(contract.read_bytes()).hexdigest()
    owner = {name: held["owner"] for name, held in terms["dataset"].items()}
    log = b"".join(path.read_bytes() for path in sorted(export.glob("tile/entries/**/[0-9]*")) if path.is_file())
    rule, most = terms["match"]["rule"], 1 if terms["match"]["rule"] == "own-best" else len(terms["match"]["keys"])
    caps, spent, paid, first, covers, entries, end, hour, kind = {}, {}, {}, {}, {}, [], 0, "", ""
    while end < len(log):
        entries.append(log[end + 2 : (end := end + 2 + int.from_bytes(log[end : end + 2]))])
    for path in (*export.glob("requests/*.toml"), *export.glob("manifests/*.json")):
        require(sha256(path.read_bytes()).hexdigest() == path.stem, "a job or manifest was changed")
    hashes, older = [sha256(b"\0" + entry).digest() for entry in entries], terms.get("continues", [])
    vkey, host = terms["room"]["checkpoint"], {terms["room"]["operator"]} & {*owner.values()}
    size, *_ = [head(path, vkey, hashes) for path in (export / "checkpoint", *seen, *export.glob("witnesses/[!.]*"))]
    for at, text in enumerate(entry.decode("latin-1") for entry in entries):
        place[0] = f"entry {at}"
        entry, above = decode(text), "~" if kind == "closed" else hour
        kind, hour, key, account = entry["kind"], entry["time"], entry.get("key", at), entry.get("account")
        stands = f"{entry['v']} {entry['seq']} {entry['contract']}" == f"1 {at} {digest}" and above <= hour
        require(stands and at < size and canonical(entry) == text, "it does not stand here, or is not canonical JSON")
        require(entry.keys() == KINDS.get(kind), "its kind is not known, or has other parts")
        if kind == "cap":
            budgets = [rule["budget"] for rule in terms["dataset"].values() if f"{rule['owner']}/record" == account]
            fits = [all(keeps(each, **budget) for budget in budgets) for each in (entry["rho"], entry["rho"] + 1)]
            require(fits == [True, False] and account not in caps, "the contract gives another cap, or gave it before")
            caps[account], spent[account] = entry["rho"], 0
        if kind == "carry":
            came, then, loss = entry["from"]["contract"], entry["from"]["size"], entry["statement"]
            require(came in ([digest] if loss else older) and (not loss or then == at), "it carries what nobody named")
        for account, before, rho in [(it["account"], it["before"], it["rho"]) for it in entry.get("charges", [])]:
            require((key, account) not in paid, "an account is charged twice")
            require(f"{before}" == f"{spent[account]}", "the running balance is broken")
            paid[key, account], spent[account] = rho, spent[account] + rho
            require(rho > 0 and spent[account] <= caps[account], "the account is overspent")
        if kind == "release":
            spec, beside, readers = entry["specification"], entry["beside"], entry["recipients"]
            l2, scale, worded = spec["l2_squared"], spec["scale"] * (spec["scale_unit"] == "1/1048576"), "query" in spec
            require(sha256(canonical(spec).encode()).hexdigest() == key, "its key is not that of its specification")
            draw = entry["commitment"], spec["part"], f"{spec['datasets']} {readers}"
            require(first.setdefault(key, draw)[0] == draw[0], "the same statistic was drawn twice")
            good = f"{spec['mechanism']} {spec['rule']} {spec['unit']}" == f"discrete-gaussian {rule} record"
            one = L2.get(f"{spec['statistic'].replace('by-tier', 'count')} {spec['lattice']}", max(1, l2) * worded)
            good &= l2 in (one, one * 2, one * most**2, one * 2 * most**2) and scale > 2**21
            require(good and len(spec) == 14 + worded and (worded or len(spec["datasets"]) == 2), "its noise is none")
            cost = -(-l2 * 2**40 * 10**12 // (2 * (scale**2 - 2**42)))
            due = [(beside or key, f"{owner[it]}/record") for it in spec["datasets"] if {*readers, *host} - {owner[it]}]
            require(due and all(paid.get(each, 0) >= cost for each in due), "it is not paid for by all who must")
            fit = not beside or ({first[beside][1], spec["part"]}, first[beside][2]) == ({"train", "held-out"}, draw[2])
            require(fit and covers.setdefault(beside or at, at) == at, "its cover does not fit")
    require(len(caps) == len({*owner.values()}), "an owner has no cap")
    print("OK", *(f"{name} {spent[name]} of {cap} ({spent[name] / cap:.1%})" for name, cap in caps.items()), sep="\n")


if __name__ == "__main__":
    sys.excepthook = lambda kind, what, _: print(f"FAIL {place[0]}: {what if kind is ValueError else repr(what)[:90]}")
    verify(*map(Path, sys.argv[1:]))

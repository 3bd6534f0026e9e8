"""Verify a Passbox ledger without Passbox: verify_ledger.py EXPORT YOUR_CONTRACT [SEEN ...] (see docs/ledger.md)."""

import base64, hashlib, json, math, pathlib, subprocess, sys, tempfile, tomllib

OPENSSL = "openssl pkeyutl -verify -pubin -keyform DER -inkey k -rawin -in m -sigfile s"
NOISE, _, FIT = """10 15 -2097152 answer-counts@1,20 15 -1198467170960 attribute-moments@1,0 15 -119304647 table@1,10 14
1048576 matched-count@1 score-histogram@1 score-strata@1,20 14 1198467170960 seed-moments@5,0 14 1 responses@1,10 15
1048576 seed-groups@1,10 15 2097152 person-scores@1,10 14 -1048576 matched-by-tier@1,0 16 -119304647 keys@1,20 15
-29961829587600 person-fit@2;seed-moments@5 score-,person-fit@2 person-s,attribute-moments@1 an""".partition(";")
MADE, PAIRS = (("discrete-gaussian", "1/1048576"), ("randomised-response", "1/4503599627370496")), (*FIT.split(","),)
L2 = {(s, *MADE[n == "1"], f"2^-{a}", int(w)): int(n) for a, w, n, *by in map(str.split, NOISE.split(",")) for s in by}
PARTS = """cap account delta epsilon owner rho unit, carry charges from statement, closed next, denial asker clause job
purpose recipients, release asker beside charges commitment covered job key library purpose recipients specification"""
KINDS = {each.split()[0]: {*each.split()[1:], "contract", "kind", "seq", "time", "v"} for each in PARTS.split(",")}
STATES = {"open 001", "open 101", "outcome 101", "release 000", "release 010", "release 111"}
decode, place, OWN = json.JSONDecoder(parse_float=str, parse_constant=str).decode, ["log"], (ValueError, OSError)
canonical, sha256 = json.JSONEncoder(check_circular=False, sort_keys=True, separators=(",", ":")).encode, hashlib.sha256


def require(holds: object, rule: str) -> None:
    if not holds:
        raise ValueError(rule)


def head(path: pathlib.Path, vkey: str, hashes: list[bytes]) -> int:  # its size; signed with this key, over these
    (name, key_id, key), (text, _, by) = vkey.split("+", 2), path.read_bytes().decode().rpartition("\n\n")
    raws = [base64.b64decode(line.rpartition(" ")[2]) for line in by.split("\n")]
    own = {raw[4:] for raw in raws if raw[:4].hex() == key_id and f"— {name} {base64.b64encode(raw).decode()}\n" in by}
    der, (at, size, root) = bytes.fromhex("302a300506032b6570032100") + base64.b64decode(key)[1:], text.split("\n")
    with tempfile.TemporaryDirectory() as to:
        [pathlib.Path(to, n).write_bytes(x) for n, x in (("k", der), ("m", f"{text}\n".encode()), ("s", b"".join(own)))]
        no = subprocess.run(OPENSSL.split(), cwd=to, capture_output=True, check=False).returncode
    require(not no and at == name and [row := hashes[: int(size)]], f"{path.name} is not signed by the contract's room")
    require(int(size) == len(row) > 0, f"rolled back: {path.name} counts {size} entries, {len(row)} are here")
    while len(row) > 1:
        row = [sha256(b"\1" + a + b).digest() for a, b in zip(row[::2], row[1::2], strict=False)] + row[len(row) & ~1 :]
    require(base64.b64encode(row[0]).decode() == root, f"changed or forked: {path.name} was signed over other entries")
    return int(size)


def keeps(account: str, rho: int, epsilon: float, delta: float, **kept: float) -> bool:  # ρ = μ²/2 in 10^-12, by the
    picks, labels = kept.get("selection", 0), kept.get("responses", 0)  # exact curve; or δ for keys, ε for labels
    mu, e, most = math.sqrt(2 * (rho / 10**12)), epsilon - labels, (picks * 1e18, labels * 1e12)["/resp" in account]
    near, far = (math.exp(x) * math.erfc((e / mu + h) / math.sqrt(2)) / 2 for x, h in ((0, -mu / 2), (e, mu / 2)))
    return near - far + 1e-13 * (near + far) <= (delta - picks) * (1 - 1e-9) if "/rec" in account else rho < most + 0.5


def verify(export: pathlib.Path, contract: pathlib.Path, *seen: pathlib.Path) -> None:
    terms, digest = tomllib.loads(contract.read_bytes().decode()), sha256(contract.read_bytes()).hexdigest()
    of, owner = terms["match"], {name: held["owner"] for name, held in terms["dataset"].items()}
    log = b"".join(path.read_bytes() for path in sorted(export.glob("tile/entries/**/[0-9]*")) if path.is_file())
    caps, spent, paid, drew, met, covers, to, hour, kind = {}, {}, {}, {}, {}, {}, 0, "", ""
    rows = [log[to + 2 : (to := to + 2 + int.from_bytes(log[to : to + 2]))] for _ in iter(lambda: to < len(log), 0)]
    for path in (*export.glob("requests/*.toml"), *export.glob("manifests/*.json")):
        require(sha256(path.read_bytes()).hexdigest() == path.stem, "a job or manifest was changed")
    hashes, older = [sha256(b"\0" + entry).digest() for entry in rows], terms.get("continues", [])
    vkey, host, k = terms["room"]["checkpoint"], {terms["room"]["operator"]} & {*owner.values()}, len(of["keys"]) ** 2
    size, *_ = [head(path, vkey, hashes) for path in (export / "checkpoint", *seen, *export.glob("witnesses/[!.]*"))]
    for at, place[0], text in ((at, f"entry {at}", leaf.decode("latin-1")) for at, leaf in enumerate(rows)):
        entry, above, size = decode(text), hour, 0 if kind == "closed" else size
        kind, hour, key, spec = entry["kind"], entry["time"], entry.get("key", at), entry.get("specification", {})
        ok = "{v!r} {seq!r} {contract}".format(**entry) == f"1 {at} {digest}" and above <= hour[:13] + ":00Z" == hour
        require(ok and at < size and canonical(entry) == text, "it does not stand here, or is not canonical JSON")
        require({*entry} == KINDS.get("release" if kind > "e" else kind), "its kind is not known, or has other parts")
        if kind == "cap" and (account := entry["account"]):
            budgets = [rule["budget"] for rule in terms["dataset"].values() if rule["owner"] == account.split("/")[0]]
            fits = [all(keeps(account, each, **one) for one in budgets) for each in (entry["rho"], entry["rho"] + 1)]
            require(fits == [True, False] and account not in caps, "the contract gives another cap, or gave it before")
            caps[account], spent[account] = entry["rho"], 0
        if kind == "carry" and (by := entry["from"]["contract"], n := entry["from"]["size"]):
            require((by, n) == (digest, at) if entry["statement"] else by in older, "it carries what nobody named")
        for who, before, rho in [(it["account"], it["before"], it["rho"]) for it in entry.get("charges", [])]:
            require((key, who) not in paid, "an account is charged twice")
            require(f"{before!r}" == f"{spent[who]}", "the running balance is broken")
            paid[key, who], spent[who] = rho, spent[who] + rho
            require(rho > 0 and spent[who] <= caps[who], "the account is overspent")
        if "specification" in entry and [ahead := kind == "open", opens := spec["statistic"] == "person-fit@2"]:
            beside, read, worded, l2 = entry["beside"], entry["recipients"], "query" in spec, spec["l2_squared"]
            require(sha256(canonical(spec).encode()).hexdigest() == key, "its key is not that of its specification")
            what, part, same = drew.setdefault(key, (spec["statistic"], spec["part"], f"{spec['datasets']} {read}"))
            require(f"{kind} {(key, True) in met:d}{(key, False) in met:d}{opens:d}" in STATES, "its noise is not open")
            require(met.setdefault((key, ahead), to := entry["commitment"]) == to, "the same statistic was drawn twice")
            by, wide = (spec["rule"], spec["unit"], len(spec), worded or len(spec["datasets"])), spec["scale"]
            ok = by == (of["rule"], "record", 14 + worded + ((picks := spec.get("selection", 0)) > 0), worded or 2)
            one = L2.get((*map(spec.get, ("statistic", "mechanism", "scale_unit", "lattice")), len(spec)), math.inf)
            require(ok and wide > 2**21 and (l2 in (one, one * k) or l2 >= -one > 0), "its noise is none")
            cost = -(-l2 * 2**40 * 10**12 // (2 * (wide**2 - 2**42))), l2**0.5 * abs(math.log(2**52 / wide - 1)) * 1e12
            need, to = ((("record", "responses")[one == 1], cost[one == 1]), ("selection", picks)), beside or key
            due = [(f"{owner[it]}/{n}", c) for it in spec["datasets"] if {*read, *host} - {owner[it]} for n, c in need]
            require(due and all(paid.get((to, who), 0) >= c for who, c in due), "it is not paid for by all who must")
            ok = (*drew[to][1:], part) == ("train", same, "held-out") and f"{drew[to][0]} {what}".startswith(PAIRS)
            require((ok or not beside) and covers.setdefault(beside or at, at) == at, "its cover does not fit")
    require({*caps} >= {f"{name}/record" for name in owner.values()}, "an owner has no cap")
    print("OK", *(f"{name} {spent[name]} of {cap} ({spent[name] / cap:.1%})" for name, cap in caps.items()), sep="\n")


if __name__ == "__main__":
    sys.excepthook = lambda kind, why, _: print(f"FAIL {place[0]}: {why if issubclass(kind, OWN) else repr(why)[:90]}")
    verify(*map(pathlib.Path, sys.argv[1:])) if len(sys.argv) > 2 else sys.exit(__doc__)

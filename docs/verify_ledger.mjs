// A second verifier of a Passbox ledger, in another language: Node 20, no packages.
//
//     node verify_ledger.mjs EXPORT TERMS [SEEN_CHECKPOINT ...]
//
// TERMS is the room's verifier key as text, or a JSON file with what your contract says (docs/ledger.md):
//
//     {"vkey": "rooms.example/spring+...", "contract": "<SHA-256>", "operator": "host",
//      "caps": {"publisher/record": 209774829261, "publisher/selection": 1000000000}, "owners": {"visitors": "publisher"},
//      "parties": {"publisher": "ssh-ed25519 AAAA..."}, "witnesses": ["officer"], "need": 1, "ahead": "0.25",
//      "continues": ["<SHA-256>"], "before": {"<SHA-256>": {what that earlier contract says}},
//      "rule": "any", "keys": 2, "delta": {"visitors": 1e-08}, "purpose": "find more people like the buyers",
//      "expires": "2027-03-31"}
//
// All but vkey may be left out; what is left out is not checked, and caps are then those the log states. "witnesses": []
// is a contract that names none; without "rule" and "keys" people are matched on one key; "delta" is what is left of
// each data set's for noise.
// Prints OK and what was spent, or `FAIL entry N: rule` and exits 1. Of a job it reads the readers and the ε, and holds
// price and noise against that, and of a statement of loss all; what a job may ask, and how it is worded, is left to
// `passbox ledger verify`.

import crypto, { createPublicKey, verify as verifyEd25519 } from "node:crypto";
import { existsSync, readFileSync, readdirSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

// What an entry looks like, letter for letter: one spelling, names in order, whole numbers, nothing else beside. Words in
// capitals stand for the forms above them. A kind that is not here fails.
const FORMS = expand({
  NAME: "[a-z][a-z0-9_-]{0,39}",
  HEX: "[0-9a-f]{64}",
  COUNT: "(?:0|[1-9][0-9]{0,15})",
  CLAUSE: "[a-z0-9_.-]{1,100}",
  TEXT: String.raw`(?:[ !#-\[\]-~]|\\["\\]|\\u(?!00[0-7])[0-9a-f]{4})*`,
  HOUR: String.raw`[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):00Z`,
  UNIT: "(?:record|selection|responses)",
  CHARGE: `{"account":"NAME/UNIT","before":COUNT,"dataset":"NAME","rho":COUNT}`,
  CARRIED: `{"account":"NAME/UNIT","before":COUNT,"rho":COUNT}`,
  HEAD: `{"contract":"HEX","root":"HEX","size":COUNT}`,
  COVERED: `{"account":"NAME/record","dataset":"NAME","rho":COUNT}`,
  READERS: `"purpose":"(?<purpose>TEXT)","recipients":(?<recipients>LIST<"NAME">)`,
  PLACE: `"seq":(?<seq>COUNT)`,
  TIME: `"time":"(?<time>HOUR)"`,
  cap:
    `{"account":"(?<account>NAME/UNIT)","contract":"(?<contract>HEX)","delta":"(?<delta>[0-9.e-]+)",` +
    `"epsilon":"(?<epsilon>[0-9.e-]+)","kind":"cap","owner":"(?<owner>NAME)","rho":(?<rho>COUNT),PLACE,TIME,` +
    `"unit":"record","v":1}`,
  denial:
    `{"asker":"(?<asker>NAME)","clause":"CLAUSE","contract":"(?<contract>HEX)","job":"(?<job>HEX)","kind":"denial",` +
    `READERS,PLACE,TIME,"v":1}`,
  carry:
    `{"charges":(?<charges>LIST<CARRIED>),"contract":"(?<contract>HEX)","from":(?<from>HEAD),"kind":"carry",PLACE,` +
    `"statement":"(?<statement>(?:HEX)?)",TIME,"v":1}`,
  closed: `{"contract":"(?<contract>HEX)","kind":"closed","next":"(?<next>HEX)",PLACE,TIME,"v":1}`,
  SPECIFICATION:
    String.raw`{"cells":COUNT,"columns":LIST<"NAME\.NAME(?:(?: x NAME)? considered)?">,"datasets":(?<datasets>{"NAME":"HEX"(?:,"NAME":"HEX"){0,7}}),` +
    String.raw`"follows":"(?:HEX)?","l2_squared":(?<l2>COUNT),"lattice":"(?<lattice>2\^-[0-9]{1,2})",` +
    `"mechanism":"(?<mechanism>discrete-gaussian|randomised-response)","neighbours":"one record replaced by a dummy that matches nobody",` +
    `"part":"(?<part>[a-z-]+)",(?:"query":"(?<query>HEX)",)?"rule":"(?<rule>own-best|fall-through|any)",` +
    `"scale":(?<scale>[1-9][0-9]{0,15}),"scale_unit":"1/(?<unit>1048576|4503599627370496)",(?:"selection":(?<selection>[1-9][0-9]{0,15}),)?` +
    `"statistic":"(?<statistic>[a-z-]+@[0-9]+)","unit":"record"}`,
  release:
    `{"asker":"(?<asker>NAME)","beside":"(?<beside>(?:HEX)?)","charges":(?<charges>LIST<CHARGE>),` +
    `"commitment":"(?<commitment>HEX)","contract":"(?<contract>HEX)","covered":(?<covered>LIST<COVERED>),` +
    String.raw`"job":"(?<job>HEX)","key":"(?<key>HEX)","kind":"(?<kind>release|open|outcome)","library":"opendp [0-9]{1,3}(?:\.[0-9]{1,3}){1,3}",` +
    `READERS,PLACE,"specification":(?<specification>SPECIFICATION),TIME,"v":1}`,
});
const KINDS = ["release", "denial", "cap", "carry", "closed"].map((kind) => [kind, new RegExp(`^${FORMS[kind]}$`)]);

/** Forms with every word replaced; LIST<x> is any number of x, with commas between. */
function expand(forms) {
  const done = {};
  for (const [name, form] of Object.entries(forms)) {
    const lists = form.replace(/LIST<(.+?)>/g, (_, item) => String.raw`\[(?:${item}(?:,${item})*)?\]`);
    done[name] = lists.replace(/[A-Z]{3,}/g, (word) => done[word] ?? word);
  }
  return done;
}

/**
 * What each statistic draws on: the lattice of its sums, and the squared length by which one row moves them; where a job
 * words it, `query` says what it asks, and that length may be `least` or more. Noise that `opens` is drawn ahead.
 */
const SUMS = 2n ** 40n + ((2n ** 20n * 30n) / 100n) ** 2n;
const NOISE = {
  "matched-count@1": { lattice: "2^-10", l2: 2n ** 20n },
  "matched-by-tier@1": { lattice: "2^-10", l2: 2n ** 20n, tiers: true },
  "seed-moments@5": { lattice: "2^-20", l2: SUMS },
  "score-histogram@1": { lattice: "2^-10", l2: 2n ** 20n },
  "score-strata@1": { lattice: "2^-10", l2: 2n ** 20n }, // the same, by how much is known of a person
  "person-fit@2": { lattice: "2^-20", query: true, least: 29_961_829_587_600n, opens: true }, // 25 sums, rounded down
  "person-scores@1": { lattice: "2^-10", query: true, l2: 2n ** 21n }, // out of one histogram, into the other
  "attribute-moments@1": { lattice: "2^-20", query: true, least: SUMS }, // of one attribute
  "answer-counts@1": { lattice: "2^-10", query: true, least: 2n ** 21n },
  "seed-groups@1": { lattice: "2^-10", l2: 2n ** 20n, query: true }, // how people are dealt into groups
  "table@1": { lattice: "2^-0", query: true, least: 119_304_647n }, // a number moves by 2/3 of 2^14 steps, or more
  "responses@1": { lattice: "2^-0", l2: 1n, flips: true }, // one label a person; these cost ε alone
  "keys@1": { lattice: "2^-0", query: true, least: 119_304_647n, selects: true }, // these cost δ as well
};

/** The field of a job that names the data set at whose δ it is priced; the others are priced at the smallest of all. */
const PRICED_BY = { lookalike: "seed", completion: "attributes" };

/** What looks at the people who train, and what at those held out, for one charge. */
const PAIRS = [
  ["seed-moments@5", "score-histogram@1"],
  ["seed-moments@5", "score-strata@1"],
  ["person-fit@2", "person-scores@1"],
  ["attribute-moments@1", "answer-counts@1"],
];

/**
 * By how much more one record can move a statistic, squared: it moves as many rows as the contract's rule says of its
 * side, and a row may leave one tier for another. Whose records a job protects is left to `passbox ledger verify`.
 */
function squares(terms, rule, tiers) {
  const keys = BigInt(terms.keys ?? 1);
  require(!terms.owners || rule === (terms.rule ?? "own-best"), "its noise is none");
  const most = rule === "own-best" ? 1n : terms.owners ? keys : 8n;
  const rows = terms.owners ? [1n, most] : Array.from({ length: Number(most) }, (_, at) => BigInt(at + 1));
  return rows.flatMap((each) => (tiers ? [1n, 2n, 2n * each * each] : [each * each]));
}

const NOT_CARRIED = "what was spent under an earlier contract was not carried over";

class Broken extends Error {}

function require(holds, rule) {
  if (!holds) throw new Broken(rule);
}

function holds(check) {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof Broken) return false;
    throw error;
  }
}

const hash = (algorithm, data, form = "buffer") => crypto.hash(algorithm, data, form);
const sha256 = (...parts) => hash("sha256", parts.length === 1 ? parts[0] : Buffer.concat(parts.map((part) => Buffer.from(part))));

// Hashes of the tree are strings of 32 one-byte letters: a long log has many, and a Buffer is a heavy thing.

/** The hash of a leaf, which holds an entry behind a zero byte. */
function leafHash(data, start, end) {
  const size = data.copy(scratch, 1, start, end);
  return hash("sha256", scratch.subarray(0, size + 1), "latin1");
}

function nodeHash(left, right) {
  node.latin1Write(left, 1);
  node.latin1Write(right, 33);
  return hash("sha256", node, "latin1");
}
const [scratch, node] = [Buffer.alloc(65_536), Buffer.alloc(65, 1)];
const hexOf = (letters) => Buffer.from(letters, "latin1").toString("hex");

// -- bytes ------------------------------------------------------------------------------------------------------------

function unbase64(text) {
  const raw = Buffer.from(text, "base64");
  require(raw.toString("base64") === text, "base64 is not canonical");
  return raw;
}

function isSigned(key, message, signature) {
  const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key]);
  return verifyEd25519(null, message, createPublicKey({ key: der, format: "der", type: "spki" }), signature);
}

const framed = (...parts) =>
  Buffer.concat(
    parts.flatMap((part) => {
      const size = Buffer.alloc(4);
      size.writeUInt32BE(part.length);
      return [size, Buffer.from(part)];
    }),
  );

/** The 32 bytes of an OpenSSH line "ssh-ed25519 AAAA...". */
function sshKey(line) {
  const blob = unbase64(line.split(" ")[1]);
  require(framed("ssh-ed25519", blob.subarray(-32)).equals(blob), "a key in TERMS is no Ed25519 key");
  return blob.subarray(-32);
}

/** SSHSIG (openssh-portable, PROTOCOL.sshsig), made anew around the 64 bytes of the signature and compared whole. */
function isSshSigned(line, namespace, message, armor) {
  const body = /^-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n*$/.exec(armor);
  if (!body) return false;
  const raw = unbase64(body[1].replaceAll("\n", ""));
  const signature = raw.subarray(-64);
  return ["sha512", "sha256"].some((algorithm) => {
    const scope = framed(namespace, "", algorithm);
    const blob = Buffer.from(line.split(" ")[1], "base64");
    const version = Buffer.from([0, 0, 0, 1]);
    const whole = ["SSHSIG", version, framed(blob), scope, framed(framed("ssh-ed25519", signature))];
    const signed = Buffer.concat([Buffer.from("SSHSIG"), scope, framed(hash(algorithm, message))]);
    return Buffer.concat(whole.map((part) => Buffer.from(part))).equals(raw) && isSigned(sshKey(line), signed, signature);
  });
}

const same = (left, right) => JSON.stringify(left) === JSON.stringify(right);

// -- jobs -------------------------------------------------------------------------------------------------------------

const TOKEN =
  /[ \t\r]+|#[^\n]*|("""(?:\\[^]|[^\\])*?"""(?!")|'''[^]*?'''(?!')|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[\w+.:-]+|[\n=,[\]{}])/y;

/** What a TOML says: each name, behind that of its table, and the words of its value without commas and brackets. */
function saidBy(toml) {
  const found = new Map();
  let [line, depth, table] = [[], 0, ""];
  for (const word of tokensOf(toml)) {
    depth += "[{".includes(word) - "]}".includes(word);
    if (word !== "\n" || depth > 0) line.push(word);
    else {
      const value = line.slice(2).filter((each) => !/^[\n,[\]{}]$/.test(each));
      if (line[0] === "[") table = `${textOf(line[1])} `;
      if (line[1] === "=") found.set(table + textOf(line[0]), value.map(textOf));
      line = [];
    }
  }
  return found;
}

function tokensOf(toml) {
  const found = [];
  for (TOKEN.lastIndex = 0; TOKEN.lastIndex < toml.length; ) {
    const token = TOKEN.exec(toml);
    require(token, "its job is not one");
    if (token[1]) found.push(token[1]);
  }
  return [...found, "\n"];
}

/** What a name or a text means; other values, and a text of several lines with escapes in it, as they are written. */
function textOf(word) {
  const [, quotes, inner] = /^("""|''')\r?\n?([^]*)\1$/.exec(word) ?? [];
  if (quotes) return quotes === "'''" || !inner.includes("\\") ? inner : word;
  if (word[0] === "'") return word.slice(1, -1);
  if (word[0] !== '"') return word;
  const long = (digits) => JSON.stringify(String.fromCodePoint(parseInt(digits, 16))).slice(1, -1);
  const short = word.replace(/\\(?:U([0-9a-fA-F]{8})|.)/g, (whole, digits) => (digits ? long(digits) : whole));
  return JSON.parse(short.replaceAll("\t", "\\t"));
}

const whole = (digits) => Number((digits ?? "").replaceAll("_", ""));

/** The probability that a normal deviate is above x, to 14 digits: a series near 0, a continued fraction further out. */
function above(x) {
  if (x < 0) return 1 - above(-x);
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  if (x > 1.5) {
    let below = x;
    for (let step = 200; step > 0; step--) below = x + step / below;
    return density / below;
  }
  let [sum, term] = [0, x];
  for (let step = 3; step < 60; step += 2) [sum, term] = [sum + term, (term * x * x) / step];
  return 0.5 - density * sum;
}

/** δ of so much ρ at this ε, less and more than what rounding can have done to it. */
function deltasOf(rho, epsilon) {
  const mu = Math.sqrt((2 * Number(rho)) / 1e12);
  const [near, far] = [above(epsilon / mu - mu / 2), Math.exp(epsilon) * above(epsilon / mu + mu / 2)];
  return [0.5e-13, 1.5e-13].map((lost) => near - far + lost * (near + far));
}

// -- history ----------------------------------------------------------------------------------------------------------

function parseNote(bytes) {
  const whole = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const form = /^(([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]+)\n)\n((?:— \S+ \S+\n)+)$/u.exec(whole);
  require(form, "it is no checkpoint");
  const lines = form[5].split("\n").slice(0, -1).map((line) => line.split(" "));
  const signatures = lines.map(([, name, text]) => ({ name, raw: unbase64(text) }));
  return { text: form[1], origin: form[2], size: Number(form[3]), root: unbase64(form[4]), signatures };
}

/** All lines of this key must hold, and there must be one. kind: 1 the log's own, 4 a witness's (C2SP cosignature/v1). */
function isNoteSigned(note, name, kind, key) {
  const keyId = sha256(`${name}\n`, Buffer.from([kind]), key).subarray(0, 4);
  const bodies = note.signatures.filter((each) => each.name === name && each.raw.subarray(0, 4).equals(keyId));
  return (
    bodies.length > 0 &&
    bodies.every(({ raw }) => {
      if (kind === 1) return isSigned(key, Buffer.from(note.text), raw.subarray(4));
      const said = `cosignature/v1\ntime ${raw.readBigUInt64BE(4)}\n${note.text}`;
      return isSigned(key, Buffer.from(said), raw.subarray(12));
    })
  );
}

function roomKey(vkey) {
  const [name, keyId, ...rest] = vkey.split("+");
  const raw = unbase64(rest.join("+"));
  require(raw.length === 33 && raw[0] === 1 && sha256(`${name}\n`, raw).subarray(0, 4).toString("hex") === keyId, "VKEY is no verifier key, and no file");
  return { name, key: raw.subarray(1) };
}

/** RFC 6962: the largest power of two below the size goes left. */
function rootOf(leaves) {
  if (leaves.length === 0) return sha256("").latin1Slice();
  const peaks = [];
  leaves.forEach((leaf, index) => {
    let [node, at] = [leaf, index];
    for (; at & 1; at >>= 1) node = nodeHash(peaks.pop(), node);
    peaks.push(node);
  });
  return peaks.reduceRight((right, left) => nodeHash(left, right));
}

function tilePath(number) {
  let path = String(number % 1000).padStart(3, "0");
  for (let rest = Math.floor(number / 1000); rest; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, "0")}/${path}`;
  }
  return path;
}

/** Where each entry stands: its bundle, and from where to where in it. */
function readEntries(folder, size) {
  const entries = [];
  for (let low = 0; low < size; low += 256) {
    const width = Math.min(256, size - low);
    const path = join(folder, "tile/entries", tilePath(low / 256) + (width < 256 ? `.p/${width}` : ""));
    if (!existsSync(path)) return entries;
    const data = readFileSync(path);
    let at = 0;
    for (let count = 0; count < width; count++) {
      const end = at + 2 + data.readUInt16BE(at);
      entries.push({ data, start: at + 2, end });
      at = end;
    }
    require(at === data.length, "a bundle of entries ends early or late");
  }
  return entries;
}

function checkHead(note, name, room, leaves) {
  const ours = note.origin === room.name && isNoteSigned(note, room.name, 1, room.key);
  require(ours, `${name} is not signed by the contract's room`);
  require(note.size <= leaves.length, `rolled back: ${name} counts ${note.size} entries, ${leaves.length} are here`);
  const root = rootOf(leaves.slice(0, note.size));
  require(root === note.root.latin1Slice(), `changed or forked: ${name} was signed over other entries`);
}

// -- money ------------------------------------------------------------------------------------------------------------

/** ρ of a discrete Gaussian in units of 10^-12, rounded up: that of a continuous one whose variance is 4 smaller. */
function price(l2Squared, scale) {
  const [above, below] = [l2Squared * 2n ** 40n * 10n ** 12n, 2n * (scale * scale - 2n ** 42n)];
  return (above + below - 1n) / below;
}

/** ε of labels that are wrong with this probability, of which one record moves √l2, in units of 10^-12. */
const lossOf = ({ l2, scale }) => Math.sqrt(Number(l2)) * Math.log(2 ** 52 / Number(scale) - 1) * 1e12;

/** A text of its own: a part of a longer one would keep all of that in memory. */
const copied = (text) => Buffer.from(text, "latin1").latin1Slice();

/** A text as it stands in canonical JSON, without its quotes. */
const spelled = (text) =>
  JSON.stringify(text)
    .slice(1, -1)
    .replace(/[^ -~]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);

const isAlike = (own, other) =>
  own.datasets === other.datasets && own.recipients === other.recipients && own.rule === other.rule;

/** The kind of an entry, and its parts as text. */
function formOf(text) {
  for (const [kind, form] of KINDS) {
    const found = form.exec(text);
    if (found) return [kind, found.groups];
  }
  const known = KINDS.some(([kind]) => text.includes(`"kind":"${kind}"`));
  throw new Broken(known ? "it does not stand here, or is not canonical JSON" : "its kind is not known, or has other parts");
}

class Books {
  caps = new Map();
  spent = new Map();
  draws = new Map();
  jobs = new Map();
  lists = new Map();
  prices = new Map();
  noises = new Map();
  covers = new Set();
  charged = [];
  hour = "";
  closed = "";

  asked = new Map();

  /** left: what earlier logs leave to this one, in the contract's order; each is taken out when it stands in the log. */
  constructor(folder, terms, leaves, left) {
    const purpose = terms.purpose === undefined ? undefined : spelled(terms.purpose);
    Object.assign(this, { folder, terms, leaves, left, purpose });
  }

  read(position, text) {
    const [kind, entry] = formOf(text);
    const contract = this.terms.contract ?? this.contract ?? entry.contract;
    const follows = entry.contract === contract && entry.time >= this.hour && !this.closed;
    require(Number(entry.seq) === position && follows, "it does not stand here, or is not canonical JSON");
    require(this.left.length === 0 || kind === "cap" || kind === "carry", NOT_CARRIED);
    const purpose = this.purpose ?? entry.purpose;
    require(entry.purpose === undefined || entry.purpose === purpose, "its purpose is not the contract's");
    [this.hour, this.contract, this.position] = [entry.time, contract, position];
    if (kind === "closed") this.end(entry);
    else this[kind](entry);
  }

  cap({ account, owner, rho }) {
    const given = this.terms.caps ? this.terms.caps[account] === Number(rho) : Number(rho) > 0;
    const own = account.split("/")[0] === owner && !this.caps.has(account);
    require(given && own, "the contract gives another cap, or gave it before");
    this.caps.set(account, Number(rho));
    this.spent.set(account, 0);
  }

  /** What was spent under an earlier contract, or on a disk that was lost. */
  carry({ charges, from, statement }) {
    const [said, came] = [JSON.parse(charges), JSON.parse(from)];
    const due = statement ? this.ownHead() : this.left.shift();
    const known = due ? came.contract === due.contract : !this.terms.continues;
    require(known && (!statement || same(came, due)), "it carries what nobody named");
    if (statement) this.requireLoss(statement, came, said);
    this.charge({ paid: [] }, said, Boolean(statement));
    const left = [came.size, came.root, said.map(({ account, rho }) => [account, rho])];
    require(!due?.left || same(left, due.left), "an earlier log left something else");
  }

  /** What a loss is about: this very log, up to the entry that charges it. */
  ownHead() {
    const root = hexOf(rootOf(this.leaves.slice(0, this.position)));
    return { contract: this.contract, root, size: this.position };
  }

  /** Owners, and so many witnesses that no later head can have been cosigned without one of them, signed it. */
  requireLoss(statement, came, charges) {
    const { owners = {}, witnesses, need = 1 } = this.terms;
    const rule = "not everybody who has to approve a loss has signed it";
    const path = join("requests", `${statement}.toml`);
    const requireName = (name) => this.requireSigned(path, statement, `.${name}.sig`, name, "passbox-loss", rule);
    new Set(Object.values(owners)).forEach(requireName);
    const signed = (witnesses ?? []).filter((name) => holds(() => requireName(name)));
    require(!witnesses || (witnesses.length > 0 && signed.length > witnesses.length - need), rule);
    if (this.terms.parties) this.requireStated(readFileSync(join(this.folder, path), "utf-8"), came, charges);
  }

  /** What they signed is this loss: after this head, and so much of each account. */
  requireStated(toml, came, charges) {
    const said = saidBy(toml);
    const [contract, size, root] = ["contract", "size", "root"].map((name) => (said.get(name) ?? [])[0]);
    const lost = [...said].filter(([name]) => name.startsWith("charge "));
    const stated = lost.map(([name, [rho]]) => [name.slice(7), whole(rho)]);
    const due = stated.filter(([, rho]) => rho > 0).sort(([left], [right]) => (left < right ? -1 : 1));
    const here = same([contract, whole(size), root], [came.contract, came.size, came.root]);
    require(here && same(due, charges.map(({ account, rho }) => [account, rho])), "its statement of loss says something else");
  }

  /** The end: another contract goes on with the accounts. */
  end({ next }) {
    this.closed = next;
  }

  denial(entry) {
    this.requireJob(entry);
  }

  release(entry) {
    const { beside, kind, specification, part, statistic } = entry;
    this.requireJob(entry);
    const key = hash("sha256", specification, "hex");
    require(key === entry.key, "its key is not that of its specification");
    const manifests = this.manifestsOf(entry.datasets);
    const names = manifests.map(([name]) => name);
    const ordered = names.every((name, at) => at === 0 || names[at - 1] < name);
    require(ordered, "it does not stand here, or is not canonical JSON");
    const kept = copied(entry.job + entry.commitment + entry.datasets);
    const [job, commitment, datasets] = [kept.slice(0, 64), kept.slice(64, 128), kept.slice(128)];
    if (!this.jobs.has(job)) this.jobs.set(job, datasets);
    require(this.jobs.get(job) === datasets, "its job was for other data");
    const recipients = this.listed(entry.recipients);
    const charges = JSON.parse(entry.charges);
    const again = this.draws.has(key);
    const own = { part: part === "all" ? "all" : copied(part), datasets, recipients, charges, commitment, paid: [], read: [] };
    own.rule = entry.rule === "own-best" ? "own-best" : copied(entry.rule);
    if (!again) this.draws.set(key, kind === "open" ? { ...own, opened: true, settled: false } : own);
    const draw = this.draws.get(key);
    const noise = this.noise(entry.rule, statistic);
    own.statistic = draw.statistic = noise.statistic;
    const news = recipients.filter((name) => !draw.read.includes(name));
    this.requireOpened(draw, kind, again, noise);
    if (kind === "outcome") {
      require(charges.length + news.length === 0, "its noise is not open");
      draw.commitment = commitment;
    } else require(charges.length > 0 || news.length > 0, "the same statistic stands twice, for nobody new");
    require(draw.commitment === commitment, "the same statistic was drawn twice");
    draw.read = draw.read.length > 0 ? [...draw.read, ...news] : recipients;
    const mechanism = noise.flips ? ["randomised-response", `${2 ** 52}`] : ["discrete-gaussian", "1048576"];
    require(same([entry.mechanism, entry.unit], mechanism), "its noise is none");
    const moved = noise.l2 ? noise.l2.has(entry.l2) : noise.worded && BigInt(entry.l2) >= noise.least;
    require(entry.scale > 2 ** 21 && (!noise.flips || entry.scale < 2 ** 51) && moved && entry.lattice === noise.lattice, "its noise is none");
    require(noise.worded === (entry.query !== undefined) && (noise.worded || names.length === 2), "its noise is none");
    require(noise.selects === (entry.selection !== undefined), "its noise is none");
    const cost = noise.flips ? { responses: lossOf(entry) } : { record: this.price(entry.l2, entry.scale) };
    this.charge(draw, charges);
    const other = beside ? this.draws.get(beside) : draw;
    this.requirePayers(other, names, recipients, { ...cost, selection: BigInt(entry.selection ?? 0) });
    this.requireCover(beside, own, other, JSON.parse(entry.covered), again);
    this.requireAsked(entry, names, recipients, other.paid[0]?.rho);
    manifests.forEach(([name, digest]) => this.requireManifest(name, digest));
  }

  /** Noise that is opened is settled once, and only then released to more readers. */
  requireOpened(draw, kind, again, { opens }) {
    const rule = "its noise is not open";
    require(opens === Boolean(draw.opened), rule);
    if (kind === "outcome") {
      require(again && draw.opened && !draw.settled, rule);
      draw.settled = true;
    } else require(kind === "open" ? draw.opened && !draw.settled : !draw.opened || draw.settled, rule);
  }

  /** What a statistic may draw on under a rule. */
  noise(rule, statistic) {
    const name = `${rule} ${statistic}`;
    if (!this.noises.has(name)) {
      const known = Object.hasOwn(NOISE, statistic) ? NOISE[statistic] : {};
      const { lattice, l2, tiers, query, least, opens = false, selects = false, flips = false } = known;
      const every = l2 && new Set(squares(this.terms, rule, tiers).map((far) => `${l2 * far}`));
      const worded = query === true;
      this.noises.set(copied(name), { statistic: copied(statistic), lattice, l2: every, least, worded, opens, selects, flips });
    }
    return this.noises.get(name);
  }

  /** Many draws have the same noise. */
  price(l2, scale) {
    const noise = `${l2} ${scale}`;
    if (!this.prices.has(noise)) this.prices.set(noise, price(BigInt(l2), BigInt(scale)));
    return this.prices.get(noise);
  }

  /** Data sets and their manifests; the same text gives the same list. */
  manifestsOf(text) {
    if (!this.lists.has(text)) this.lists.set(copied(text), Object.entries(JSON.parse(text)));
    return this.lists.get(text);
  }

  /** A list of names; the same text gives the same list. */
  listed(text) {
    if (!this.lists.has(text)) this.lists.set(copied(text), JSON.parse(text));
    return this.lists.get(text);
  }

  charge({ paid }, charges, ahead = true) {
    const { owners } = this.terms;
    for (const { account, dataset, rho, before } of charges) {
      const own = !owners || !dataset || (Object.hasOwn(owners, dataset) && account.startsWith(`${owners[dataset]}/`));
      require(own, "it charges one owner for the data of another");
      require(!paid.some((each) => each.account === account), "an account is charged twice");
      require(before === this.spent.get(account), "the running balance is broken");
      require(Number.isSafeInteger(before + rho), "the account is overspent");
      paid.push({ account, rho });
      this.spent.set(account, before + rho);
      if (this.terms.ahead && ahead) this.charged.push({ position: this.position, account, rho });
      require(before + rho <= this.caps.get(account), "the account is overspent");
    }
  }

  /** Every owner who is not the only reader pays; without the owners in TERMS, somebody must. */
  requirePayers(draw, names, recipients, cost) { // cost: of the noise or the labels, and of showing keys that nobody listed
    const rule = "it is not paid for by all who must";
    const { owners, operator } = this.terms;
    require(draw && draw.paid.length > 0, rule);
    if (!owners) return;
    const readers = new Set(recipients);
    if (Object.values(owners).includes(operator)) readers.add(operator);
    require(names.every((name) => Object.hasOwn(owners, name)), rule);
    const due = names.map((name) => owners[name]).filter((owner) => readers.size > 1 || !readers.has(owner));
    const paid = new Map(draw.paid.map(({ account, rho }) => [account, rho]));
    const hasPaid = (owner) => Object.entries(cost).every(([unit, much]) => (paid.get(`${owner}/${unit}`) ?? 0) >= much);
    require(due.length > 0 && due.every(hasPaid), rule);
  }

  /** One charge may pay for two releases on disjoint parts of the same people, for the same readers. */
  requireCover(beside, own, other, covered, again) {
    const paid = beside ? other.charges.map(({ account, dataset, rho }) => ({ account, dataset, rho })) : [];
    const pair = PAIRS.some(([train, heldOut]) => other.statistic === train && own.statistic === heldOut);
    const apart = !beside || (isAlike(own, other) && pair && other.part === "train" && own.part === "held-out");
    const charged = own.charges.length > 0;
    const once = beside ? !this.covers.has(beside) && !charged : charged || again;
    require(apart && once && same(covered, paid), "its cover does not fit");
    if (beside) this.covers.add(copied(beside));
  }

  requireJob({ job, asker }) {
    if (!this.terms.parties) return;
    const rule = "the job is not signed by its asker";
    this.requireSigned(join("requests", `${job}.toml`), job, `.${asker}.sig`, asker, "passbox-job", rule);
  }

  /** The job is for these readers and began in time (it may end an hour later), and its noise is what its ε gives. */
  requireAsked({ job, beside, statistic, l2, scale, time }, names, recipients, paid) {
    if (!this.terms.parties || !this.terms.delta) return;
    const asked = this.jobAsked(job, names);
    require(same(asked.readers, recipients), "its job is for other readers");
    const { compares, deltas, epsilon, randomised, strata } = asked;
    require(statistic !== (strata ? "score-histogram@1" : "score-strata@1"), "its job asks for another evaluation");
    const begun = new Date(Date.parse(time.replace("Z", ":00Z")) - 3_600_000).toISOString().slice(0, 10);
    require(begun <= (this.terms.expires ?? begun), "the contract had expired");
    const rule = "the noise is not what its job's ε gives";
    if (statistic === "responses@1") {
      const charged = Math.round(epsilon * 1e12); // the least flip that costs less than this by one unit
      const [loss, more] = [0, 1].map((less) => lossOf({ l2, scale: scale - less }));
      const least = Number(scale) === 2 ** 21 + 1; // no label is wrong more seldom, whatever is paid
      require(randomised && paid === charged && loss <= charged && (least || more > charged - 2), rule);
      return;
    }
    require(!randomised, rule);
    const [cost, dearer] = [0n, 1n].map((less) => price(BigInt(l2), BigInt(scale) - less)).map((each) => {
      if (statistic === "seed-groups@1") return 4n * each; // a quarter of the job's price, and the rest
      return compares && statistic === "seed-moments@5" ? each + (each - 1n) / 3n : each;
    });
    const kept = deltas.every((delta) => deltasOf(cost, epsilon)[0] <= delta);
    const least = deltas.some((delta) => deltasOf(dearer, epsilon)[1] > delta);
    require(beside || (kept && least), rule);
  }

  /** Readers, ε and what else of a job its price follows from. names: of the data sets it reads. */
  jobAsked(job, names) {
    if (!this.asked.has(job)) {
      const said = saidBy(readFileSync(join(this.folder, "requests", `${job}.toml`), "utf-8"));
      const [readers, learners] = ["recipients", "learners"].map((name) => said.get(name) ?? []);
      const [kind, epsilon] = ["kind", "epsilon"].map((name) => (said.get(name) ?? [""])[0]);
      const by = Object.hasOwn(PRICED_BY, kind) ? said.get(PRICED_BY[kind]) : names;
      const deltas = (by ?? [""]).map((name) => this.terms.delta[name] * (1 - 1e-9));
      require(deltas.every(Number.isFinite) && epsilon !== "", "its job is not one");
      const randomised = kind === "lookalike" && (said.get("labels") ?? [])[0] === "randomised";
      const strata = (said.get("strata") ?? [])[0] === "true";
      const compares = learners.length > 0 && !same(learners, ["glm"]);
      this.asked.set(copied(job), { readers: readers.sort(), epsilon: Number(epsilon.replaceAll("_", "")), deltas, compares, randomised, strata });
    }
    return this.asked.get(job);
  }

  requireManifest(name, digest) {
    const owner = this.terms.owners?.[name];
    const rule = "the manifest of a data set is not signed by its owner";
    if (owner) this.requireSigned(join("manifests", `${digest}.json`), digest, ".sig", owner, "passbox-bundle", rule);
  }

  /** A file that an entry names by digest: here, whole, and signed by whom it must. */
  requireSigned(path, digest, suffix, party, namespace, rule) {
    this.known ??= new Set();
    if (!this.terms.parties || this.known.has(`${path} ${party}`)) return;
    require(Object.hasOwn(this.terms.parties, party), rule);
    const files = [path, path + suffix].map((each) => join(this.folder, each));
    require(files.every((each) => existsSync(each)), rule);
    const [data, armor] = files.map((each) => readFileSync(each));
    const good = isSshSigned(this.terms.parties[party], namespace, data, armor.toString("latin1"));
    require(good && sha256(data).toString("hex") === digest, rule);
    this.known.add(`${path} ${party}`);
  }
}

// -- witnesses --------------------------------------------------------------------------------------------------------

function witnessed(folder, room, terms, leaves) {
  const path = join(folder, "witnesses");
  const names = existsSync(path) ? readdirSync(path).filter((name) => !name.startsWith(".")) : [];
  return names.map((name) => {
    const note = parseNote(readFileSync(join(path, name)));
    const known = terms.witnesses?.includes(name) && Object.hasOwn(terms.parties ?? {}, name);
    const good = known && isNoteSigned(note, `${room.name}/${name}`, 4, sshKey(terms.parties[name]));
    require(good || !terms.witnesses, "a cosignature in the copy does not hold");
    checkHead(note, name, room, leaves);
    return note.size;
  });
}

/** Nobody has spent more since the last head that enough witnesses cosigned than the contract lets run ahead. */
function checkWindow(terms, books, sizes) {
  if (!terms.ahead) return;
  const from = sizes.sort((left, right) => right - left)[(terms.need ?? 1) - 1] ?? 0;
  const [whole, digits = ""] = terms.ahead.split(".");
  for (const [account, cap] of books.caps) {
    const late = books.charged.filter((each) => each.account === account && each.position >= from);
    const most = (BigInt(cap) * BigInt(whole + digits)) / 10n ** BigInt(digits.length);
    const ahead = late.reduce((sum, each) => sum + BigInt(each.rho), 0n);
    require(ahead <= most, `${account} has spent further ahead of the witnesses than the contract lets it`);
  }
}

// -- what goes on from what -------------------------------------------------------------------------------------------

/** The logs that this contract continues: each is verified like this one, and is to be carried over whole. */
function leftByEarlier(folder, terms) {
  return (terms.continues ?? []).map((contract) => {
    const earlier = terms.before?.[contract];
    if (!earlier) return { contract };
    const path = join(folder, "before", contract);
    try {
      require(existsSync(path), "it is not in the copy");
      const books = verify(path, earlier, []);
      require(earlier.contract === contract, "TERMS of an earlier contract are of another");
      require(!terms.contract || books.closed === terms.contract, "it is open, or went on under another contract");
      return { contract, left: [books.leaves.length, hexOf(rootOf(books.leaves)), heirs(terms, earlier, books)] };
    } catch (error) {
      throw new Broken(`before/${contract}: ${error instanceof Broken ? error.message : error}`);
    }
  });
}

/** What each account begins with: an owner is the same owner where its key is. */
function heirs(terms, earlier, books) {
  const keyOf = ({ parties }, name) => parties[name].split(" ")[1];
  const owners = [...new Set(Object.values(terms.owners))].sort();
  const held = [...books.spent].map(([account, rho]) => [account.split("/"), rho]);
  const spent = new Map(held.map(([[name, unit], rho]) => [`${keyOf(earlier, name)} ${unit}`, rho]));
  const both = owners.flatMap((name) => ["record", "selection", "responses"].map((unit) => [name, unit]));
  const due = both.map(([name, unit]) => [`${name}/${unit}`, spent.get(`${keyOf(terms, name)} ${unit}`) ?? 0]);
  return due.filter(([, rho]) => rho > 0).sort(([one], [other]) => (one < other ? -1 : 1)); // as the entry has them
}

// -- all of it --------------------------------------------------------------------------------------------------------

/** The books of a copy that holds. terms: as above. seen: paths. Throws what is wrong. */
export function verify(folder, terms, seen) {
  const room = roomKey(terms.vkey);
  const head = parseNote(readFileSync(join(folder, "checkpoint")));
  const entries = readEntries(folder, head.size);
  const leaves = entries.map(({ data, start, end }) => leafHash(data, start, end));
  checkHead(head, "checkpoint", room, leaves);
  for (const path of seen) checkHead(parseNote(readFileSync(path)), basename(path), room, leaves);
  const books = new Books(folder, terms, leaves, leftByEarlier(folder, terms));
  entries.forEach(({ data, start, end }, position) => {
    try {
      books.read(position, data.latin1Slice(start, end));
    } catch (error) {
      throw new Broken(`entry ${position}: ${error instanceof Broken ? error.message : error}`);
    }
  });
  const missing = Object.keys(terms.caps ?? {}).filter((account) => !books.caps.has(account));
  require(missing.length === 0, `no cap was set for ${missing.sort().join(", ")}`);
  require(books.left.length === 0, NOT_CARRIED);
  checkWindow(terms, books, witnessed(folder, room, terms, leaves));
  return books;
}

function termsOf(path) {
  try {
    return JSON.parse(readFileSync(path, "utf-8"));
  } catch {
    throw new Broken(`${basename(path)} is no JSON: \`passbox ledger terms contract.toml\` writes terms.json`);
  }
}

function main([folder, given, ...seen]) {
  if (!given) throw new Broken("usage: node verify_ledger.mjs EXPORT VKEY|TERMS.json [SEEN_CHECKPOINT ...]");
  const terms = existsSync(given) ? termsOf(given) : { vkey: given };
  const { caps, spent } = verify(folder, terms, seen);
  console.log("OK");
  for (const [account, cap] of caps) console.log(`${account} ${spent.get(account)} of ${cap}`);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    const rule = error instanceof Broken || error.code === "ENOENT" ? error.message : String(error);
    console.log(`FAIL ${rule.startsWith("entry ") ? "" : "log: "}${rule.split("\n")[0]}`);
    process.exitCode = 1;
  }
}

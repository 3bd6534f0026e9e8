// Flips bits of a copy, one at a time and every file equally often: node flips.mjs VERIFIER EXPORT TERMS COUNT [SEEN ...]
// Prints how many flips there were; one that is not caught, or is caught where nothing relies on the file, is named.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [verifier, folder, terms, count, ...seen] = process.argv.slice(2);
const { verify } = await import(pathToFileURL(verifier));
const said = JSON.parse(readFileSync(terms, "utf-8"));
const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
const paths = files.map((each) => join(each.path, each.name)).sort();

let state = 20270111;
const below = (limit) => (state = (state * 48271) % 2147483647) % limit;

function holds() {
  try {
    verify(folder, said, seen);
    return true;
  } catch {
    return false;
  }
}

if (!holds()) console.log("the copy does not hold as it is");
for (let turn = 0; turn < Number(count); turn++) {
  const path = paths[turn % paths.length];
  const data = readFileSync(path);
  const at = below(data.length * 8);
  const changed = Buffer.from(data);
  changed[at >> 3] ^= 1 << (at & 7);
  writeFileSync(path, changed);
  if (holds() !== path.includes(join("tile", "0"))) console.log(`${path}: bit ${at}`);
  writeFileSync(path, data);
}
console.log(`${count} flips`);

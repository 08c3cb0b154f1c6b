#!/usr/bin/env node
// Decodes every golden header of tests/vectors/headers.txt, prints what it holds in one line, and
// fails if it does not encode to the same bytes again. golden.py does the same, and prints the same.

import { readFileSync } from "node:fs";
import process from "node:process";
import { decode, encode } from "@msgpack/msgpack";

const options = { useBigInt64: true };

/** As JSON, but integers of any size, and bytes as h'01ff'. */
function shown(value) {
  if (value instanceof Uint8Array) return `h'${Buffer.from(value).toString("hex")}'`;
  if (Array.isArray(value)) return `[${value.map(shown).join(",")}]`;
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([k, v]) => `${shown(k)}:${shown(v)}`).join(",")}}`;
}

for (const line of readFileSync(process.argv[2], "utf8").trim().split("\n")) {
  if (line.startsWith("#")) continue;
  const [kind, name, header] = line.split(" ");
  const fields = decode(Buffer.from(header, "hex"), options);
  const again = Buffer.from(encode(fields, options)).toString("hex");
  if (again !== header) {
    console.error(`${kind} ${name} is encoded as ${again}, not as ${header}`);
    process.exit(1);
  }
  console.log(kind, name, shown(fields));
}

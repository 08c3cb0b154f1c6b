#!/usr/bin/env node
// A zerodb client in JavaScript, written from bus/PROTOCOL.md alone: zeromq and @msgpack/msgpack.
//
//     client.mjs FOLDER put KEY [if_absent] < content
//     client.mjs FOLDER get KEY > content
//     client.mjs FOLDER list [PREFIX]
//     client.mjs FOLDER delete KEY
//
// FOLDER is the node's data folder. Exit codes as zdb's: 3 not found, 8 conflict, 1 the rest.

import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { decode, encode } from "@msgpack/msgpack";
import { Dealer } from "zeromq";

const small = 65536; // so many bytes go in one message
const window = 8; // requests of a download under way

/** An error reply: its code and what it says. */
export class Failed extends Error {
  constructor({ code, what }) {
    super(`${code}: ${what}`);
    this.code = code;
  }
}

// Versions and large sizes need 64 bits: the codec reads those as BigInt, and writes BigInt as such.
const options = { useBigInt64: true };
const integer = (value) => (value > 0xffffffff ? BigInt(value) : value);

/** Bytes of a stream in pieces of `size`, of which the last may be shorter. */
async function* pieces(source, size) {
  let parts = [];
  let length = 0;
  for await (const part of source) {
    parts.push(part);
    length += part.length;
    if (length < size) continue;
    let all = Buffer.concat(parts);
    for (; all.length >= size; all = all.subarray(size)) yield all.subarray(0, size);
    parts = [all];
    length = all.length;
  }
  if (length > 0) yield Buffer.concat(parts);
}

/** One connection to a node. For one caller at a time; replies may come in any order. */
export class Client {
  constructor(folder) {
    this.socket = new Dealer({ linger: 0, immediate: true, sendTimeout: 5_000, receiveTimeout: 120_000 });
    this.socket.connect(`ipc://${folder}/client.sock`);
    this.lastId = 0;
    this.replies = new Map(); // that came before they were waited for, by id
  }

  close() {
    this.socket.close();
  }

  /** Sends a request and answers its id. */
  async send(name, fields = {}, payload = Buffer.alloc(0)) {
    const id = ++this.lastId;
    await this.socket.send([encode({ v: 1, t: name, id, ...fields }, options), payload]);
    return id;
  }

  /** The reply to request `id`, with its payload. */
  async receive(id) {
    while (!this.replies.has(id)) {
      const [header, payload] = await this.socket.receive();
      const reply = decode(header, options);
      this.replies.set(Number(reply.id), { ...reply, payload });
    }
    const reply = this.replies.get(id);
    this.replies.delete(id);
    if (reply.t === "error") throw new Failed(reply);
    return reply;
  }

  async ask(name, fields, payload) {
    return this.receive(await this.send(name, fields, payload));
  }

  /** Stores all of a stream; answers `stored`. */
  async put(key, source, fields = {}) {
    const chunks = pieces(source, 1 << 20);
    const first = (await chunks.next()).value ?? Buffer.alloc(0);
    if (first.length <= small) {
      return this.ask("put", { key, size: first.length, ...fields }, first);
    }
    const opened = await this.ask("put", { key, ...fields });
    if (opened.chunk_bytes !== 1 << 20) throw new Error("the node wants chunks of another size");
    const { upload } = opened;
    let { credit } = opened;
    const unanswered = []; // id and bytes, oldest first
    let [offset, underWay] = [0, 0];
    for (let chunk = first; chunk; chunk = (await chunks.next()).value) {
      while (unanswered.length > 0 && underWay + chunk.length > Number(credit)) {
        const oldest = unanswered.shift();
        ({ credit } = await this.receive(oldest.id));
        underWay -= oldest.bytes;
      }
      const id = await this.send("put_data", { upload, offset: integer(offset) }, chunk);
      unanswered.push({ id, bytes: chunk.length });
      underWay += chunk.length;
      offset += chunk.length;
    }
    for (const { id } of unanswered) await this.receive(id);
    return this.ask("put_end", { upload, size: integer(offset) });
  }

  /** The bytes of an object, piece after piece. */
  async *get(key) {
    const about = await this.ask("get", { key });
    if (about.download === undefined) return yield about.payload;
    const { download, chunk_bytes: length } = about;
    const asked = [];
    for (let offset = 0; offset < Number(about.length); offset += length) {
      asked.push(await this.send("get_data", { download, offset: integer(offset), length }));
      if (asked.length === window) yield (await this.receive(asked.shift())).payload;
    }
    for (const id of asked) yield (await this.receive(id)).payload;
    await this.ask("get_end", { download });
  }

  /** Every entry whose key begins with `prefix`, in order. */
  async *list(prefix = "") {
    for (let after = "", more = true; more; ) {
      const page = await this.ask("list", { prefix, after, limit: 500 });
      yield* page.entries;
      more = page.more;
      if (more) after = page.entries.at(-1).key;
    }
  }

  async delete(key, fields = {}) {
    return this.ask("delete", { key, ...fields });
  }
}

async function write(bytes) {
  if (!process.stdout.write(bytes)) await once(process.stdout, "drain");
}

async function run(client, verb, key, condition) {
  if (verb === "put") {
    await client.put(key, process.stdin, condition ? { [condition]: true } : {});
  } else if (verb === "get") {
    for await (const part of client.get(key)) await write(part);
  } else if (verb === "list") {
    for await (const entry of client.list(key)) await write(`${entry.size} ${entry.key}\n`);
  } else if (verb === "delete") {
    await client.delete(key);
  } else {
    throw new Error("use: client.mjs FOLDER put|get|list|delete [KEY]");
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, ...words] = process.argv.slice(2);
  const client = new Client(folder);
  try {
    await run(client, ...words);
  } catch (error) {
    console.error(error.message);
    process.exitCode = { not_found: 3, conflict: 8 }[error.code] ?? 1;
  }
  client.close();
}

#!/usr/bin/env node
// A zerodb client in JavaScript, written from bus/PROTOCOL.md alone: zeromq and @msgpack/msgpack.
//
//     client.mjs FOLDER put KEY [if_absent] < content
//     client.mjs FOLDER get KEY > content
//     client.mjs FOLDER list [PREFIX]
//     client.mjs FOLDER delete KEY
//     client.mjs FOLDER follow PREFIX --durable NAME [--count N]
//
// FOLDER is the node's data folder. Exit codes as zdb's: 3 not found, 8 conflict, 1 the rest. What
// `follow` prints, client.py says.

import { once } from "node:events";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { decode, encode } from "@msgpack/msgpack";
import { Dealer, Subscriber } from "zeromq";

const small = 65536; // so many bytes go in one message
const window = 8; // requests of a download under way
const askEveryMs = 1_000; // for events, also when nothing was heard
const again = ["busy", "timeout", "no_quorum", "EAGAIN"]; // repeating helps; the last is libzmq's

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
  constructor(folder, receiveTimeout = 120_000) {
    this.socket = new Dealer({ linger: 0, immediate: true, sendTimeout: 5_000, receiveTimeout });
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

/** A durable follower of keys that begin with `prefix`. The publisher wakes it, the log tells. */
class Follower {
  constructor(folder, prefix, durable) {
    this.prefix = prefix;
    this.durable = durable;
    this.client = new Client(folder, 5_000);
    this.wakes = new Subscriber();
    for (const kind of ["store", "delete"]) {
      const topic = Buffer.from(`${kind} ${prefix}`);
      this.wakes.subscribe(topic.subarray(0, 200)); // libzmq breaks long ones
    }
    this.wakes.connect(`ipc://${folder}/events.sock`);
  }

  /** Prints `count` events as they come. */
  async follow(count) {
    for (let [told, waiting] = [0, false]; told < count; ) {
      try {
        const toldNow = await this.tell(Math.min(count - told, 1000));
        told += toldNow;
        waiting = false;
        if (toldNow === 0) await this.wait();
      } catch (error) {
        if (!again.includes(error.code)) throw error;
        if (!waiting) console.error("the node does not answer; waiting for it");
        waiting = true;
        await sleep(100);
      }
    }
  }

  /** Prints what is new, and only then acknowledges it; answers how many events there were. */
  async tell(limit) {
    const { durable, prefix } = this;
    const page = await this.client.ask("events", { durable, prefix, limit });
    const { epoch, entries, next } = page;
    if (page.gap || page.reset) await this.resync(page);
    await write(entries.map(({ sequence, kind, key }) => `${sequence} ${kind} ${key}\n`).join(""));
    // Also if there was nothing: past the events of other keys.
    await this.client.ask("events_ack", { durable, epoch, sequence: BigInt(next) - 1n });
    return entries.length;
  }

  /** Prints all there is, in place of events that nobody can tell any more. */
  async resync({ reset, next }) {
    const last = BigInt(next) - 1n;
    await write(`${last} resync ${this.prefix}\n`);
    let objects = 0;
    for await (const { key } of this.client.list(this.prefix)) {
      await write(`${last} listed ${key}\n`);
      ++objects;
    }
    const why = reset ? "the log is another one" : "the log does not go back so far";
    console.error(`${why}: listed the ${objects} objects there are, going on after event ${last}`);
  }

  /** Until something may have happened. */
  async wait() {
    try {
      for (this.wakes.receiveTimeout = askEveryMs; ; this.wakes.receiveTimeout = 0) {
        await this.wakes.receive();
      }
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }

  close() {
    this.client.close();
    this.wakes.close();
  }
}

async function follow(folder, prefix, args) {
  const options = { durable: { type: "string" }, count: { type: "string" } };
  const { durable, count } = parseArgs({ args, options }).values;
  if (durable === undefined) throw new Error("use: client.mjs FOLDER follow PREFIX --durable NAME");
  const follower = new Follower(folder, prefix, durable);
  await follower.follow(Number(count ?? Infinity)).finally(() => follower.close());
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
    throw new Error("use: client.mjs FOLDER put|get|list|delete|follow [KEY]");
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, ...words] = process.argv.slice(2);
  const client = new Client(folder);
  try {
    if (words[0] === "follow") await follow(folder, words[1], words.slice(2));
    else await run(client, ...words);
  } catch (error) {
    console.error(error.message);
    process.exitCode = { not_found: 3, conflict: 8 }[error.code] ?? 1;
  }
  client.close();
}

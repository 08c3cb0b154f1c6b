#!/usr/bin/env node
// Fetches in/TASK, turns it around, stores it as out/TASK, and reports. See worker.py.
//
//     worker.mjs NODE_FOLDER PIPES

import process from "node:process";
import { Pull, Push } from "zeromq";
import { Client } from "./client.mjs";

const [nodeFolder, pipes] = process.argv.slice(2);
const node = new Client(nodeFolder);
const tasks = new Pull();
tasks.connect(`ipc://${pipes}/tasks`);
const results = new Push();
results.connect(`ipc://${pipes}/results`);
const attributes = { worker: `js ${process.pid}` };

for await (const [message] of tasks) {
  const task = message.toString();
  let outcome = "stored";
  try {
    const parts = [];
    for await (const part of node.get(`in/${task}`)) parts.push(part);
    const turned = Buffer.concat(parts).reverse();
    await node.put(`out/${task}`, [turned], { if_absent: true, attributes });
  } catch (error) {
    if (error.code !== "conflict") continue; // it will be handed out again
    outcome = "duplicate";
  }
  await results.send(`${outcome} ${task} js`);
}

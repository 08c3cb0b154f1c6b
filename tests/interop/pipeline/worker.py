#!/usr/bin/python3
"""Fetches in/TASK, turns it around, stores it as out/TASK, and reports.

    worker.py NODE_FOLDER PIPES

Nobody knows whether a task was handed out before, so the result is stored only if there is none:
whoever comes second is told so, and reports a duplicate. worker.mjs does the same in JavaScript.
"""

import io
import os
import pathlib
import sys

import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from client import Client, Failed  # noqa: E402
from sockets import connected  # noqa: E402

node_folder, pipes = sys.argv[1:]
node = Client(node_folder)
tasks = connected(zmq.PULL, pipes, "tasks")
results = connected(zmq.PUSH, pipes, "results")

while True:
    task = tasks.recv_string()
    content = io.BytesIO()
    node.get(f"in/{task}", content)
    turned = io.BytesIO(content.getvalue()[::-1])
    try:
        node.put(f"out/{task}", turned, if_absent=True, attributes={"worker": f"py {os.getpid()}"})
        outcome = "stored"
    except Failed as failed:
        if failed.code != "conflict":
            continue  # it will be handed out again
        outcome = "duplicate"
    results.send_string(f"{outcome} {task} py")

#!/usr/bin/python3
"""Hands out one task for each object under in/, until the sink has heard that all are done.

    ventilator.py NODE_FOLDER PIPES

A task is a key and not its content. A worker that dies takes with it the tasks it was given: what
is not done after a while is handed out again. PIPES is a folder for the pipeline's own sockets.
"""

import pathlib
import sys
import time

import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from client import Client  # noqa: E402
from sockets import bound  # noqa: E402

WINDOW = 6  # tasks handed out and not done: what a dead worker can hold up
PATIENCE_S = 2

node_folder, pipes = sys.argv[1:]
tasks = bound(zmq.PUSH, pipes, "tasks")
done = bound(zmq.PULL, pipes, "done")

waiting = [entry["key"].removeprefix("in/") for entry in Client(node_folder).list("in/")]
handed_out = {}  # task: when
again = 0
while waiting or handed_out:
    now = time.monotonic()
    for task in [t for t, when in handed_out.items() if now - when > PATIENCE_S]:
        del handed_out[task]
        waiting.append(task)
        again += 1
    room = waiting and len(handed_out) < WINDOW and tasks.poll(0, zmq.POLLOUT)
    if room:
        task = waiting.pop(0)
        tasks.send_string(task)
        handed_out[task] = now
    while done.poll(0 if room else 50):
        task = done.recv_string()
        handed_out.pop(task, None)
        waiting = [t for t in waiting if t != task]
print("handed out again:", again)
zmq.Context.instance().destroy(linger=0)

#!/usr/bin/python3
"""Collects what workers report, prints it, and tells the ventilator what is done.

    sink.py PIPES
"""

import sys

import zmq

pipes = sys.argv[1]
context = zmq.Context.instance()
results = context.socket(zmq.PULL)
results.bind(f"ipc://{pipes}/results")
done = context.socket(zmq.PUSH)
done.connect(f"ipc://{pipes}/done")

while True:
    report = results.recv_string()
    print(report, flush=True)
    done.send_string(report.split()[1])

#!/usr/bin/python3
"""Collects what workers report, prints it, and tells the ventilator what is done.

    sink.py PIPES
"""

import sys

import zmq

from sockets import bound, connected

pipes = sys.argv[1]
results = bound(zmq.PULL, pipes, "results")
done = connected(zmq.PUSH, pipes, "done")

while True:
    report = results.recv_string()
    print(report, flush=True)
    done.send_string(report.split()[1])

#!/usr/bin/python3
"""Nothing grows: three gateways under steady work, their memory and descriptors looked at all along.

ZERODB_SOAK_S says how long (45 s; `make soak`: 30 minutes). The same keys are put, overwritten, read,
listed and deleted over and over by clients that come and go, so that after a while every structure
has the size it will have for ever. Then resident memory and open descriptors of each node in the
last third are held against the third before it.
"""

import contextlib
import os
import pathlib
import random
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

from harness import KIB, MIB, SANITIZED, FreshMeshTest, content, main
from wire import Refused, Wire

SOAK_S = float(os.environ.get("ZERODB_SOAK_S", 45))
SEED = int(os.environ.get("ZERODB_SEED", time.time_ns() % 1_000_000))
CLIENTS, KEYS, TURNS = 4, 60, 25
SIZES = (0, 100, 4 * KIB, 64 * KIB, 200 * KIB, 2 * MIB)
SAMPLE_S = 1.0
MEMORY_SLACK = 1.10
# What RocksDB's write buffers and caches may still gain while a run is as short as in the suite.
MEMORY_SLACK_BYTES = (8 if SOAK_S >= 600 else 48) * MIB
BLOB_FILES_KEPT_OPEN = 64  # open_blob_files_max in store/blobs.cpp
DESCRIPTOR_SLACK = 16  # what clients who come and go may have open at a moment
# So small a cache is full within moments; what a larger one still takes is no growth without end.
FAST = {"superseded_keep_s": 60, "reconcile_interval_s": 10, "index_cache_bytes": "4MiB"}


class Client(threading.Thread):
    """Turns at keys of its own, a few on each connection, through a node chosen at random."""

    def __init__(self, number, nodes):
        super().__init__(name=f"client {number}")
        self.prefix, self.nodes = f"c{number}/", nodes
        self.choice = random.Random(f"{SEED}/{number}")
        self.held, self.done, self.errors, self.ended = {}, 0, [], threading.Event()

    def run(self):
        try:
            while not self.ended.is_set():
                with Wire(self.choice.choice(self.nodes)) as wire:
                    for _ in range(TURNS):
                        self.turn(wire)
        except Exception as error:  # what a thread raises is raised by nobody
            self.errors.append(f"{self.name}: {type(error).__name__}: {error}")

    def turn(self, wire):
        key = f"{self.prefix}{self.choice.randrange(KEYS)}"
        kind = self.choice.random()
        if kind < 0.45:
            data = content(self.choice.choice(SIZES), seed=self.done)
            wire.put(key, data)
            self.held[key] = data
        elif kind < 0.9:
            self.check_read(wire, key)
        elif kind < 0.97 and key in self.held:
            wire.ask("delete", key=key)
            del self.held[key]
        else:
            wire.ask("list", prefix=self.prefix, after="", limit=100)
        self.done += 1

    def check_read(self, wire, key):
        try:
            got = wire.get(key)
        except Refused as refused:
            if refused.code != "not_found" or key in self.held:
                raise
        else:
            if got != self.held.get(key):
                raise AssertionError(f"{key} reads as something else")


def resident_bytes(node):
    for line in pathlib.Path(f"/proc/{node.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * KIB
    raise AssertionError(f"{node.name} has no resident memory")


def descriptors(node):
    """But for the databases' tables: those are as many as it takes for what is held just then, and
    RocksDB bounds them (max_open_files). Nor for the blob files that a store keeps open for reading,
    as far as it may: a slow machine is long in opening so many."""
    folder = pathlib.Path(f"/proc/{node.process.pid}/fd")
    count = blob_files = 0
    for number in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed since
            path = os.readlink(folder / number)
            blob_files += "/blobs/" in path
            count += not path.endswith((".sst", ".blob")) and "/blobs/" not in path
    return count + max(0, blob_files - BLOB_FILES_KEPT_OPEN)


def thirds(samples):
    """Medians of the second and of the last third."""
    third = len(samples) // 3
    return statistics.median(samples[third:2 * third]), statistics.median(samples[2 * third:])


class Soak(FreshMeshTest):

    def test_nothing_grows(self):
        print(f"ZERODB_SEED={SEED} ZERODB_SOAK_S={SOAK_S:.0f}", flush=True)
        nodes = self.mesh.grow(3)
        self.hurry(nodes)
        self.mesh.wait_linked()
        clients = [Client(number, nodes) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        memory, open_files = self.sample(nodes, clients)
        for client in clients:
            client.ended.set()
        for client in clients:
            client.join()
        self.assertEqual([], [error for client in clients for error in client.errors])
        print(f"{sum(client.done for client in clients):,} operations", flush=True)
        for node in nodes:
            with self.subTest(node=node.name):
                self.check(node.name, memory[node], open_files[node])
                self.assertEqual(0, node.stop())

    def hurry(self, nodes):
        """Sweeps and reconciles that come round often enough to be part of the soak. All stop before
        one starts, so that none takes a link to a node that is about to stop for one that stands."""
        for node in nodes:
            node.stop()
            node.configure(**FAST)
        for node in nodes:
            node.start()

    def sample(self, nodes, clients):
        memory, open_files = {node: [] for node in nodes}, {node: [] for node in nodes}
        end = time.monotonic() + SOAK_S
        while time.monotonic() < end and not any(client.errors for client in clients):
            for node in nodes:
                memory[node].append(resident_bytes(node))
                open_files[node].append(descriptors(node))
            clients[0].join(SAMPLE_S)  # ends early when something went wrong
        return memory, open_files

    def check(self, name, memory, open_files):
        before, after = thirds(memory)
        files_before, files_after = thirds(open_files)
        print(f"{name}: {before / MIB:.1f} then {after / MIB:.1f} MiB resident, "
              f"{files_before:.0f} then {files_after:.0f} descriptors", flush=True)
        self.assertLessEqual(files_after, files_before + DESCRIPTOR_SLACK)
        if not SANITIZED:  # a sanitizer keeps what was freed
            self.assertLessEqual(after, before * MEMORY_SLACK + MEMORY_SLACK_BYTES)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""What a million objects, a thousand clients, catching up and a new node cost: `make scale`.

Real daemons, real puts; some minutes and about 4 GiB of disk. Counts can be made smaller:

    ZERODB_OBJECTS=100000 tests/scale/test_scale.py Million
    ZERODB_OBJECTS=10000 tests/scale/test_scale.py CatchUp Join

Figures are printed. What depends on no clock is also checked.
"""

import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

import msgpack
import zmq

from harness import KIB, MIB, FreshMeshTest, content, eventually, main
from wire import Wire

IN_FLIGHT = 200
PATIENCE_S = 600


def count(default):
    return int(os.environ.get("ZERODB_OBJECTS", default))


def put_many(node, names, data):
    """Puts `data` under each name, many at once; every one must be acknowledged."""
    with Wire(node) as wire:
        waiting, sent = set(), 0
        for name in names:
            waiting.add(wire.send("put", data, key=name, size=len(data)))
            if len(waiting) >= IN_FLIGHT:
                collect(wire, waiting)
        while waiting:
            collect(wire, waiting)


def collect(wire, waiting):
    header = msgpack.unpackb(wire.socket.recv_multipart()[0])
    if header["t"] != "stored":
        raise AssertionError(f"put refused: {header}")
    waiting.remove(header["id"])


def resident_mib(node, what="VmRSS"):
    status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) / 1024


def received_bytes(node):
    """By all TCP connections that the node's process has now."""
    text = subprocess.run(["ss", "--tcp", "--info", "--processes", "--no-header", "--oneline"],
                          capture_output=True, text=True, check=True).stdout
    mine = [line for line in text.splitlines() if f"pid={node.process.pid}," in line]
    return sum(int(n) for line in mine for n in re.findall(r"bytes_received:(\d+)", line))


def timed(action):
    began = time.monotonic()
    value = action()
    return value, time.monotonic() - began


class Million(FreshMeshTest):
    """One node holds them all: what each replica of a mesh would keep of as many."""

    def test_a_million_objects(self):
        objects, folder = count(1_000_000), 100
        node = self.mesh.init().start()
        before = resident_mib(node)
        names = (f"photos/album {i // folder:06}/IMG_{i % folder:04}.jpg" for i in range(objects))
        _, seconds = timed(lambda: put_many(node, names, b"x" * 100))
        print(f"\nput {objects:,} objects: {objects / seconds:,.0f}/s")
        print(f"memory: {before:.0f} MiB empty, {resident_mib(node):.0f} MiB now, "
              f"{resident_mib(node, 'VmHWM'):.0f} MiB at most")

        node.stop()
        _, ready = timed(node.start)
        key = f"photos/album {objects // folder // 2:06}/IMG_0007.jpg"
        self.assertEqual(b"x" * 100, self.get(node, key))
        started = resident_mib(node)
        self.assertLess(started - before, 64 * objects / 1e6, "MiB beyond an empty node's")
        self.assertEqual(objects, node.status()["objects"])
        print(f"restart: serves after {ready:.2f} s, {started:.0f} MiB resident")

        prefixes = [f"photos/album {i:06}/" for i in range(0, objects // folder,
                                                           objects // folder // 20)]
        _, first = timed(lambda: self.ok(node, "ls", prefixes[0]))
        times = sorted(timed(lambda p=p: self.assertEqual(folder, len(self.keys(node, p))))[1]
                       for p in prefixes)
        print(f"zdb ls of {folder} names: {first * 1000:.0f} ms for the first, then "
              f"{times[len(times) // 2] * 1000:.0f} ms (median of {len(times)}), "
              f"{times[-1] * 1000:.0f} ms at most, the start of zdb included")
        print(f"memory: {resident_mib(node):.0f} MiB after the lists")


class CatchUp(FreshMeshTest):
    def test_a_node_that_missed_one_object_in_a_hundred(self):
        objects = count(100_000)
        missed, size = objects // 100, 2048
        nodes = self.mesh.grow(3)
        _, seconds = timed(lambda: put_many(nodes[0], (f"kept {i}" for i in range(objects - missed)),
                                            b"x" * 64))
        print(f"\nput {objects - missed:,} objects at R = 3: {(objects - missed) / seconds:,.0f}/s")
        away = nodes[2]
        eventually(lambda: away.status()["objects"] == objects - missed, "all are everywhere",
                   deadline_s=PATIENCE_S)
        away.stop()
        eventually(lambda: away.name not in nodes[0].up(), "its absence is known")
        put_many(nodes[0], (f"missed {i}" for i in range(missed)), b"y" * size)
        away.start()
        eventually(lambda: away.status()["objects"] == objects, "it has caught up",
                   deadline_s=PATIENCE_S)
        received = received_bytes(away)
        print(f"missed {missed:,} objects of {size} bytes, {missed * size / MIB:.2f} MiB; received "
              f"{received / MIB:.2f} MiB in all since its start: {received / missed / size:.2f} times")
        self.assertLess(received, 3 * missed * size)

    def test_a_node_that_missed_all(self):
        objects, size = count(100_000), 1024
        nodes = self.mesh.grow(3)
        away = nodes[2]
        away.stop()
        eventually(lambda: away.name not in nodes[0].up(), "its absence is known")
        _, put_s = timed(lambda: put_many(nodes[0], (f"missed {i}" for i in range(objects)),
                                          b"y" * size))
        away.start()
        _, caught_up_s = timed(lambda: eventually(lambda: away.status()["objects"] == objects,
                                                  "it has caught up", deadline_s=PATIENCE_S))
        print(f"\nmissed {objects:,} objects of {size} bytes, put at {objects / put_s:,.0f}/s on two "
              f"nodes; caught up at {objects / caught_up_s:,.0f}/s: {put_s / caught_up_s:.2f} times "
              "as fast")


class Join(FreshMeshTest):
    def test_a_fourth_node_takes_a_quarter_of_the_bytes(self):
        objects, size = count(10_000), 16 << 10
        nodes = self.mesh.grow(3)
        put_many(nodes[0], (f"object {i}" for i in range(objects)), b"z" * size)
        eventually(lambda: all(n.status()["objects"] == objects for n in nodes),
                   "all are everywhere", deadline_s=PATIENCE_S)
        before = sum(n.status()["blob_bytes"] for n in nodes)
        self.mesh.grow(4)
        eventually(lambda: sum(n.status()["objects"] for n in self.mesh.nodes) == 3 * objects,
                   "old holders have let go", deadline_s=PATIENCE_S)
        held = [n.status()["blob_bytes"] for n in self.mesh.nodes]
        received = received_bytes(self.mesh.nodes[3])
        share = held[3] / before
        print(f"\n{objects:,} objects, {before / MIB:.1f} MiB in three copies; the fourth node holds "
              f"{share:.1%} of them and received {received / before:.1%}; held by each: "
              + ", ".join(f"{h / before:.1%}" for h in held))
        self.assertEqual(before, sum(held))
        self.assertLess(abs(share - 0.25), 0.03)


class OneOfMany:
    """One client of many in this thread: puts its objects one after the other, then gets them."""

    def __init__(self, context, node, number, objects):
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(f"ipc://{node.folder}/client.sock")
        self.number, self.objects, self.step = number, objects, 0

    def data(self, i):
        return content(4 * KIB, f"{self.number}/{i}")

    def ask(self):
        """Sends the next request; false when there is none left."""
        i, verb = self.step % self.objects, self.step // self.objects
        if verb > 1:
            return False
        header = {"v": 1, "t": ("put", "get")[verb], "id": self.step, "key": f"{self.number}/{i}"}
        if verb == 0:
            header["size"] = 4 * KIB
        self.socket.send_multipart([msgpack.packb(header), self.data(i) if verb == 0 else b""])
        return True

    def take(self):
        """Checks the answer to it."""
        header, payload = self.socket.recv_multipart()
        header = msgpack.unpackb(header)
        getting = self.step >= self.objects
        if header["t"] != ("stored", "object")[getting] or header["id"] != self.step:
            raise AssertionError(f"client {self.number}: {header}")
        if getting and payload != self.data(self.step % self.objects):
            raise AssertionError(f"client {self.number}: not what was put")
        self.step += 1


class Clients(FreshMeshTest):
    def test_a_thousand_at_once(self):
        clients, objects = count(1000), 100
        node = self.mesh.init().start()
        context = zmq.Context()
        context.set(zmq.MAX_SOCKETS, clients + 10)
        self.addCleanup(context.destroy, linger=0)
        poller, all_of_them = zmq.Poller(), {}
        for number in range(clients):
            client = OneOfMany(context, node, number, objects)
            all_of_them[client.socket] = client
            poller.register(client.socket, zmq.POLLIN)
            client.ask()
        began = time.monotonic()
        while all_of_them:
            ready = poller.poll(PATIENCE_S * 1000)
            self.assertTrue(ready, "somebody is answered")
            for socket, _ in ready:
                all_of_them[socket].take()
                if not all_of_them[socket].ask():
                    poller.unregister(socket)
                    del all_of_them[socket]
                    socket.close()
        seconds, peak = time.monotonic() - began, resident_mib(node, "VmHWM")
        print(f"\n{clients:,} clients, each {objects} puts and {objects} gets of 4 KiB: "
              f"{2 * clients * objects / seconds:,.0f} operations/s, "
              f"{peak:.0f} MiB at most in the node")
        self.assertLess(peak, 512)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""A mesh through all that happens to one: nodes join, one is drained, one loses its disk, one rots.

Clients put, get and delete all the while. In the end every acknowledged object reads back right
through every gateway, none that was deleted exists, and every node holds exactly what is placed on
it. The seed is printed; ZERODB_SEED=N repeats its choices (the timing of processes differs).
"""

import hashlib
import os
import pathlib
import random
import shutil
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

import zmq

from harness import KIB, MIB, SANITIZED, FreshMeshTest, content, eventually, main
from wire import Refused, Wire

SEED = int(os.environ.get("ZERODB_SEED", time.time_ns() % 1_000_000))
OBJECTS = int(os.environ.get("ZERODB_OBJECTS", 1000 if SANITIZED else 3000))
CLIENTS = 3
PATIENCE_S = 300
ABSENT = None


def mark(data):
    """What is remembered of content."""
    return hashlib.sha256(data).digest()


def random_size(choice):
    """Mostly inline, some of a few chunks."""
    kind = choice.random()
    if kind < 0.80:
        return choice.randrange(0, 16 * KIB)
    if kind < 0.97:
        return choice.randrange(64 * KIB, 512 * KIB)
    return choice.randrange(MIB, 3 * MIB)


class Client(threading.Thread):
    """Puts, gets and deletes keys of its own through one gateway after the other."""

    def __init__(self, number, nodes, expected):
        super().__init__(name=f"client {number}")
        self.choice = random.Random(f"{SEED}/client/{number}")
        self.prefix, self.nodes, self.expected = f"c{number}/", nodes, expected
        self.ended, self.errors, self.done, self.refused = threading.Event(), [], 0, 0

    def run(self):
        try:
            while not self.ended.is_set():
                self.one_turn()
        except Exception as error:  # what a thread raises is raised by nobody
            self.errors.append(f"{self.name}: {type(error).__name__}: {error}")

    def one_turn(self):
        """Some operations with one gateway; it may be down or go down meanwhile."""
        node = self.choice.choice(self.nodes)
        daemon = node.process
        if not node.running():
            return
        try:
            with Wire(node) as wire:
                for _ in range(10):
                    if self.ended.is_set():
                        return
                    self.one_operation(wire)
        except zmq.Again:
            if daemon.poll() is None:
                raise  # it lives, and does not answer
            self.refused += 1

    def one_operation(self, wire):
        key = self.prefix + str(self.choice.randrange(200))
        possible = self.expected.setdefault(key, {ABSENT})
        kind = self.choice.random()
        try:
            if kind < 0.4:
                self.get(wire, key, possible)
            elif kind < 0.85:
                self.put(wire, key, possible)
            else:
                self.remove(wire, key, possible)
            self.done += 1
        except Refused as error:
            if error.code not in ("no_quorum", "timeout", "busy"):
                raise
            self.refused += 1

    def get(self, wire, key, possible):
        try:
            seen = mark(wire.get(key))
        except Refused as error:
            if error.code != "not_found":
                raise
            seen = ABSENT
        if seen not in possible:
            self.errors.append(f"{key}: read something that was not written last")

    def put(self, wire, key, possible):
        data = self.choice.randbytes(random_size(self.choice) % (256 * KIB))
        possible.add(mark(data))  # what fails may stand or not
        wire.put(key, data)
        possible.intersection_update({mark(data)})

    def remove(self, wire, key, possible):
        possible.add(ABSENT)
        try:
            wire.ask("delete", key=key)
        except Refused as error:
            if error.code != "not_found":
                raise
        possible.intersection_update({ABSENT})


class Life(FreshMeshTest):
    def test_a_mesh_through_all_that_happens_to_one(self):
        print(f"seed {SEED}", flush=True)
        choice = random.Random(SEED)
        n1, n2, n3 = self.mesh.grow(3)
        expected = self.fill(n1)
        clients = [Client(number, self.mesh.nodes, expected) for number in range(CLIENTS)]
        for client in clients:
            client.start()
            self.addCleanup(client.join)
            self.addCleanup(client.ended.set)

        n4, n5 = self.step("two join", lambda: self.mesh.grow(5)[3:])
        self.step("until they hold their share", self.wait_whole)
        self.step("one is drained", lambda: self.drain(n1, n2))
        self.step("one loses its disk", lambda: self.lose_disk(n3))
        self.step("until it holds its share again", self.wait_whole)
        self.step("one rots", lambda: self.rot(n4, choice))
        self.step("scrubs find it", lambda: self.scrub_all(n1, n3, n4, n5))
        self.step("until all is repaired", self.wait_whole)

        for client in clients:
            client.ended.set()
        for client in clients:
            client.join()
        done, refused = sum(c.done for c in clients), sum(c.refused for c in clients)
        print(f"  clients: {done} operations, {refused} refused", flush=True)
        self.assertEqual([], [error for client in clients for error in client.errors])
        self.assertGreater(done, 100)

        self.step("until all is in its place", self.wait_whole)
        for node in (n1, n3, n4, n5):
            self.step(f"all reads back through {node.name}", lambda: self.check(node, expected))
        self.step("each node holds its placement", self.check_placement)
        self.step("scrubs are clean", lambda: self.check_scrubs_clean(n1, n3, n4, n5))

    def step(self, what, action):
        started = time.monotonic()
        result = action()
        print(f"  {time.monotonic() - started:6.1f} s  {what}", flush=True)
        return result

    def fill(self, node):
        """Stores OBJECTS files, and answers what each key may hold: a set with one content."""
        choice, folder, expected = random.Random(f"{SEED}/fill"), self.files / "fill", {}
        folder.mkdir()
        for number in range(OBJECTS):
            data = content(random_size(choice), f"{SEED}/{number}")
            (folder / str(number)).write_bytes(data)
            expected[f"fill/{number}"] = {mark(data)}
        self.ok(node, "put", "-r", folder, "fill/", timeout_s=PATIENCE_S)
        shutil.rmtree(folder)
        return expected

    def wait_whole(self):
        """Until no running node has anything to take over, to hand over or to repair."""
        try:
            eventually(lambda: all(self.is_whole(node) for node in self.running()),
                       "every node holds what is placed on it", PATIENCE_S, every_s=0.5)
        except AssertionError as error:
            left = {node.name: (status["move"], status["damaged"])
                    for node in self.running() for status in [node.status()]}
            raise AssertionError(f"{error}: {left}") from None

    def running(self):
        return [node for node in self.mesh.nodes if node.running()]

    def is_whole(self, node):
        """Everybody has settled; nothing waits to be taken over, handed over or repaired here."""
        status = node.status()
        move = status["move"]
        moving = move["waits_for"] or move["take_over_partitions"] or move["hand_over_partitions"]
        return not moving and status["damaged"] == 0

    def drain(self, administrator, node):
        done = administrator.zdb("node", "drain", node.name, "--wait", timeout_s=PATIENCE_S)
        self.assertEqual(0, done.code, done)

    def lose_disk(self, node):
        node.kill()
        shutil.rmtree(node.folder / "store")
        node.start()
        self.mesh.wait_linked()

    def rot(self, node, choice):
        """200 flipped bits and 50 missing files, never more than the one copy of an object."""
        files = sorted(node.blobs())
        self.assertGreater(len(files), 100)
        for path in choice.sample(files, 50):
            path.unlink()
        files = sorted(node.blobs())
        for _ in range(200):
            path = choice.choice(files)
            at, bit = choice.randrange(path.stat().st_size), 1 << choice.randrange(8)
            with open(path, "r+b") as file:
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ bit]))

    def scrub_all(self, *nodes):
        for node in nodes:
            node.zdb("scrub", "--now", timeout_s=PATIENCE_S)

    def check_scrubs_clean(self, *nodes):
        for node in nodes:
            self.ok(node, "scrub", "--now", "--json", timeout_s=PATIENCE_S)

    def check(self, node, expected):
        """Every key is as it may be; what was read once is what must be read from then on."""
        listed = set(self.keys(node))
        wrong = []
        with Wire(node) as wire:
            for key, possible in expected.items():
                try:
                    seen = mark(wire.get(key))
                except Refused as error:
                    if error.code != "not_found":
                        wrong.append(f"{key}: {error}")
                        continue
                    seen = ABSENT
                if seen not in possible:
                    wrong.append(f"{key}: read something else")
                if (seen is not ABSENT) != (key in listed):
                    wrong.append(f"{key}: {'not ' if key not in listed else ''}listed")
                possible.intersection_update({seen})
        self.assertEqual([], wrong)
        self.assertLessEqual(listed, set(expected))

    def check_placement(self):
        """Three copies of each object and no blob file that is not one of them."""
        nodes = [node for node in self.running() if node.name != "n2"]
        live = len(self.keys(nodes[0]))
        eventually(lambda: sum(n.status()["objects"] for n in self.running()) == 3 * live,
                   "three copies of each object", PATIENCE_S, every_s=0.5)
        self.assertEqual(0, self.mesh.nodes[1].status()["objects"], "the drained node is empty")
        self.assertEqual([], self.mesh.nodes[1].blobs())
        # Versions that were overwritten a moment ago stay for readers: only those that stand count.
        standing = self.standing_blobs(nodes[0])
        held = {node.name: {path.name for path in node.blobs()} for node in nodes}
        copies = {blob: [name for name, blobs in held.items() if blob in blobs]
                  for blob in standing}
        self.assertEqual({}, {blob: names for blob, names in copies.items() if len(names) != 3})

    def standing_blobs(self, node):
        """Names of the files that hold the latest versions of the larger objects."""
        blobs = set()
        with Wire(node) as wire:
            for key in self.keys(node):
                about, _ = wire.ask("stat", key=key)
                if about["size"] > 64 * KIB:
                    blobs.add(f"{about['hashed_key']}.{about['blob_id']}")
        self.assertGreater(len(blobs), 100)
        return blobs


if __name__ == "__main__":
    main()

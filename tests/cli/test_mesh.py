#!/usr/bin/python3
"""Three nodes, R = 3: what one gateway stores, every gateway has; one node down changes nothing."""

import hashlib
import json
import os
import signal
import time
import unittest

from harness import KIB, MIB, MeshTest, content, eventually, main
from wire import Wire


class AllUp(MeshTest):
    size = 3

    def test_sizes_round_trip_between_nodes(self):
        for size in (0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB - 1, MIB, MIB + 1,
                     40 * MIB + 3):
            with self.subTest(size=size):
                data = content(size)
                self.put(self.nodes[0], f"size/{size}", data)
                for node in self.nodes:
                    self.assertTrue(data == self.get(node, f"size/{size}"), node.name)

    @unittest.skipUnless(os.environ.get("ZERODB_TEST_LARGE"), "ZERODB_TEST_LARGE=1 runs it")
    def test_5_gib_round_trip(self):
        block, source, got = content(8 * MIB), self.files / "source", self.files / "got"
        with open(source, "wb") as file:
            for number in range(640):
                file.write(number.to_bytes(8, "big") + block[8:])
        self.ok(self.nodes[0], "put", source, self.key, timeout_s=600)
        self.ok(self.nodes[1], "get", self.key, got, timeout_s=600)
        with open(source, "rb") as a, open(got, "rb") as b:
            self.assertEqual(hashlib.file_digest(a, "blake2b").digest(),
                             hashlib.file_digest(b, "blake2b").digest())

    def test_every_gateway_lists_everything_at_once(self):
        for number, node in enumerate(self.nodes):
            self.put(node, f"list/{number}", b"x")
        for node in self.nodes:
            self.assertEqual(["list/0", "list/1", "list/2"], self.keys(node, "list/"))

    def test_a_removal_is_seen_from_all(self):
        for data in (b"small", content(300 * KIB)):
            self.put(self.nodes[0], self.key, data)
            self.ok(self.nodes[1], "rm", self.key)
            for node in self.nodes:
                self.refused(3, node, "get", self.key, "-")
                self.refused(3, node, "stat", self.key)
                self.assertNotIn(self.key, self.keys(node))

    def test_the_last_write_wins_whichever_gateway_it_came_through(self):
        for turn in range(9):
            self.put(self.nodes[turn % 3], self.key, b"turn %d" % turn)
            self.assertEqual(b"turn %d" % turn, self.get(self.nodes[(turn + 1) % 3], self.key))

    def test_all_three_hold_it(self):
        before = [node.status() for node in self.nodes]
        self.put(self.node, self.key, content(2 * MIB))
        for node, was in zip(self.nodes, before):
            eventually(lambda: node.status()["objects"] == was["objects"] + 1, "a copy each")
            self.assertGreaterEqual(node.status()["blob_bytes"], was["blob_bytes"] + 2 * MIB)

    def test_a_missing_key_is_answered_at_once(self):
        for node in self.nodes:
            started = time.monotonic()
            self.refused(3, node, "get", "no-such-key", "-")
            self.assertLess(time.monotonic() - started, 3)

    def test_overwritten_while_being_read(self):
        old, new = content(6 * MIB, "old"), content(6 * MIB, "new")
        self.put(self.node, self.key, old)
        with Wire(self.nodes[1]) as wire:
            download = wire.ask("get", key=self.key)[0]["download"]
            got = [wire.ask("get_data", download=download, offset=0, length=MIB)[1]]
            self.put(self.node, self.key, new)
            for offset in range(MIB, 6 * MIB, MIB):
                got.append(wire.ask("get_data", download=download, offset=offset, length=MIB)[1])
        self.assertTrue(old == b"".join(got), "the version that was opened is read to its end")
        self.assertTrue(new == self.get(self.nodes[1], self.key))

    def test_removed_while_being_read(self):
        old = content(6 * MIB)
        self.put(self.node, self.key, old)
        with Wire(self.nodes[1]) as wire:
            download = wire.ask("get", key=self.key)[0]["download"]
            self.ok(self.node, "rm", self.key)
            got = [wire.ask("get_data", download=download, offset=offset, length=MIB)[1]
                   for offset in range(0, 6 * MIB, MIB)]
        self.assertTrue(old == b"".join(got))

    def test_many_clients_at_once(self):
        data = {f"many/{i}": content(3 * MIB, i) for i in range(6)}
        putting = [self.nodes[i % 3].zdb_start("put", self.file(f"f{i}", each), key)
                   for i, (key, each) in enumerate(data.items())]
        self.assertEqual([0] * 6, [p.wait(60) for p in putting])
        for i, (key, each) in enumerate(data.items()):
            self.assertTrue(each == self.get(self.nodes[(i + 1) % 3], key))


class OneDown(MeshTest):
    """n3 comes and goes."""

    size = 3

    def setUp(self):
        super().setUp()
        for node in self.nodes:
            if not node.running():
                node.start()
        self.mesh.wait_linked()
        self.third = self.nodes[2]

    def tearDown(self):
        for node in self.nodes:
            if node.running():
                node.signal(signal.SIGCONT)

    def warned(self, done):
        """An acknowledged put that could not reach n3: exit 0 and a warning that names it."""
        self.assertEqual((0, b""), (done.code, done.out), done)
        self.assertIn("n3", done.err)
        self.assertRegex(done.err, "(?i)warning.*2 of 3 nodes")

    def put_unnoticed(self, data):
        """A put so soon after n3 died that nobody may know yet: acknowledged, warned or not."""
        started = time.monotonic()
        done = self.node.zdb("put", "-", self.key, stdin=data, timeout_s=60)
        self.assertEqual((0, b""), (done.code, done.out), done)
        self.assertLess(time.monotonic() - started, 15)

    def begin_put(self, node, key, beginning):
        putting = node.zdb_start("put", "-", key)
        putting.stdin.write(beginning)
        putting.stdin.flush()
        eventually(lambda: node.status()["uploads"] >= 1, "the put has begun")
        return putting

    def holds(self, node, key):
        """Whether `node` itself keeps the current version's blob."""
        about = json.loads(self.ok(self.nodes[0], "stat", key, "--json").out)
        return any(about["blob_id"] in p.name for p in node.blobs())

    def test_killed_in_mid_put(self):
        data = content(24 * MIB)
        putting = self.begin_put(self.node, self.key, data[:8 * MIB])
        self.third.kill()
        out, err = putting.communicate(data[8 * MIB:], timeout=60)
        self.assertEqual((0, b""), (putting.returncode, out), err)
        self.assertIn(b"n3", err)
        for node in self.nodes[:2]:
            self.assertTrue(data == self.get(node, self.key))
        self.third.start()
        eventually(lambda: self.holds(self.third, self.key), "n3 fetches what it missed")
        self.assertEqual([], self.third.temporaries())
        self.assertTrue(data == self.get(self.third, self.key))

    def test_a_put_while_a_node_is_down_is_there_soon_after_it_returns(self):
        self.third.stop()
        self.mesh.wait_linked()
        objects, tombstones = (self.node.status()[f] for f in ("objects", "tombstones"))
        self.warned(self.node.zdb("put", "-", "down/small", stdin=b"missed"))
        self.warned(self.node.zdb("put", "-", "down/large", stdin=content(2 * MIB)))
        self.warned(self.node.zdb("put", "-", "down/removed", stdin=b"x"))
        removed = self.node.zdb("rm", "down/removed")
        self.assertEqual(0, removed.code, removed)
        self.third.start()
        self.mesh.wait_linked()
        eventually(lambda: [self.third.status()[f] for f in ("objects", "tombstones")]
                   == [objects + 2, tombstones + 1], "n3 has what it missed")
        self.assertTrue(self.holds(self.third, "down/large"))
        self.assertEqual(["down/large", "down/small"], self.keys(self.third, "down/"))

    def test_what_it_missed_can_be_read_through_it_when_the_others_are_few(self):
        self.third.kill()
        self.put_unnoticed(content(2 * MIB))
        self.third.start()
        self.mesh.wait_linked()
        eventually(lambda: self.holds(self.third, self.key), "n3 fetches what it missed")
        self.node.kill()
        self.assertTrue(content(2 * MIB) == self.get(self.third, self.key))

    def test_a_node_that_hangs_is_like_one_that_died(self):
        self.put(self.node, "before", b"x")
        self.third.signal(signal.SIGSTOP)
        data = content(4 * MIB)
        self.put_unnoticed(b"the first to meet it")
        eventually(lambda: "n3" not in self.node.up(), "n1 notices")
        self.warned(self.node.zdb("put", "-", self.key, stdin=data, timeout_s=60))
        self.assertTrue(data == self.get(self.nodes[1], self.key))
        self.assertEqual(b"x", self.get(self.node, "before"))
        self.third.signal(signal.SIGCONT)
        eventually(lambda: self.holds(self.third, self.key), "n3 fetches what it missed")

    def test_reads_and_listings_are_complete_and_prompt(self):
        self.put(self.third, self.key, content(2 * MIB))
        self.third.kill()
        for node in self.nodes[:2]:
            self.assertTrue(content(2 * MIB) == self.get(node, self.key))
            self.assertIn(self.key, self.keys(node))
            started = time.monotonic()
            self.refused(3, node, "get", "no-such-key", "-")
            self.assertLess(time.monotonic() - started, 3)

    def test_two_down_is_said_quickly(self):
        for key in (self.key, "doomed"):
            self.put(self.node, key, b"x")
        self.nodes[1].kill()
        self.third.kill()
        for words, given in ((("put", "-", "k"), b"y"), (("put", "-", "k"), content(2 * MIB)),
                             (("rm", "doomed"), b""),
                             (("ls",), b""), (("get", "no-such-key", "-"), b"")):
            started = time.monotonic()
            self.refused(5, self.node, *words, stdin=given, says=["(?i)n2|n3|quorum|nodes"],
                         timeout_s=60)
            self.assertLess(time.monotonic() - started, 15, words)
        self.nodes[1].start()
        eventually(lambda: self.node.zdb("get", self.key, "-").out == b"x", "two serve again")

    def test_a_gateway_killed_in_mid_put_leaves_nothing_visible(self):
        putting = self.begin_put(self.node, self.key, content(12 * MIB))
        self.node.kill()
        putting.stdin.close()
        self.assertIn(putting.wait(60), (1, 5))
        for node in self.nodes[1:]:
            self.refused(3, node, "get", self.key, "-")
            self.assertNotIn(self.key, self.keys(node))
        self.node.start()
        self.assertEqual([], self.node.temporaries())
        self.mesh.wait_linked()
        self.refused(3, self.node, "get", self.key, "-")

    def test_the_gateway_killed_in_mid_get_ends_the_get_with_nothing_left(self):
        self.put(self.node, self.key, content(64 * MIB))
        code = 0
        while code == 0:  # the get may be faster
            getting = self.node.zdb_start("get", self.key, self.files / "got")
            while getting.poll() is None and not list(self.files.iterdir()):
                pass
            self.node.kill()
            code = getting.wait(60)
            if code == 0:
                (self.files / "got").unlink()
                self.node.start()
                self.mesh.wait_linked()
        self.assertEqual(5, code, getting.stderr.read())
        self.assertEqual([], list(self.files.iterdir()))

    def test_a_holder_killed_in_mid_get_goes_unnoticed(self):
        data = content(48 * MIB)
        self.put(self.node, self.key, data)
        with Wire(self.nodes[1]) as wire:
            download = wire.ask("get", key=self.key)[0]["download"]
            parts = []
            for offset in range(0, len(data), MIB):
                if offset == 8 * MIB:
                    self.node.kill()
                parts.append(wire.ask("get_data", download=download, offset=offset, length=MIB)[1])
        self.assertTrue(data == b"".join(parts))


if __name__ == "__main__":
    main()

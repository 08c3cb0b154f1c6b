#!/usr/bin/python3
"""Bits that flip, files that vanish, an index that is lost: scrub finds it, repair mends it."""

import json
import os
import random
import shutil
import time

from harness import KIB, MIB, FreshMeshTest, content, eventually, main

SIZES = (0, 900, 5 * KIB, 60 * KIB, 70 * KIB, 300 * KIB, MIB + 7, 2 * MIB + 5)


class Scrub(FreshMeshTest):
    def fill(self, count=24):
        """Objects of all sizes, wholly on all three nodes."""
        self.mesh.grow(3)
        self.nodes = self.mesh.nodes
        self.objects = {f"name {i}": content(SIZES[i % len(SIZES)], i) for i in range(count)}
        for key, data in self.objects.items():
            self.put(self.nodes[0], key, data)
        eventually(lambda: all(n.status()["objects"] == count for n in self.nodes),
                   "all copies of all objects")

    def scrub(self, node, code=0):
        done = node.zdb("scrub", "--now", "--json")
        self.assertEqual(code, done.code, f"{done}\n{node.log_tail()}")
        return json.loads(done.out)

    def check_all(self, nodes=None):
        for node in nodes or self.nodes:
            for key, data in self.objects.items():
                self.assertTrue(data == self.get(node, key), (node.name, key))

    def flip(self, path, dice):
        with open(path, "r+b") as file:
            at = dice.randrange(path.stat().st_size)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << dice.randrange(8))]))

    def check_clean(self, node):
        again = self.scrub(node)
        self.assertEqual((0, 0, 0), (again["found"], again["orphans"], again["damaged"]), again)
        self.assertEqual(len(self.objects), again["versions"])
        self.assertEqual(0, node.status()["damaged"])

    def test_a_clean_node_is_clean(self):
        self.fill(8)
        for node in self.nodes:
            self.check_clean(node)
        text = self.ok(self.nodes[0], "scrub").out.decode()
        self.assertRegex(text, r"last walk: 8 objects, .* verified; 0 damaged or missing")

    def test_flipped_bits_and_missing_files_are_repaired(self):
        self.fill()
        hurt = self.nodes[1]
        dice = random.Random(3)
        blobs = sorted(hurt.blobs())
        self.assertEqual(12, len(blobs))
        for path in blobs[:7]:
            self.flip(path, dice)
        for path in blobs[7:10]:
            path.unlink()
        report = self.scrub(hurt)
        self.assertEqual((10, 10, 0), (report["found"], report["repaired"], report["damaged"]))
        self.assertEqual(len(self.objects), report["versions"])
        self.assertEqual(7, hurt.status()["quarantine_files"])
        self.check_clean(hurt)
        for other in (self.nodes[0], self.nodes[2]):
            other.stop()
        self.check_all([hurt])  # from its own disk alone

    def test_the_same_object_damaged_everywhere_in_other_chunks_is_made_whole(self):
        self.fill(8)
        key, size = "name 7", SIZES[7]
        blob_id = json.loads(self.ok(self.nodes[0], "stat", key, "--json").out)["blob_id"]
        for number, node in enumerate(self.nodes):
            path = next(p for p in node.blobs() if p.name.endswith(blob_id))
            with open(path, "r+b") as file:
                file.seek(128 + number * (MIB + 16) + 3)
                file.write(b"damage")
        self.assertGreater(size, 2 * MIB)
        self.assertEqual(1, self.scrub(self.nodes[0])["repaired"])
        for node in self.nodes:
            self.scrub(node)
        for node in self.nodes:
            self.check_clean(node)
        self.check_all()

    def test_what_no_node_has_whole_is_reported_and_repaired_when_it_can_be(self):
        self.fill(8)
        hurt, *others = self.nodes
        for other in others:
            other.stop()
        path = sorted(hurt.blobs())[0]
        self.flip(path, random.Random(1))
        report = self.scrub(hurt, code=6)
        self.assertEqual((1, 0, 1), (report["found"], report["repaired"], report["damaged"]))
        self.assertEqual(1, hurt.status()["damaged"])
        self.assertIn("wait for repair", hurt.zdb("status").out.decode())
        hurt.stop()
        hurt.start()
        self.assertEqual(1, hurt.status()["damaged"])
        for other in others:
            other.start()
        eventually(lambda: hurt.status()["damaged"] == 0, "repair once others are up")
        self.check_clean(hurt)
        self.check_all()

    def test_a_read_that_meets_damage_leads_to_repair(self):
        self.fill(8)
        for path in self.nodes[0].blobs():
            with open(path, "r+b") as file:
                file.seek(200)
                file.write(b"damage")

        def read_until_replaced():
            self.check_all([self.nodes[0]])  # a disk that is slow is overtaken by another node
            return self.nodes[0].status()["quarantine_files"] == 4

        eventually(read_until_replaced, "each is replaced")
        eventually(lambda: self.nodes[0].status()["damaged"] == 0, "and whole")
        self.check_clean(self.nodes[0])

    def test_stray_files_are_put_aside(self):
        self.fill(8)
        node = self.nodes[2]
        stray = sorted(node.blobs())[0].with_suffix("." + "ab" * 16)
        shutil.copyfile(sorted(node.blobs())[0], stray)
        long_ago = time.time() - 7200
        os.utime(stray, (long_ago, long_ago))
        self.assertEqual(1, self.scrub(node)["orphans"])
        self.assertFalse(stray.exists())
        self.check_clean(node)
        self.check_all()

    def test_a_node_without_its_store_refills_itself(self):
        self.fill()
        node = self.nodes[1]
        node.kill()
        shutil.rmtree(node.folder / "store")
        node.start()
        eventually(lambda: node.status()["objects"] == len(self.objects), "all of it is back")
        self.check_clean(node)
        for other in (self.nodes[0], self.nodes[2]):
            other.stop()
        self.check_all([node])

    def test_a_lost_index_is_made_anew(self):
        self.fill()
        self.ok(self.nodes[0], "rm", "name 4")
        del self.objects["name 4"]
        node = self.nodes[1]
        node.stop()
        shutil.rmtree(node.folder / "store/index")
        node.start()
        self.assertTrue(node.status()["index_rebuilt"])
        self.assertIn("made anew", node.zdb("status").out.decode())
        self.assertIn("made anew", node.log_tail())
        eventually(lambda: node.status()["objects"] == len(self.objects)
                   and node.status()["tombstones"] == 1, "the rest from other nodes")
        eventually(lambda: not node.status()["move"]["waits_for"], "it knows that this is all")
        self.scrub(node)
        self.nodes[0].stop()
        self.refused(3, node, "stat", "name 4")
        self.nodes[2].stop()
        self.check_all([node])
        self.refused(5, node, "stat", "name 4")  # the others may have it again

    def test_a_damaged_index_is_set_aside(self):
        self.fill(8)
        node = self.nodes[1]
        node.stop()
        (node.folder / "store/index/CURRENT").write_text("no such file")
        node.start()
        self.assertTrue(node.status()["index_rebuilt"])
        eventually(lambda: node.status()["objects"] == len(self.objects), "all of it is back")
        self.assertEqual(1, len(list((node.folder / "store").glob("index.damaged-*"))))
        self.scrub(node)
        self.check_all()
        node.stop()
        node.start()
        self.assertFalse(node.status()["index_rebuilt"])


if __name__ == "__main__":
    main()

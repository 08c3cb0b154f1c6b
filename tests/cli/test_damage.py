#!/usr/bin/python3
"""Bits that flip, files that vanish: a damaged chunk is never returned."""

import json

from harness import MIB, MeshTest, content, eventually, main

SIZE = 5 * MIB + 11


class Damage(MeshTest):
    size = 3

    def setUp(self):
        super().setUp()
        self.data = content(SIZE)
        self.put(self.node, self.key, self.data)
        about = json.loads(self.ok(self.node, "stat", self.key, "--json").out)
        self.blob_id = about["blob_id"]

    def blob(self, node):
        """Its file on `node`, which may be the one that follows the acknowledgement."""
        return eventually(lambda: next((p for p in node.blobs() if self.blob_id in p.name
                                        and p.stat().st_size >= SIZE), None), "a copy each")

    def flip(self, node, at):
        with open(self.blob(node), "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 0x10]))

    def restart(self):
        """So that nothing is read from memory."""
        for node in self.nodes:
            node.stop()
        for node in self.nodes:
            node.start()
        self.mesh.wait_linked()

    def test_a_flipped_bit_on_one_node_or_two_is_read_around(self):
        for hurt in (0, 1):
            for at in (0, 2 * MIB, SIZE - 100):
                self.flip(self.nodes[hurt], at)
            for node in self.nodes:
                self.assertTrue(self.data == self.get(node, self.key), node.name)

    def test_flipped_bits_in_different_chunks_on_all_nodes_are_read_around(self):
        for number, node in enumerate(self.nodes):
            self.flip(node, number * MIB + 1000 * (number + 1))
        for node in self.nodes:
            self.assertTrue(self.data == self.get(node, self.key), node.name)

    def test_the_same_chunk_damaged_on_all_is_beyond_repair(self):
        for node in self.nodes:
            self.flip(node, 3 * MIB + 500_000)
        for node in self.nodes:
            out = self.files / "got"
            self.refused(6, node, "get", self.key, out, says=[self.key, "(?i)damaged"])
            self.assertEqual([], list(self.files.iterdir()))
            done = node.zdb("get", self.key, "-")
            self.assertEqual(6, done.code)
            self.assertTrue(self.data.startswith(done.out), "not a wrong byte comes out")
            self.assertLess(len(done.out), SIZE)
            part = self.ok(node, "get", self.key, "-", "--range", f"0-{2 * MIB}").out
            self.assertTrue(self.data[:2 * MIB + 1] == part, "what is whole can still be read")

    def test_a_missing_file_is_read_around(self):
        self.blob(self.nodes[0]).unlink()
        for node in self.nodes:
            self.assertTrue(self.data == self.get(node, self.key), node.name)
        self.restart()
        self.assertTrue(self.data == self.get(self.nodes[0], self.key))

    def test_a_missing_file_on_all_is_beyond_repair(self):
        for node in self.nodes:
            self.blob(node).unlink()
        self.refused(6, self.node, "get", self.key, self.files / "got", says=[self.key])
        self.put(self.node, self.key, b"put anew")
        self.assertEqual(b"put anew", self.get(self.nodes[1], self.key))

    def test_a_short_file_is_read_around(self):
        with open(self.blob(self.nodes[0]), "r+b") as file:
            file.truncate(2 * MIB)
        with open(self.blob(self.nodes[1]), "r+b") as file:
            file.truncate(0)
        for node in self.nodes:
            self.assertTrue(self.data == self.get(node, self.key), node.name)

    def test_another_objects_bytes_in_the_file_are_not_believed(self):
        self.put(self.node, "other", content(SIZE, "other"))
        about = json.loads(self.ok(self.node, "stat", "other", "--json").out)
        for node in self.nodes[:2]:
            other = eventually(lambda: next((p for p in node.blobs() if about["blob_id"] in p.name),
                                            None), "a copy each")
            self.blob(node).write_bytes(other.read_bytes())
        for node in self.nodes:
            self.assertTrue(self.data == self.get(node, self.key), node.name)


if __name__ == "__main__":
    main()

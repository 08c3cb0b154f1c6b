#!/usr/bin/python3
"""The names that a gateway keeps: right after restarts and damage, and in nobody else's sight."""

import re
import shutil

from harness import FreshMeshTest, content, eventually, main


class Catalogue(FreshMeshTest):

    def grow(self):
        """Three nodes that log what their catalogues ask for."""
        self.mesh.grow(3)
        for node in self.mesh.nodes:
            node.stop()
        for node in self.mesh.nodes:
            node.start("--log-level", "debug")
        self.mesh.wait_linked()
        return self.mesh.nodes

    @staticmethod
    def differences(node):
        """Of each round of the catalogue that found any: partitions, versions not known."""
        found = re.findall(r"catalogue: (\d+) partitions differ, in them (\d+) versions",
                           node.log.read_text(errors="replace"))
        return [(int(partitions), int(versions)) for partitions, versions in found]

    def put_many(self, node, prefix, count):
        for i in range(count):
            self.file(f"in/{i:03}", b"%d" % i)
        self.ok(node, "put", "-r", self.files / "in", prefix)

    def learn_all(self, node, prefix):
        """Until each node holds its copies, and a gateway knows what each has: a list waits for no
        node that is late."""
        eventually(lambda: len({n.status()["objects"] for n in self.mesh.nodes}) == 1, "copies")

        def is_quiet():
            before = len(self.differences(node))
            return all(self.keys(node, prefix) and len(self.differences(node)) == before
                       for _ in range(15))
        eventually(is_quiet, "lists that find no difference")

    def test_names_are_there_after_a_restart_without_all_being_listed_again(self):
        one, two, _ = self.grow()
        self.put_many(one, "many/", 60)
        self.assertEqual(60, len(self.keys(two, "many/")))
        self.learn_all(two, "many/")
        two.stop()
        before = len(self.differences(two))
        self.assertGreater(before, 0)
        two.start("--log-level", "debug")
        self.mesh.wait_linked()
        self.assertEqual(60, len(self.keys(two, "many/")))
        self.put(one, "many/more", b"one more")
        self.ok(one, "rm", "many/000")
        keys = self.keys(two, "many/")
        self.assertIn("many/more", keys)
        self.assertNotIn("many/000", keys)
        since = self.differences(two)[before:]
        self.assertLess(sum(partitions for partitions, _ in since), 20, since)

    def test_a_killed_node_lists_everything(self):
        one, two, _ = self.grow()
        self.put_many(two, "many/", 20)
        two.kill()
        two.start()
        self.mesh.wait_linked()
        self.assertEqual(20, len(self.keys(two, "many/")))

    def test_a_damaged_or_lost_catalogue_is_made_anew(self):
        one, _, _ = self.grow()
        self.put_many(one, "many/", 20)
        self.assertEqual(20, len(self.keys(one, "many/")))
        for damage in ("zeros", "gone"):
            one.stop()
            for path in (one.folder / "catalogue").rglob("*"):
                if damage == "zeros" and path.is_file():
                    path.write_bytes(bytes(path.stat().st_size))
            if damage == "gone":
                shutil.rmtree(one.folder / "catalogue")
            one.start()
            self.mesh.wait_linked()
            self.assertEqual(20, len(self.keys(one, "many/")), damage)

    def test_no_file_of_any_node_shows_a_name(self):
        nodes = self.grow()
        secret = "nobody-may-read-this"
        self.put(nodes[0], f"{secret}/small", b"small")
        self.put(nodes[1], f"{secret}/large", content(300_000))
        self.ok(nodes[1], "rm", f"{secret}/small")
        for node in nodes:
            self.assertEqual([f"{secret}/large"], self.keys(node))
        for node in nodes:
            node.stop()
        for node in nodes:
            files = [p for p in node.folder.rglob("*") if p.is_file()]
            self.assertTrue(any("catalogue" in p.parts for p in files), files)
            for path in files:
                self.assertNotIn(secret.encode(), path.read_bytes(), path)

    def test_another_owner_has_another_catalogue(self):
        one = self.mesh.init().start()
        self.put(one, "of the first", b"1")
        self.assertEqual(["of the first"], self.keys(one))
        first = one.zdb("owner", "export").out
        other = self.mesh.init().start()
        second = other.zdb("owner", "export").out
        self.ok(one, "owner", "import", "--replace", "-", stdin=second)
        self.assertEqual([], self.keys(one))
        self.put(one, "of the second", b"2")
        self.assertEqual(["of the second"], self.keys(one))
        # Keys put aside are named after the second.
        eventually(lambda: one.zdb("owner", "import", "--replace", "-", stdin=first).code == 0,
                   "the first owner's key is back")
        self.assertEqual(["of the first"], self.keys(one))
        owners = [p.name for p in (one.folder / "catalogue").iterdir() if p.is_dir()]
        self.assertEqual(2, len(owners))


if __name__ == "__main__":
    main()

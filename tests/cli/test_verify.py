#!/usr/bin/python3
"""Receipts for what was put, and proofs that it is still held."""

import json
import stat

from harness import BIN, MIB, MeshTest, content, environment, eventually, main, run

SIZE = 3 * MIB + 11


class Verify(MeshTest):
    size = 3

    def report(self, node=None, code=0):
        done = (node or self.node).zdb("verify", self.key, "--json")
        self.assertEqual(code, done.code, done)
        return json.loads(done.out), done.err

    def states(self, node=None, code=0):
        return {n["name"]: n["state"] for n in self.report(node, code)[0]["nodes"]}

    def all_hold(self, node=None):
        """Also the node that follows the acknowledgement."""
        return (node or self.node).zdb("verify", self.key).code == 0

    def blob(self, node):
        blob_id = json.loads(self.ok(self.node, "stat", self.key, "--json").out)["blob_id"]
        return next(p for p in node.blobs() if blob_id in p.name)

    def flip(self, path, at):
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 0x10]))

    def test_1_every_node_proves_what_it_holds(self):
        for size in (0, 100, SIZE, 20 * MIB):
            self.put(self.node, self.key, content(size))
            eventually(self.all_hold, "a copy each")
            for node in self.nodes:
                report, _ = self.report(node)
                self.assertEqual((3, size), (report["holds"], report["size"]))
                self.assertEqual(min(report["chunks"], 16), report["chunks_asked"])
                self.assertTrue(all(n["ms"] >= 0 for n in report["nodes"]))
        said = self.ok(self.node, "verify", self.key).out.decode()
        self.assertRegex(said, r"n2 +holds +\d+ ms")
        self.assertRegex(said, "3 of 3 nodes proved that they hold .*16 of 20 chunks")

    def test_2_what_is_not_there_is_not_found(self):
        self.refused(3, self.node, "verify", "never stored", says=["never stored"])
        self.put(self.node, self.key, b"soon gone")
        self.ok(self.node, "rm", self.key)
        self.refused(3, self.node, "verify", self.key)
        self.refused(2, self.node, "verify", says=["one key"])
        self.refused(2, self.node, "verify", "a", "--receipts", "b", says=["one key"])

    def test_3_receipts_can_be_checked_without_a_node(self):
        for size in (100, SIZE):
            path = self.file("in", content(size))
            kept = self.files / "receipts.json"
            self.ok(self.node, "put", path, self.key, "--receipts", kept)
            self.assertEqual(0o600, stat.S_IMODE(kept.stat().st_mode))
            self.assertEqual({"in", "receipts.json"}, {p.name for p in self.files.iterdir()})
            document = json.loads(kept.read_text())
            self.assertEqual(self.key, document["key"])
            self.assertGreaterEqual(len(document["receipts"]), 2)
            signers = {m["id"]: m["sign_key"] for m in self.node.status()["members"]}
            for receipt in document["receipts"]:
                self.assertEqual(signers[receipt["node"]], receipt["sign_key"])
            checked = self.nobody("verify", "--receipts", kept, "--json")
            self.assertEqual(0, checked.code, checked)
            self.assertEqual(len(document["receipts"]), json.loads(checked.out)["valid"])
            said = self.nobody("verify", "--receipts", kept).out.decode()
            self.assertRegex(said, rf"{len(document['receipts'])} valid receipts for {self.key}")
            for receipt in document["receipts"]:
                self.assertRegex(said, rf"(?m)^ +signed with {signers[receipt['node']]}$")

    def nobody(self, *words):
        """zdb where no node is."""
        return run([BIN / "zdb", "--node", self.files / "no node here", *words],
                   env=environment(self.mesh.root))

    def test_4_forged_receipts_are_found(self):
        kept = self.files / "receipts.json"
        self.ok(self.node, "put", self.file("in"), self.key, "--receipts", kept)
        good = json.loads(kept.read_text())

        def refused(code, change, *says):
            document = json.loads(json.dumps(good))
            change(document)
            kept.write_text(json.dumps(document))
            done = self.nobody("verify", "--receipts", kept)
            self.assertEqual(code, done.code, done)
            for expected in says:
                self.assertRegex(done.err + done.out.decode(), expected)

        def flipped(text):
            return ("0" if text[0] != "0" else "1") + text[1:]

        first = lambda d: d["receipts"][0]
        refused(6, lambda d: first(d).update(signature=flipped(first(d)["signature"])), "FORGED",
                "1 of . receipts")
        refused(6, lambda d: first(d).update(time_ms=first(d)["time_ms"] + 1), "FORGED")
        refused(6, lambda d: first(d).update(node=d["receipts"][1]["node"]), "FORGED")
        refused(6, lambda d: first(d).update(signature="no hex"), "FORGED")
        refused(6, lambda d: first(d).clear(), "FORGED")
        refused(6, lambda d: d.update(version=d["version"] + 1), "manifest")
        refused(6, lambda d: d.update(owner=flipped(d["owner"])), "manifest")
        refused(6, lambda d: d.update(manifest=d["manifest"][:-1] + flipped(d["manifest"][-1:])),
                "manifest")
        refused(6, lambda d: d.update(receipts=[]), "no receipt")
        refused(1, lambda d: d.update(receipts={}), "list")
        refused(1, lambda d: d.update(format="another"), "no file of receipts")
        refused(0, lambda d: d["receipts"].append(first(d)), f"{len(good['receipts'])} valid")
        for text in ("", "[", "[]", "nonsense", "[" * 100_000):
            kept.write_text(text)
            done = self.nobody("verify", "--receipts", kept)
            self.assertEqual(1, done.code, done)
        self.assertEqual(1, self.nobody("verify", "--receipts", self.files / "none").code)

    def test_5_receipts_that_cannot_be_written_stop_the_put(self):
        nowhere = self.files / "no folder" / "receipts.json"
        self.refused(1, self.node, "put", self.file("in"), self.key, "--receipts", nowhere)
        self.refused(3, self.node, "stat", self.key)
        self.refused(2, self.node, "put", "-r", self.files, "--receipts", "r", says=["one object"])
        self.refused(2, self.node, "put", self.file("a"), self.file("b"), "x/", "--receipts", "r",
                     says=["one object"])

    def test_6_a_flipped_bit_is_found_on_the_node_that_has_it(self):
        self.put(self.node, self.key, content(SIZE))
        eventually(self.all_hold, "a copy each")
        for asked in (self.nodes[0], self.nodes[1]):  # the hurt node itself, too
            self.flip(self.blob(self.nodes[1]), 2 * MIB + 500)
            report, said = self.report(asked, code=6)
            states = {n["name"]: n["state"] for n in report["nodes"]}
            self.assertEqual({"n1": "holds", "n2": "damaged", "n3": "holds"}, states)
            self.assertRegex(said, "n2: damaged")
            self.ok(self.nodes[1], "scrub", "--now")
            eventually(self.all_hold, "n2 is whole again")
        self.blob(self.nodes[2]).unlink()
        for node in self.nodes:  # files are kept open
            node.stop()
        for node in self.nodes:
            node.start()
        self.mesh.wait_linked()
        done = self.node.zdb("verify", self.key, "--json")
        states = {n["name"]: n["state"] for n in json.loads(done.out)["nodes"]}
        self.assertEqual("holds", states["n1"])
        self.assertIn((done.code, states["n3"]), [(6, "damaged"), (0, "holds")])
        eventually(self.all_hold, "n3 fetched it again")

    def test_7_a_node_that_is_down_is_unreachable(self):
        self.put(self.node, self.key, content(SIZE))
        eventually(self.all_hold, "a copy each")
        self.nodes[2].kill()
        self.mesh.wait_linked()
        report, said = self.report(code=5)
        self.assertEqual("unreachable", {n["name"]: n["state"] for n in report["nodes"]}["n3"])
        self.assertRegex(said, "n3: unreachable")
        kept = self.files / "receipts.json"
        done = self.node.zdb("put", self.file("in"), "two copies", "--receipts", kept)
        self.assertEqual(0, done.code, done)
        self.assertEqual(2, len(json.loads(kept.read_text())["receipts"]))
        self.nodes[2].start()
        self.mesh.wait_linked()
        eventually(self.all_hold, "n3 is back")


if __name__ == "__main__":
    main()

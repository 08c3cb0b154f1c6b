#!/usr/bin/python3
"""Administration of a mesh: nodes listed, drained, removed and set; the mesh key; health."""

import json
import os
import signal
import stat

from harness import KIB, FreshMeshTest, MeshTest, content, eventually, main, ticket


def members(node):
    done = node.zdb("node", "list", "--json")
    assert done.code == 0, done
    return {m["name"]: m for m in json.loads(done.out)}


def give_mesh_key(test, giver, taker):
    text = test.ok_quiet(giver, "mesh", "export").out
    test.ok(taker, "mesh", "import", stdin=text)


class NodeTest(FreshMeshTest):
    def ok_quiet(self, node, *words, **options):
        return self.ok(node, *words, "--quiet", **options)

    def agree(self, nodes, predicate, what):
        """Until the roster says so on every one of `nodes`, and is the same."""
        def same():
            return (all(predicate(members(n)) for n in nodes)
                    and len({n.status()["roster_version"] for n in nodes}) == 1)
        eventually(same, what)


class Verbs(NodeTest):
    def test_set_drain_and_undrain_reach_every_node(self):
        nodes = self.mesh.grow(3)
        done = nodes[0].zdb("node", "set", "n3", "--zone", "attic", "--weight", "250")
        self.assertEqual((0, b""), (done.code, done.out))
        self.assertRegex(done.err, r"^n3 \([0-9a-f]{8}\) is set\n$")
        self.agree(nodes, lambda m: (m["n3"]["zone"], m["n3"]["weight"]) == ("attic", 250),
                   "zone and weight are known everywhere")
        self.ok_quiet(nodes[0], "node", "set", "n3", "--zone", "")
        self.agree(nodes, lambda m: m["n3"]["zone"] == "", "the zone is gone everywhere")

        done = nodes[0].zdb("node", "drain", "n2")
        self.assertEqual(0, done.code)
        self.assertRegex(done.err, r"n2 \([0-9a-f]{8}\) drains\n(.*\n)*.*2 copies")
        self.agree(nodes, lambda m: m["n2"]["draining"], "n2 drains everywhere")
        self.assertEqual(2, nodes[2].status()["replicas"])
        self.assertRegex(nodes[1].zdb("node", "list").out.decode(), r"(?m)^n2 .* drain(ing|ed)")
        done = nodes[0].zdb("node", "drain", "n2")
        self.assertRegex(done.err, "as before")
        self.ok_quiet(nodes[0], "node", "undrain", members(nodes[0])["n2"]["id"][:12])
        self.agree(nodes, lambda m: not m["n2"]["draining"], "n2 stays everywhere")

    def test_changes_outlive_restarts_and_absence(self):
        nodes = self.mesh.grow(3)
        nodes[2].kill()
        self.ok_quiet(nodes[0], "node", "set", "n2", "--weight", "7")
        nodes[0].kill()
        nodes[0].start()
        nodes[2].start()
        self.agree(nodes, lambda m: m["n2"]["weight"] == 7, "the weight is known everywhere")

    def test_two_administrators_at_once_end_in_one_roster(self):
        nodes = self.mesh.grow(3)
        give_mesh_key(self, nodes[0], nodes[1])
        for round in range(5):
            running = [n.zdb_start("node", "set", "n3", *words, "--quiet") for n, words in
                       ((nodes[0], ["--weight", str(500 + round)]),
                        (nodes[1], ["--zone", f"zone{round}"]))]
            self.assertEqual([0, 0], [p.wait(60) for p in running])
            self.agree(nodes, lambda m: (m["n3"]["weight"], m["n3"]["zone"])
                       == (500 + round, f"zone{round}"), "both changes are known everywhere")

    def test_a_drained_node_holds_nothing_and_can_be_removed(self):
        nodes = self.mesh.grow(4)
        for i in range(20):
            self.put(nodes[i % 4], f"object{i}", content(1000 if i % 2 else 200 * KIB, i))
        self.refused(4, nodes[0], "node", "remove", "n4", says=["zdb node drain n4"])
        done = nodes[0].zdb("node", "drain", "n4", "--wait")
        self.assertEqual(0, done.code, done)
        self.assertRegex(done.err, r"n4 is drained: .*zdb node remove n4")
        self.assertTrue(members(nodes[0])["n4"]["drained"])
        self.assertEqual(0, nodes[3].status()["objects"])
        self.ok_quiet(nodes[0], "node", "remove", "n4")
        self.agree(nodes[:3], lambda m: set(m) == {"n1", "n2", "n3"}, "the others know")
        for i in range(20):
            self.assertEqual(content(1000 if i % 2 else 200 * KIB, i),
                             self.get(nodes[i % 3], f"object{i}"))

    def test_a_removed_node_is_refused_and_says_so(self):
        nodes = self.mesh.grow(3)
        self.put(nodes[0], "kept", b"here")
        self.refused(4, nodes[0], "node", "remove", "n3",
                     says=["n3 holds data", "zdb node drain n3", "--force"])
        done = nodes[0].zdb("node", "remove", "n3", "--force")
        self.assertEqual(0, done.code, done)
        self.assertRegex(done.err, "member no more")
        self.assertRegex(done.err, "warning: it was not drained")
        self.agree(nodes[:2], lambda m: set(m) == {"n1", "n2"}, "the others know")
        eventually(lambda: nodes[2].status()["removed"], "it knows itself")
        status = nodes[2].zdb("status")
        self.assertEqual(0, status.code)
        self.assertRegex(status.err, "was removed from the mesh.*join anew.*empty")
        self.assertIn("was removed from the mesh", nodes[2].log.read_text())
        refused = nodes[2].zdb("put", "-", "lost", stdin=b"x")
        self.assertEqual(5, refused.code, refused)
        self.assertEqual(b"here", self.get(nodes[0], "kept"))
        self.assertEqual(b"here", self.get(nodes[1], "kept"))
        self.refused(3, nodes[0], "node", "remove", "n3", says=["no node of the mesh"])

        again = nodes[2].command("join", ticket(nodes[0]))
        self.complained(again.code, again, ["data folder already"])
        self.assertNotEqual(0, again.code)

    def test_a_node_removed_while_away_notices_that_it_is_refused(self):
        nodes = self.mesh.grow(3)
        nodes[2].kill()
        done = nodes[0].zdb("node", "remove", "n3", "--force")
        self.assertEqual(0, done.code, done)
        self.agree(nodes[:2], lambda m: set(m) == {"n1", "n2"}, "the others know")
        nodes[2].start()
        eventually(lambda: members(nodes[2])["n1"]["refuses"], "n1 refuses n3")
        eventually(lambda: members(nodes[2])["n2"]["refuses"], "n2 refuses n3")
        self.assertRegex(nodes[2].zdb("status").err, "2 of 2 other nodes refuse this one")
        self.assertRegex(nodes[2].log.read_text(), "was this node removed from the mesh")
        self.assertEqual(5, nodes[2].zdb("put", "-", "lost", stdin=b"x").code)

    def test_the_last_node_and_the_only_administrator_stay(self):
        first = self.mesh.init().start()
        self.refused(4, first, "node", "remove", "n1", "--force", says=["last node"])
        self.refused(2, first, "node", "drain", "n1", says=["last node", "add a node first"])
        nodes = self.mesh.grow(2)
        self.refused(4, first, "node", "remove", "n1", "--force", says=["zdb mesh export"])
        give_mesh_key(self, first, nodes[1])
        eventually(lambda: members(first)["n2"]["administers"], "n1 knows that n2 has the key")
        done = first.zdb("node", "remove", "n1", "--force")
        self.assertEqual(0, done.code, done)
        self.agree(nodes[1:], lambda m: set(m) == {"n2"}, "n2 is alone")


class Refusals(MeshTest):
    size = 2

    def test_names_that_are_nobodys_or_several_nodes(self):
        self.refused(3, self.node, "node", "set", "nobody", "--weight", "5", says=["nobody"])
        self.refused(3, self.node, "node", "drain", "N1", says=["zdb node list"])
        self.refused(3, self.node, "node", "drain", "", says=["no node"])
        self.refused(3, self.node, "node", "remove", "\n\x1b[2J", says=[r"no node"])

    def test_wrong_usage(self):
        for words in (["set", "n1"], ["set", "n1", "--weight", "many"], ["set", "n1", "--weight",
                      "-1"], ["drain"], ["drain", "n1", "n2"], ["lose", "n1"], [],
                      ["set", "--weight", "5"], ["list", "n1"]):
            self.refused(2, self.node, "node", *words)
        for words in (["--weight", "0"], ["--weight", "10001"], ["--weight", "99999999999"],
                      ["--zone", "a b"], ["--zone", "x" * 65]):
            self.refused(2, self.node, "node", "set", "n1", *words, says=["(?i)weight|zone"])
        self.assertEqual(2, self.node.status()["roster_version"])

    def test_without_the_mesh_key_it_is_denied_and_says_what_to_do(self):
        for words in (["node", "set", "n1", "--weight", "5"], ["node", "drain", "n1"],
                      ["node", "undrain", "n1"], ["node", "remove", "n2", "--force"],
                      ["mesh", "export"], ["invite"]):
            self.refused(4, self.nodes[1], *words, says=["ask n1", "zdb mesh import"])

    def test_a_mesh_key_that_is_mistyped_or_anothers(self):
        text = self.ok(self.node, "mesh", "export", "--quiet").out.decode()
        swapped = text.replace(text[0], "Z" if text[0] != "Z" else "Y", 1)
        self.refused(1, self.nodes[1], "mesh", "import", stdin=swapped.encode(),
                     says=["row 1, group 1, character 1"])
        owner = self.ok(self.node, "owner", "export", "--quiet").out
        self.refused(1, self.nodes[1], "mesh", "import", stdin=owner, says=["an owner's"])
        self.refused(1, self.node, "owner", "import", "--replace", stdin=text.encode(),
                     says=["a mesh key's"])
        self.refused(1, self.nodes[1], "mesh", "import", stdin=b"")
        self.assertFalse((self.nodes[1].folder / "mesh.key").exists())

    def test_another_meshs_key(self):
        other = self.mesh.init(name="stranger").start()
        self.addCleanup(other.kill)
        text = self.ok(other, "mesh", "export", "--quiet").out
        self.refused(1, self.nodes[1], "mesh", "import", stdin=text, says=["key of the mesh"])

    def test_node_list_without_a_node(self):
        self.refused(5, self.mesh.node("nowhere"), "node", "list")


class MeshKey(NodeTest):
    def test_an_imported_key_is_kept_private_and_lets_a_node_administer(self):
        nodes = self.mesh.grow(2)
        done = nodes[0].zdb("mesh", "export")
        self.assertRegex(done.out.decode(), r"\A([0-9A-Z]{5} ){5}[0-9A-Z]{5}\n([0-9A-Z]{5} ){5}"
                                            r"[0-9A-Z]{5}\n\Z")
        self.assertRegex(done.err, "keep it on paper")
        path = self.file("key.txt", done.out)
        out = self.ok(nodes[1], "mesh", "import", path).out.decode().strip()
        self.assertEqual(nodes[0].status()["mesh"], out)
        mode = stat.S_IMODE(os.stat(nodes[1].folder / "mesh.key").st_mode)
        self.assertEqual(0o600, mode)
        nodes[1].kill()
        nodes[1].start()
        nodes[0].stop()
        self.assertTrue(nodes[1].status()["mesh_key"])
        third = self.mesh.join(ticket(nodes[1])).start()
        self.ok_quiet(nodes[1], "node", "set", third.name, "--weight", "9")
        nodes[0].start()
        self.agree([nodes[0], nodes[1], third],
                   lambda m: m.get(third.name, {}).get("weight") == 9, "all know the third")


class Health(NodeTest):
    def test_a_node_that_stands_still_is_suspect_then_down_then_alive(self):
        nodes = self.mesh.grow(2)
        seen = members(nodes[0])["n2"]
        self.assertEqual(("alive", True), (seen["health"], seen["up"]))
        nodes[1].signal(signal.SIGSTOP)
        eventually(lambda: members(nodes[0])["n2"]["health"] == "suspect", "n2 is suspect")
        eventually(lambda: members(nodes[0])["n2"]["health"] == "down", "n2 is down")
        down = members(nodes[0])["n2"]
        self.assertGreaterEqual(down["since_ms_ago"], 3000)
        self.assertFalse(down["up"])
        self.assertRegex(nodes[0].zdb("status").out.decode(), r"(?m)^n2 .* down for \d+ s")
        nodes[1].signal(signal.SIGCONT)
        eventually(lambda: members(nodes[0])["n2"]["health"] == "alive", "n2 is alive")
        self.assertLess(members(nodes[0])["n2"]["since_ms_ago"], 30_000)
        eventually(lambda: nodes[0].log.read_text().count("is alive; heard") == 2, "it is logged")
        log = nodes[0].log.read_text()
        self.assertEqual(1, log.count("is down; heard"), log)
        self.assertEqual(1, log.count("is suspect; heard"), log)


if __name__ == "__main__":
    main()

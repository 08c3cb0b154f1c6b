#!/usr/bin/python3
"""Tickets, members, owners and blind nodes."""

import os
import pty
import subprocess
import time

from harness import (BIN, DEADLINE_S, KIB, MIB, FreshMeshTest, MeshTest, content, environment,
                     eventually, main, ticket)


def holds(folder, canary):
    """Files below `folder` in which the bytes of `canary` occur."""
    return [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()
            and canary in p.read_bytes()]


class Tickets(FreshMeshTest):
    def setUp(self):
        super().setUp()
        self.first = self.mesh.init().start()

    def try_join(self, text):
        node = self.mesh.node()
        return node, node.command("join", text, "--name", node.name, "--listen", "127.0.0.1:0")

    def assert_refused(self, code, text, *says):
        node, done = self.try_join(text)
        self.complained(code, done, says)
        self.assertFalse(node.folder.exists() and list(node.folder.iterdir()),
                         "a failed join leaves no half a node behind")
        self.assertEqual(1, len(self.first.status()["members"]))

    def test_a_ticket_is_one_line_and_makes_one_member(self):
        out = self.ok(self.first, "invite").out.decode()
        self.assertRegex(out, r"^[!-~]+\n$")
        second = self.mesh.join(out.strip()).start()
        self.mesh.wait_linked()
        _, again = self.try_join(out.strip())
        self.complained(4, again, ["(?i)ticket"])
        self.assertEqual(2, len(self.first.status()["members"]))
        self.assertEqual(self.first.status()["mesh"], second.status()["mesh"])

    def test_a_ticket_with_an_owner_is_not_for_the_command_line(self):
        for words, given, warned in ((["-"], ["--share-owner"], False), ([], [], False),
                                     ([], ["--share-owner"], True)):
            text, node = ticket(self.first, *given), self.mesh.node()
            done = node.command("join", *(words or [text]), "--name", node.name, "--listen",
                                "127.0.0.1:0", stdin=text.encode())
            self.assertEqual(0, done.code, done)
            self.assertEqual(warned, "warning: the ticket holds the owner's key" in done.err, done)
            self.assertNotIn(text, done.err)

    def test_a_ticket_is_asked_for_on_a_terminal(self):
        node, text = self.mesh.node(), ticket(self.first, "--share-owner")

        def join(its_end):
            os.write(terminal, f"{text}\n".encode())  # its line is all: no end of file follows
            return subprocess.Popen(
                [BIN / "zerodb-node", "join", "-", "--data", node.folder, "--listen",
                 "127.0.0.1:0"], stdin=its_end, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=environment(self.mesh.root))

        terminal, its_end = pty.openpty()
        self.addCleanup(os.close, terminal)
        self.addCleanup(os.close, its_end)
        process = join(its_end)
        self.mesh.others.append(process)
        _, said = process.communicate(timeout=DEADLINE_S)
        self.assertEqual((0, b"Ticket: "), (process.returncode, said))

    def test_a_used_ticket_stays_used_after_a_restart(self):
        text = ticket(self.first)
        self.mesh.join(text)
        self.first.kill()
        self.first.start()
        _, again = self.try_join(text)
        self.complained(4, again, ["(?i)ticket"])

    def test_a_ticket_outlives_a_restart(self):
        text = ticket(self.first)
        self.first.stop()
        self.first.start()
        self.mesh.join(text).start()
        self.mesh.wait_linked()

    def test_an_expired_ticket(self):
        text = ticket(self.first, "--expires", "1s")
        expired = time.monotonic() + 1.5
        eventually(lambda: time.monotonic() > expired, "the ticket has expired")
        self.assert_refused(4, text, "(?i)ticket", "(?i)expired", "zdb invite")

    def test_a_cut_or_altered_ticket(self):
        text = ticket(self.first)
        middle = len(text) // 2
        other = "a" if text[middle] != "a" else "b"
        for wrong in (text[:-1], text[:middle], text[1:], text + "x", "", "hello",
                      text[:middle] + other + text[middle + 1:], text.swapcase()):
            self.assert_refused(2, wrong, "(?i)ticket")

    def test_the_inviting_node_is_away(self):
        text = ticket(self.first)
        self.first.stop()
        node, done = self.try_join(text)
        self.complained(5, done, [r"127\.0\.0\.1:\d+"])
        self.assertFalse(node.folder.exists() and list(node.folder.iterdir()))
        self.first.start()
        self.assertEqual(0, node.command("join", text, "--listen", "127.0.0.1:0").code)

    def test_a_name_that_is_taken(self):
        text = ticket(self.first)
        node = self.mesh.node()
        done = node.command("join", text, "--name", "n1", "--listen", "127.0.0.1:0")
        self.complained(1, done, ["n1", "(?i)name"])
        self.assertEqual(0, node.command("join", text, "--name", "n2").code, "the ticket is unused")

    def test_only_a_node_with_the_mesh_key_invites(self):
        second = self.mesh.join(ticket(self.first)).start()
        self.mesh.wait_linked()
        self.refused(4, second, "invite", says=["(?i)mesh key"])

    def test_the_seed_travels_only_when_asked_for(self):
        plain, shared = ticket(self.first), ticket(self.first, "--share-owner")
        self.assertGreater(len(shared), len(plain))

    def test_a_ticket_is_in_no_log(self):
        text = ticket(self.first, "--share-owner")
        self.mesh.join(text).start()
        self.mesh.wait_linked()
        self.assertEqual([], holds(self.mesh.root, text[20:60].encode()))


class Owners(FreshMeshTest):
    def test_a_gateway_that_shares_the_owner_reads_everything(self):
        first = self.mesh.init().start()
        large = content(3 * MIB)
        self.put(first, "small", b"x")
        self.put(first, "large", large)
        second = self.mesh.join(ticket(first, "--share-owner")).start()
        self.mesh.wait_linked()
        self.assertEqual(["large", "small"], self.keys(second))
        self.assertEqual((b"x", large), (self.get(second, "small"), self.get(second, "large")))
        self.put(second, "small", b"newer")
        self.assertEqual(b"newer", self.get(first, "small"))

    def test_a_node_with_an_owner_of_its_own_sees_nothing_of_others(self):
        first = self.mesh.init().start()
        second = self.mesh.join(ticket(first)).start()
        self.mesh.wait_linked()
        self.assertNotEqual(first.status()["owner"], second.status()["owner"])
        self.put(first, "key", b"of the first")
        self.assertEqual([], self.keys(second))
        self.refused(3, second, "get", "key", "-")
        self.refused(3, second, "rm", "key")
        self.put(second, "key", b"of the second")
        self.assertEqual((b"of the first", b"of the second"),
                         (self.get(first, "key"), self.get(second, "key")))
        self.ok(second, "rm", "key")
        self.assertEqual(b"of the first", self.get(first, "key"))

    def test_a_gateway_that_joins_blind_has_no_owner(self):
        first = self.mesh.init().start()
        node = self.mesh.node()
        done = node.command("join", ticket(first, "--share-owner"), "--blind", "--listen",
                            "127.0.0.1:0")
        self.assertEqual(0, done.code, done)
        node.start()
        self.assertEqual("", node.status()["owner"])


class Blind(MeshTest):
    """n3 is blind."""

    size, blind = 3, ("n3",)

    def test_a_blind_node_serves_no_client(self):
        blind = self.nodes[2]
        self.put(self.node, self.key, b"x")
        for words in (("put", self.file("f"), "k"), ("get", self.key, "-"), ("ls",),
                      ("stat", self.key), ("rm", self.key), ("owner", "id"), ("owner", "export")):
            self.refused(4, blind, *words, says=["(?i)blind|owner"])
        self.assertTrue(next(m for m in blind.status()["members"] if m["here"])["blind"])
        self.assertEqual(b"x", self.get(self.node, self.key))

    def test_it_holds_the_data_and_nobody_can_find_a_name_or_content_in_any_folder(self):
        names = {"canary-name-small": b"canary-content-small " * 50,
                 "canary-name-large": b"canary-content-large " * 100_000,
                 "canary-name-edge": b"canary-content-edge! " * (64 * KIB // 21)}
        objects = self.nodes[2].status()["objects"]
        for name, data in names.items():
            self.put(self.node, name, data)
        eventually(lambda: self.nodes[2].status()["objects"] == objects + 3, "n3 holds them")
        self.assertEqual(data, self.get(self.nodes[1], name))
        self.keys(self.nodes[1])
        for node in self.nodes:
            node.stop()
        self.assertGreater(sum(p.stat().st_size for p in self.nodes[2].blobs()), 2_000_000)
        for folder in (self.mesh.root,):  # the logs lie here, too
            self.assertEqual([], holds(folder, b"canary-name"))
            self.assertEqual([], holds(folder, b"canary-content"))
        seen = self.file("control", b"... canary-name ...")
        self.assertEqual([seen], holds(self.mesh.root, b"canary-name"))
        for node in self.nodes:
            node.start()
        self.mesh.wait_linked()

    def test_without_the_blind_node_the_two_gateways_go_on(self):
        self.nodes[2].stop()
        self.mesh.wait_linked()
        done = self.node.zdb("put", "-", self.key, stdin=b"two of three")
        self.assertEqual(0, done.code, done)
        self.assertIn("n3", done.err)
        self.assertEqual(b"two of three", self.get(self.nodes[1], self.key))
        self.nodes[2].start()
        self.mesh.wait_linked()


class Restarts(MeshTest):
    size = 3

    def test_nodes_that_all_restart_at_once_find_each_other(self):
        large = content(2 * MIB)
        self.put(self.node, "large", large)
        for stop in ("stop", "kill"):
            for node in self.nodes:
                getattr(node, stop)()
            for node in self.nodes:
                node.start(wait=False)
            for node in self.nodes:
                eventually(node.is_ready, f"{node.name} is ready")
            self.mesh.wait_linked()
            for node in self.nodes:
                self.assertEqual(large, self.get(node, "large"))

    def test_a_node_that_moved_to_another_port_is_found(self):
        moved = self.nodes[1]
        before = next(m for m in moved.status()["members"] if m["here"])["endpoint"]
        moved.stop()
        port = int(before.rsplit(":", 1)[1])
        moved.configure(listen=f"127.0.0.2:{port}")
        moved.start()
        self.mesh.wait_linked()
        endpoints = {m["endpoint"] for m in self.node.status()["members"]}
        self.assertIn(f"tcp://127.0.0.2:{port}", endpoints)


if __name__ == "__main__":
    main()

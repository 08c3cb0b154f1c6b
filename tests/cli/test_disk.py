#!/usr/bin/python3
"""A full disk: a tmpfs of a few MiB, mounted in a namespace that ends with this script."""

import os
import subprocess
import sys

from harness import BIN, MIB, FreshMeshTest, content, environment, eventually, main, run

INSIDE = "ZERODB_TEST_NAMESPACE"


def enter_namespace():
    """Starts over where mounting is allowed and seen by nobody else."""
    options = "-m" if os.geteuid() == 0 else "-rm"
    for unshare in (["unshare", options], ["unshare", "-rm"]):
        if subprocess.run([*unshare, "true"], capture_output=True).returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def can_mount(folder):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder],
                          capture_output=True).returncode == 0


class FullDisk(FreshMeshTest):
    def disk(self, node, mebibytes):
        """A disk of its own for `node`."""
        node.folder.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=700",
                                  "none", node.folder], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest(f"SKIPPED: no mount allowed here: {mounted.stderr.decode()}")
        self.addCleanup(subprocess.run, ["umount", "-l", node.folder])
        self.addCleanup(node.kill)

    def made(self, node, *words):
        done = node.command(*words, "--name", node.name, "--listen", "127.0.0.1:0")
        self.assertEqual(0, done.code, done)
        return node.start()

    def fill(self, node, leave):
        """Takes all of the disk but `leave` bytes."""
        (node.folder / "filler").unlink(missing_ok=True)
        free = os.statvfs(node.folder)
        with open(node.folder / "filler", "wb") as filler:
            filler.write(bytes(max(0, free.f_bavail * free.f_frsize - leave)))

    def test_a_single_node_says_full_keeps_what_it_has_and_recovers(self):
        node = self.mesh.node()
        self.disk(node, 160)
        self.made(node, "init")
        self.put(node, "kept", content(2 * MIB))
        self.fill(node, 70 * MIB)
        self.refused(7, node, "put", "-", "large", stdin=content(40 * MIB),
                     says=["(?i)space|full|free"])
        self.refused(3, node, "stat", "large")
        self.fill(node, 20 * MIB)
        self.refused(7, node, "put", "-", "small", stdin=b"x" * 1000, says=["(?i)space|full|free"])
        self.fill(node, 0)
        for words, given in ((("put", "-", "small"), b"x"), (("rm", "kept"), b"")):
            self.refused(7, node, *words, stdin=given, says=["(?i)free"])
        self.fill(node, 20 * MIB)
        self.assertTrue(content(2 * MIB) == self.get(node, "kept"))
        self.assertEqual(["kept"], self.keys(node))
        self.ok(node, "rm", "kept")
        (node.folder / "filler").unlink()
        self.put(node, "large", content(20 * MIB))
        self.assertTrue(content(20 * MIB) == self.get(node, "large"))
        self.assertEqual([], node.temporaries())

    def test_a_start_on_a_full_disk_says_so(self):
        node = self.mesh.node()
        self.disk(node, 96)
        self.made(node, "init")
        self.put(node, "kept", b"x")
        node.stop()
        self.fill(node, 0)
        node.start(wait=False)
        eventually(lambda: not node.running(), "it gives up")
        self.assertEqual(7, node.process.returncode, node.log_tail())
        self.assertRegex(node.log_tail(), "(?i)free on the disk")
        (node.folder / "filler").unlink()
        node.start()
        self.assertEqual(b"x", self.get(node, "kept"))

    def test_a_start_gives_back_what_uploads_left_on_a_full_disk(self):
        node = self.mesh.node()
        self.disk(node, 96)
        self.made(node, "init")
        self.put(node, "kept", b"x")
        node.kill()
        for left in ("tmp/00-upload", "quarantine/0-damaged"):
            with self.subTest(left):
                (node.folder / "filler").unlink(missing_ok=True)
                (node.folder / "store" / left).write_bytes(bytes(30 * MIB))
                self.fill(node, 0)
                node.start()
                self.assertEqual(b"x", self.get(node, "kept"))
                node.kill()

    def test_init_on_a_full_disk_says_so(self):
        node = self.mesh.node()
        self.disk(node, 1)
        self.fill(node, 0)
        (node.folder / "filler").rename(node.folder / ".filler")
        target = node.folder / "data"
        done = run([BIN / "zerodb-node", "init", "--data", target], env=environment(self.files))
        self.complained(7, done, ["(?i)space"])
        self.assertFalse(target.exists() and list(target.iterdir()), "nothing half made is left")

    def test_one_full_node_of_three_stops_nobody(self):
        first, second = self.mesh.grow(2)
        third = self.mesh.node()
        self.disk(third, 96)
        ticket = self.ok(first, "invite", "--share-owner").out.decode().strip()
        self.made(third, "join", ticket)
        self.mesh.wait_linked()
        self.mesh.wait_settled()
        self.fill(third, 10 * MIB)
        for key, data in (("small", b"x" * 5000), ("large", content(6 * MIB))):
            # An acknowledgement waits for two: the third's refusal may come after it.
            eventually(lambda: "n3" in self.warned(first, key, data), f"a put of {key} names n3")
            for node in (first, second, third):
                self.assertTrue(data == self.get(node, key), node.name)

    def warned(self, node, key, data):
        """What a put that succeeds says on stderr."""
        done = node.zdb("put", "-", key, stdin=data)
        self.assertEqual(0, done.code, done)
        return done.err


if __name__ == "__main__":
    if INSIDE not in os.environ:
        enter_namespace()
    main()

#!/usr/bin/python3
"""A daemon that works under valgrind and is asked to end leaves nothing behind and touched nothing
that was not its own. Slow, so a little of everything is done once."""

import pathlib
import shutil
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

import zmq

from harness import MIB, SANITIZED, FreshMeshTest, content, eventually, main
from wire import Wire

START_S = 300
KNOWN = pathlib.Path(__file__).resolve().parents[1] / "valgrind.supp"
VALGRIND = ("valgrind", "--vgdb=no", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite", "--child-silent-after-fork=yes", "--quiet",
            f"--suppressions={KNOWN}")


@unittest.skipIf(SANITIZED, "sanitized programs do not run under valgrind")
@unittest.skipUnless(shutil.which("valgrind"), "no valgrind on this machine: apt-get install valgrind")
class UnderValgrind(FreshMeshTest):

    def test_a_daemon_ends_clean(self):
        node = self.mesh.init()
        node.start(under=VALGRIND, wait=False)
        eventually(node.is_ready, "it serves", deadline_s=START_S)
        data = content(2 * MIB + 1)
        with Wire(node) as wire:
            wire.socket.setsockopt(zmq.RCVTIMEO, START_S * 1000)
            wire.put("small", b"some bytes")
            wire.put("large", data)
            wire.put("small", b"other bytes")
            self.assertEqual(b"other bytes", wire.get("small"))
            self.assertEqual(data, wire.get("large"))
            self.assertEqual(["large", "small"],
                             [e["key"] for e in wire.ask("list", prefix="", after="", limit=10)[0]["entries"]])
            wire.ask("delete", key="large")
            wire.ask("events", since=0, limit=10)
            wire.ask("status")
            wire.send("put", key="never ended")  # a client that goes in mid-put
        node.signal(signal.SIGTERM)
        code = node.process.wait(START_S)
        self.assertEqual(0, code, node.log_tail(80))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""A gateway whose clock is an hour off (libfaketime), among two whose clocks are right."""

import glob
import unittest

from harness import MIB, SANITIZED, FreshMeshTest, content, main

LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


@unittest.skipUnless(LIBRARY, "SKIPPED: libfaketime is missing (tools/deps.sh installs it)")
class HourOff(FreshMeshTest):
    def setUp(self):
        super().setUp()
        self.nodes = self.mesh.grow(3)
        self.off = self.nodes[0]

    def shift(self, offset):
        """Restarts n1 with its clock `offset` from the right time."""
        self.off.stop()
        env = {"LD_PRELOAD": LIBRARY, "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1",
               "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}
        if SANITIZED:
            env["ASAN_OPTIONS"] = "verify_asan_link_order=0"
        self.off.start(env=env)
        self.mesh.wait_linked()

    def test_an_hour_ahead_its_puts_fail_and_say_why(self):
        self.put(self.nodes[1], "before", b"x")
        self.shift("+3600")
        self.assertEqual(b"x", self.get(self.off, "before"), "reading needs no clock")
        for data in (b"small", content(2 * MIB)):
            done = self.off.zdb("put", "-", "ahead", stdin=data)
            self.complained(1, done, ["(?i)clock"])
        self.complained(1, self.off.zdb("rm", "before"), ["(?i)clock"])
        self.assertEqual(b"x", self.get(self.nodes[1], "before"))
        self.put(self.nodes[1], "ahead", b"by another gateway")
        self.assertEqual(b"by another gateway", self.get(self.off, "ahead"))

    def test_an_hour_behind_its_puts_still_win(self):
        self.put(self.nodes[1], "key", b"with the right clock")
        large = content(2 * MIB)
        self.put(self.nodes[1], "large", b"with the right clock")
        self.shift("-3600")
        self.put(self.off, "key", b"an hour behind")
        self.put(self.off, "large", large)
        for node in self.nodes:
            self.assertEqual(b"an hour behind", self.get(node, "key"))
            self.assertTrue(large == self.get(node, "large"))
        self.ok(self.off, "rm", "key")
        self.refused(3, self.nodes[1], "get", "key", "-")
        self.put(self.off, "key", b"put again")
        self.assertEqual(b"put again", self.get(self.nodes[2], "key"))


if __name__ == "__main__":
    main()

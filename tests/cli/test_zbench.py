#!/usr/bin/python3
"""zbench leaves nothing behind, however it ends."""

import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

from harness import BIN, DEADLINE_S, die_with_parent, eventually, main


def daemons_below(folder):
    """Process ids of the nodes that run there."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if any(word.startswith(os.fsencode(folder)) for word in words) and b"run" in words:
            found.append(int(path.parent.name))
    return found


class Interrupted(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="z")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def begin(self):
        """zbench, with objects without end under way."""
        running = subprocess.Popen(
            [BIN / "zbench", "small-put", "--count", "100000000", "-R", "2", "--data", self.folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        eventually(lambda: len(daemons_below(self.folder)) == 2, "two daemons run")
        return running

    def test_a_signal_ends_its_daemons_and_removes_their_folder(self):
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            running = self.begin()
            running.send_signal(sig)
            self.assertEqual(-sig, running.wait(DEADLINE_S))
            self.assertEqual([], daemons_below(self.folder))
            self.assertEqual([], os.listdir(self.folder))

    def test_its_daemons_end_with_it_when_it_is_killed(self):
        self.begin().kill()
        eventually(lambda: not daemons_below(self.folder), "the daemons have ended")


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""A member that lies, and what the honest ones make of it.

    tests/hostile/test_hostile.py                     # the sharpest lies: right, and bounded
    tests/hostile/test_hostile.py --full              # every lie, and rates against an honest member
    tests/hostile/test_hostile.py --full chunks slow  # only these

Each lie is told for a while to three honest nodes, whose clients put, get, delete and list. What was
acknowledged reads back right, nothing deleted returns, nothing forged appears, no honest node grows
beyond a bound, and none logs a line for each lie. In the end the liar is removed, and every object
is whole. With --full honest clients are also served at no less than half the rate that they have
beside an honest member.
"""

import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from hostile_mesh import (KINDS, Customer, HostileMesh, LogWatch, eventually,  # noqa: E402
                          lies_there_are, rates, resident_mib)
from harness import SANITIZED  # noqa: E402

FULL = "--full" in sys.argv[1:]
CHOSEN = [word for word in sys.argv[1:] if not word.startswith("-")]
# Told together, as they do not get in each other's way.
SHARP = [("chunks", "leaves", "manifest-older"), ("nothing",), ("discard", "confirm-all"),
         ("standing-forged", "roster"), ("entries-endless", "digests-random"), ("never",),
         ("garbled",), ("news-forged", "uploads"), ("news-replayed", "farewell"),
         ("flood-confirms",), ("flood-asks",), ("flood-news",), ("hello-storm",), ("malformed",)]
WORK_S = 6 if FULL else 2
WINDOW_S, WINDOWS = 1.5, 3
GROWTH_MIB_MAX = 256  # during a lie: 64 MiB each of its requests, answers and unsent requests; and a margin
LOG_LINES_MAX = 100
RATIO_MIN = 0.5
# libzmq collects the frames of a message without a limit: see PROTOCOL.md, Security.
UNBOUNDED = {"frames"}


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mesh = HostileMesh()
        cls.addClassCleanup(cls.mesh.close)

    def test_honest_nodes_beside_a_liar(self):
        groups = [(name,) for name in CHOSEN or lies_there_are()] if FULL else SHARP
        self.customers, self.failures = [], []
        for lies in groups:
            self.tell(lies)
        self.end_without_liar()
        self.assertEqual([], self.failures)

    def tell(self, lies):
        label, begin = "+".join(lies), time.monotonic()
        beside_honest = self.rates_beside_honest() if FULL else {}
        watch = LogWatch(self.mesh.honest)
        before = {node: resident_mib(node) for node in self.mesh.honest}
        self.mesh.liar.lie(*lies)
        up = self.mesh.wait_heard()
        customer = Customer(self.mesh.honest, label)
        self.customers.append(customer)
        turns = customer.work(WORK_S)
        found = rates(self.mesh.honest[0], WINDOW_S, WINDOWS) if FULL else {}
        wrong = customer.check_all()
        grown = max(resident_mib(node) - mib for node, mib in before.items())
        if SANITIZED:  # a sanitizer keeps what was freed
            grown = 0
        lines = watch.most()
        self.note(wrong, label)
        self.note_if(grown > GROWTH_MIB_MAX and not UNBOUNDED & set(lies), label,
                     f"a node grew by {grown:.0f} MiB")
        self.note_if(lines > LOG_LINES_MAX, label, f"a node logged {lines} lines")
        ratios = {kind: found[kind] / beside_honest[kind] for kind in found}
        for kind, ratio in ratios.items():
            self.note_if(ratio < RATIO_MIN, label, f"{kind} at {ratio:.2f} of the honest rate")
        print(f"  {time.monotonic() - begin:6.1f} s  {label:<32} {turns:5} turns, "
              f"{customer.stale} late reads, +{grown:.0f} MiB, {lines} lines"
              f"{'' if up else ', link down'}  {self.shown(ratios)}", flush=True)

    def rates_beside_honest(self):
        """Measured right before each lie, as other work on the machine comes and goes."""
        self.mesh.liar.lie()
        self.mesh.wait_heard()
        return rates(self.mesh.honest[0], WINDOW_S, WINDOWS)

    def shown(self, figures):
        return "  ".join(f"{kind} {figures[kind]:.2f}" for kind in KINDS if kind in figures)

    def note(self, wrong, label):
        self.failures += [f"{label}: {each}" for each in wrong[:5]]

    def note_if(self, bad, label, what):
        self.note([what] if bad else [], label)

    def end_without_liar(self):
        """Removed, it leaves nothing missing."""
        self.mesh.remove_liar()
        eventually(lambda: all(self.is_whole(node) for node in self.mesh.honest),
                   "the mesh is whole without the liar", 120, every_s=0.2)
        for customer in self.customers:
            self.note(customer.check_all(), f"{customer.prefix} after the liar was removed")
            customer.close()
        held = {node.status()["objects"] for node in self.mesh.honest}
        self.note_if(len(held) != 1, "the end", f"nodes hold {held} objects")

    @staticmethod
    def is_whole(node):
        status = node.status()
        move = status["move"]
        return not (move["waits_for"] or move["take_over_partitions"] or status["damaged"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

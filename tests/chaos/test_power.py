#!/usr/bin/python3
"""Power cuts: after a kill -9, what was not synced is taken back from the nodes' disks.

    tests/chaos/test_power.py                   # 15 rounds
    ZERODB_ROUNDS=200 tests/chaos/test_power.py
    ZERODB_SEED=7 tests/chaos/test_power.py     # the same choices again
    ZERODB_POWER_LOSS=/path/libpower_loss.so    # if it is not beside the programs

The daemons run with power_loss.c preloaded. When the power fails, of one node, of two, or of all at
once, each disk is set to a state that power_loss.py says it may have. Promised is the same as for
killed nodes (test_crash.py). Each time the journal is compared with what really lies there, so a
change that the shim did not see fails the test, whatever comes of it.
"""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

from harness import BIN, FreshMeshTest, main  # noqa: E402
from crash_rounds import Rounds, seed_from_environment  # noqa: E402
from power_loss import STYLES, Disk, differences, found, write_back  # noqa: E402

ROUNDS = int(os.environ.get("ZERODB_ROUNDS", 15))
SHIM = pathlib.Path(os.environ.get("ZERODB_POWER_LOSS", BIN.parent / "lib/libpower_loss.so"))
UNDER_WAY_MAX = 2  # paths of the one change that was done and not yet recorded


class PowerRounds(Rounds):
    def __init__(self, mesh, seed):
        super().__init__(mesh, seed)
        self.written = {}  # to the disk of a node without power

    def journal(self, node):
        return self.mesh.root / f"{node.name}.journal"

    def power_on(self, nodes, wait=True):
        """What lies there now is safe; from here on every change is recorded."""
        for node in nodes:
            self.journal(node).unlink(missing_ok=True)
            node.disk = Disk(node.folder, self.written.pop(node, {}))
            self.start([node], wait=False, env={"LD_PRELOAD": str(SHIM),
                                                "POWER_LOSS_FOLDER": str(node.folder),
                                                "POWER_LOSS_JOURNAL": str(self.journal(node))})
        if wait:
            self.wait_ready(nodes)

    def power_off(self, nodes):
        self.strike(nodes)
        for node in nodes:
            node.disk.replay(self.journal(node))
            there = found(node.folder)
            unseen = differences(node.disk.last(), there)
            assert len(unseen) <= UNDER_WAY_MAX, f"{node.name}: the shim did not see {unseen}"
            style = self.choice.choice(STYLES)
            if style == "any":  # a write with holes cannot be told from damage
                self.may_be_damaged.add(node)
            self.written[node] = node.disk.after_cut(style, self.choice)
            write_back(node.folder, self.written[node], there)
            self.counts[f'disks cut, "{style}"'] += 1

    def strays_max(self):
        """And those that sweeps unlinked, which is not synced (store/FORMAT.md)."""
        return super().strays_max() + self.ledger.acknowledged


class Power(FreshMeshTest):
    def test_what_was_acknowledged_survives_power_cuts(self):
        if not SHIM.exists():
            self.skipTest(f"SKIPPED: there is no {SHIM}: the programs are sanitized, or not built")
        nodes = self.mesh.grow(3)
        rounds = PowerRounds(self.mesh, seed_from_environment())
        rounds.power_on(nodes)
        self.mesh.wait_linked()
        rounds.run(ROUNDS, lambda: self.one_round(rounds))

    def one_round(self, rounds):
        victims = rounds.victims()
        with rounds.at_work():
            rounds.pause(0.02, 0.4)
            rounds.power_off(victims)
            while rounds.choice.random() < 0.3:  # and again, while logs are replayed
                rounds.power_on(victims, wait=False)
                rounds.pause(0, 0.5)
                rounds.power_off(victims)
            rounds.power_on(victims)
        rounds.check()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""kill -9 at any moment: of one node, of two, of all at once, while they work and while they start.

    tests/chaos/test_crash.py                   # 50 rounds
    ZERODB_ROUNDS=1000 tests/chaos/test_crash.py
    ZERODB_SEED=7 tests/chaos/test_crash.py     # the same choices again

Promised: what was acknowledged reads back right after each round, also while one node is away; what
was not acknowledged happened or did not, for all alike; in the end every node holds everything, and
its disk is without fault or litter. Rounds, in crash_rounds.py, checks this from its own ledger.
"""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

from harness import FreshMeshTest, main  # noqa: E402
from crash_rounds import Rounds, seed_from_environment  # noqa: E402

ROUNDS = int(os.environ.get("ZERODB_ROUNDS", 50))


class Crash(FreshMeshTest):
    def test_what_was_acknowledged_survives_killed_nodes(self):
        self.mesh.grow(3)
        rounds = Rounds(self.mesh, seed_from_environment())
        rounds.start(self.mesh.nodes)
        self.mesh.wait_linked()
        rounds.run(ROUNDS, lambda: self.one_round(rounds))

    def one_round(self, rounds):
        victims = rounds.victims()
        with rounds.at_work():
            rounds.pause(0.02, 0.4)
            rounds.strike(victims)
            if len(victims) == 1 and rounds.choice.random() < 0.5:
                rounds.pause(0.1, 0.3)  # the others go on without it
                absent = True
            else:
                self.restart(rounds, victims)
                absent = False
        if absent:
            others = [node for node in self.mesh.nodes if node not in victims]
            rounds.check_keys(lambda: rounds.choice.choice(others))
            rounds.start(victims)
        rounds.check()

    def restart(self, rounds, victims):
        """Often struck again before they serve: at start-up, and while logs are replayed."""
        while rounds.choice.random() < 0.4:
            rounds.start(victims, wait=False)
            rounds.pause(0, 0.3)
            rounds.strike(victims)
        rounds.start(victims)


if __name__ == "__main__":
    main()

"""Rounds of work, a crash, and a look at whether every promise was kept. See Rounds."""

import collections
import json
import os
import random
import time

from harness import KIB, eventually
from ledger import AtWork, Client, Ledger, MortalWire, Refused, read

CLIENTS = 4
PATIENCE_S = 120
SILENT_S = 180  # a transfer whose gateway fell silent is dropped after 120 s


def seed_from_environment():
    seed = int(os.environ.get("ZERODB_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}", flush=True)
    return seed


def at(moment):
    """Waits for a moment that was chosen by chance, not for something to happen."""
    eventually(lambda: time.monotonic() >= moment, "the clock runs", every_s=0.002,
               deadline_s=moment - time.monotonic() + 60)


class Rounds:
    """Clients at work on a mesh of three gateways, whose nodes are struck down. Begins with all of
    them stopped.

    After each round every key is read: it must hold what was acknowledged last, or what was begun
    after that. Once all nodes agree, what an open operation came to is final. The seed repeats the
    choices; the timing of processes differs.
    """

    def __init__(self, mesh, seed):
        self.mesh, self.ledger = mesh, Ledger()
        self.choice = random.Random(seed)
        self.clients = [Client(i, mesh.nodes, self.ledger, seed) for i in range(CLIENTS)]
        self.struck, self.counts = set(), collections.Counter()
        self.may_be_damaged = set()  # nodes whose index may look as if it were (test_power.py)
        for node in mesh.nodes:
            node.stop()
            # What failed in part is told by nobody: nodes that compare find it, every 10 min else.
            node.configure(reconcile_interval_s=1, superseded_keep_s=60)

    def run(self, count, one_round):
        """So many rounds, and the end."""
        begun = time.monotonic()
        for number in range(1, count + 1):
            try:
                one_round()
            except AssertionError as error:
                raise AssertionError(f"round {number}: {error}") from error
            if number % 10 == 0:
                print(f"  {number} rounds, {time.monotonic() - begun:.0f} s", flush=True)
        self.finish()

    # -- a round: at_work(), then strike() and start() as often as wanted, then check()

    def at_work(self):
        self.struck = set()
        return AtWork(self.clients, self.may_judge)

    def may_judge(self, node):
        """Two nodes of three were never struck in this round, or all: a read quorum is there."""
        return len(self.struck) < 2 and node not in self.struck

    def victims(self):
        """One, or two, or all at once. Two seldom: what the third had asked of them waits for its
        time to end, as they are back before they count as down."""
        count, = self.choice.choices((1, 2, 3), (6, 1, 5))
        return self.choice.sample(self.mesh.nodes, count)

    def pause(self, least_s, most_s):
        """Lets the daemons run for a time left to chance."""
        at(time.monotonic() + self.choice.uniform(least_s, most_s))

    def strike(self, nodes):
        """kill -9, all before any is waited for."""
        self.struck |= set(nodes)
        for node in nodes:
            node.process.kill()
        for node in nodes:
            node.process.wait()
        self.counts["kills"] += len(nodes)

    def start(self, nodes, wait=True, **options):
        for node in nodes:
            node.start(wait=False, **options)
        if wait:
            self.wait_ready(nodes)

    def wait_ready(self, nodes):
        for node in nodes:
            eventually(node.is_ready, f"{node.name} is ready")

    # -- what was promised

    def check(self):
        """All nodes run. Every key, each through a gateway of chance; then open ones settle."""
        self.mesh.wait_linked()
        self.check_indexes()
        self.check_keys(lambda: self.choice.choice(self.mesh.nodes))
        self.settle()
        self.counts["rounds"] += 1

    def check_indexes(self):
        """What a crash leaves of a write is not taken for damage: the node would not be believed
        until it has compared itself with the others."""
        for node in self.mesh.nodes:
            if not node.status()["index_rebuilt"]:
                self.may_be_damaged.discard(node)
            else:
                assert node in self.may_be_damaged, f"{node.name} takes its index for damaged"

    def check_keys(self, pick):
        """Every key holds one of the states it may hold, through the gateway that `pick` names."""
        wires = {}
        try:
            for key, states in sorted(self.ledger.possible.items()):
                node = pick()
                if node not in wires:
                    wires[node] = MortalWire(node)
                seen = read_patiently(wires[node], key)
                assert seen in states, f"{key} through {node.name}: {seen}, not of {states}"
                self.counts["reads"] += 1
        finally:
            for wire in wires.values():
                wire.context.destroy(linger=0)

    def settle(self):
        """Waits until all nodes hold the same, and takes for final what they show."""
        open_keys = self.ledger.unsettled()
        self.counts["open outcomes"] += len(open_keys)
        if not open_keys:
            return
        try:
            eventually(lambda: self.nodes_agree(open_keys), "all nodes hold the same", PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.disagreement(open_keys)}") from None
        with MortalWire(self.mesh.nodes[0]) as wire:
            for key in open_keys:
                seen = read_patiently(wire, key)
                assert seen in self.ledger.possible[key], f"{key}: {seen}"
                self.ledger.settle(key, seen)

    def nodes_agree(self, keys=()):
        """As many objects and tombstones on each node, and `keys` proved to be on all."""
        held = {(s["objects"], s["tombstones"]) for s in (n.status() for n in self.mesh.nodes)}
        if len(held) > 1:
            return False
        with MortalWire(self.mesh.nodes[0]) as wire:
            return not any(why_not_held(wire, key) for key in keys)

    def disagreement(self, keys):
        """For the message of a failure."""
        held = {n.name: {k: n.status()[k] for k in ("objects", "tombstones", "superseded")}
                for n in self.mesh.nodes}
        with MortalWire(self.mesh.nodes[0]) as wire:
            return held, {key: proofs for key in keys if (proofs := why_not_held(wire, key))}

    # -- the end

    def finish(self):
        """Everything through every gateway, nothing left over, and disks without a fault."""
        self.mesh.wait_linked()
        self.mesh.wait_settled()
        for node in self.mesh.nodes:
            self.check_keys(lambda node=node: node)
        present = self.ledger.present()
        eventually(lambda: self.nodes_agree(), "all nodes hold the same", PATIENCE_S)
        for node in self.mesh.nodes:
            assert node.status()["objects"] == len(present), f"{node.name}: {node.status()}"
            eventually(lambda node=node: listed(node) == present, f"{node.name} lists them all")
            self.check_disk(node)
        self.check_copies(present)
        print(self.summary(), flush=True)

    def check_disk(self, node):
        """Nothing half written, nothing damaged. A whole file that a crash kept from being named by
        the index is put aside by a scrub once it is an hour old, which it is made to look here."""
        eventually(lambda: node.temporaries() == [], f"{node.name} drops silent uploads", SILENT_S)
        long_ago = time.time() - 7200
        for path in node.blobs():
            os.utime(path, (long_ago, long_ago))
        first, second = scrub(node), scrub(node)
        self.counts["stray files put aside"] += first["orphans"]
        for walk in (first, second):
            assert (walk["found"], walk["damaged"], walk["trouble"]) == (0, 0, ""), walk
        assert second["orphans"] == 0, second
        assert first["orphans"] <= self.strays_max(), first

    def strays_max(self):
        """Whole files whose versions never came into the index. A kill within a sweep may leave more
        (store/FORMAT.md), which no run has met."""
        return self.counts["open outcomes"]

    def check_copies(self, present):
        """Each large object has its file on each node."""
        with MortalWire(self.mesh.nodes[0]) as wire:
            about = [wire.ask("stat", key=key)[0] for key in present]
        wanted = {f"{a['hashed_key']}.{a['blob_id']}" for a in about if a["size"] > 64 * KIB}
        for node in self.mesh.nodes:
            missing = wanted - {path.name for path in node.blobs()}
            assert not missing, f"{node.name} lacks {missing}"

    def summary(self):
        clients = sum((client.count for client in self.clients), collections.Counter())
        return "; ".join((
            f"{self.ledger.acknowledged} operations acknowledged",
            ", ".join(f"{count} {what}" for what, count in sorted(self.counts.items())),
            "clients: " + ", ".join(f"{count} {what}" for what, count in sorted(clients.items()))))


def read_patiently(wire, key):
    """A state, however long the mesh takes to have a quorum."""
    def state():
        try:
            return read(wire, key)
        except Refused:
            return None
    return eventually(state, f"{key} can be read", PATIENCE_S)


def why_not_held(wire, key):
    """What nodes say that do not prove it; empty if all do."""
    try:
        proofs = wire.ask("verify", key=key)[0]["nodes"]
    except Refused as error:
        return "" if error.code == "not_found" else str(error)
    return [(p["node_name"], p["state"], p["what"]) for p in proofs if p["state"] != "holds"]


def listed(node):
    done = node.zdb("ls", "--json")
    assert done.code == 0, done
    return {entry["key"] for entry in json.loads(done.out)}


def scrub(node):
    done = node.zdb("scrub", "--now", "--json", timeout_s=PATIENCE_S)
    assert done.out, done
    return json.loads(done.out)

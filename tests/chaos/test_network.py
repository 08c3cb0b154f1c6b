#!/usr/bin/python3
"""The network for real: nodes in namespaces of their own, on a network that loses, delays and cuts.

    tests/chaos/test_network.py                   # a few faults, some seconds each
    tests/chaos/test_network.py --full            # each fault and each pair, a minute each
    tests/chaos/test_network.py --full loss slow+stopped    # only these
    ZERODB_SEED=7 tests/chaos/test_network.py

Faults: packets lost, doubled (TCP must hide both), delayed and overtaken, a slow network, one
direction cut, a node cut off, all cut off, a node that is stopped (SIGSTOP), a disk that is full,
one that fails every write and sync (failing_disk.c, preloaded; the node is started again after it,
as it asks for). Clients work all the while. What is promised is what Rounds checks, once the fault
is over: every acknowledged state reads back right, all nodes agree, and in the end nothing is left
over.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import pathlib
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

from harness import (BIN, MIB, FreshMeshTest, environment, eventually, main, run,  # noqa: E402
                     ticket)
from crash_rounds import Rounds, at, seed_from_environment  # noqa: E402
from ledger import UNCERTAIN  # noqa: E402
from lossy_network import Network  # noqa: E402

INSIDE = "ZERODB_TEST_NAMESPACE"
SHIM = BIN.parent / "lib/libfailing_disk.so"
FULL = "--full" in sys.argv
CHOSEN = [word for word in sys.argv[1:] if not word.startswith("-")]
FAULT_S = 60 if FULL else 3
DISK_MIB = 512


class Faults:
    """Each can be had together with any other; heal() ends all."""

    NAMES = ("loss", "doubled", "delay", "slow", "one_way", "cut_off", "all_cut", "stopped",
             "full_disk", "failing_disk")
    SMOKE = (("loss", "delay"), ("one_way",), ("cut_off", "stopped"), ("all_cut",), ("full_disk",),
             ("failing_disk",))

    def __init__(self, network, rounds):
        self.network, self.rounds, self.nodes = network, rounds, rounds.mesh.nodes

    def loss(self):
        self.network.change(self.network.everywhere(), loss=0.03)

    def doubled(self):
        self.network.change(self.network.everywhere(), doubled=0.2)

    def delay(self):
        self.network.change(self.network.everywhere(), delay_s=0.03, jitter_s=0.02)

    def slow(self):
        self.network.change(self.network.everywhere(), bytes_per_s=1e6)

    def one_way(self):
        self.network.change([(1, 2)], cut=True)

    def cut_off(self):
        self.network.change(self.network.around(3), cut=True)

    def all_cut(self):
        self.network.change(self.network.everywhere(), cut=True)

    def stopped(self):
        self.nodes[1].signal(signal.SIGSTOP)

    def full_disk(self):
        with open(self.nodes[2].folder / "filler", "wb", 0) as filler:
            with contextlib.suppress(OSError):  # there is no space left, as is meant
                while filler.write(bytes(MIB)):
                    pass

    def failing_disk(self):
        self.rounds.switch.touch()

    def heal(self):
        self.network.heal()
        self.nodes[1].signal(signal.SIGCONT)
        (self.nodes[2].folder / "filler").unlink(missing_ok=True)
        if self.rounds.switch.exists():
            self.disk_replaced(self.nodes[2])

    def disk_replaced(self, node):
        """Its word is trusted again only after a new start, and it says so."""
        assert node.running(), f"{node.name} ended\n{node.log_tail()}"
        eventually(lambda: self.has_noticed(node), f"{node.name} notices that its disk fails")
        self.rounds.switch.unlink()
        self.rounds.strike([node])
        self.rounds.start([node])

    def has_noticed(self, node):
        """The clients may have done all they have to do in this round: writes that meet the disk."""
        for words in (("put", "-", "extra"), ("rm", "extra")):
            done = self.nodes[0].zdb(*words, stdin=b"x")
            if done.code == 5:  # another node may not be linked again yet
                return False
            assert done.code == 0, done
        return node.status()["read_only"]


class NetworkRounds(Rounds):
    """A node that is cut off shows what it has, which may be older: reads count when it is over."""

    def __init__(self, mesh, seed):
        super().__init__(mesh, seed)
        self.switch = mesh.root / "disk fails"
        for client in self.clients:  # a full disk, while another node is out of reach
            client.uncertain = UNCERTAIN | {"full"}

    def may_judge(self, node):
        return False

    def start(self, nodes, wait=True):
        for node in nodes:
            env = {} if node is not self.mesh.nodes[2] or not SHIM.exists() else {
                "LD_PRELOAD": str(SHIM), "FAILING_DISK_FOLDER": str(node.folder),
                "FAILING_DISK_SWITCH": str(self.switch)}
            super().start([node], wait=False, under=node.host.under, env=env)
        if wait:
            self.wait_ready(nodes)


class NetworkFaults(FreshMeshTest):
    def test_what_was_acknowledged_survives_bad_networks(self):
        seed = seed_from_environment()
        network = Network(3, seed)
        self.addCleanup(network.close)
        nodes = self.grow(network)
        rounds = NetworkRounds(self.mesh, seed)
        faults = Faults(network, rounds)
        rounds.start(nodes)
        self.mesh.wait_linked()
        for names in self.matrix():
            begun = time.monotonic()
            try:
                self.one_round(rounds, faults, names)
            except AssertionError as error:
                raise AssertionError(f"{' and '.join(names)}: {error}") from error
            print(f"  {time.monotonic() - begun:5.1f} s  {' and '.join(names)}", flush=True)
        rounds.finish()
        print(f"{network.carried} packets carried, {network.lost} lost", flush=True)

    def matrix(self):
        single = [(name,) for name in Faults.NAMES]
        every = single + list(itertools.combinations(Faults.NAMES, 2)) if FULL else Faults.SMOKE
        if CHOSEN:
            every = [tuple(word.split("+")) for word in CHOSEN]
        if SHIM.exists():
            return every
        print(f"SKIPPED: failing_disk: there is no {SHIM}: the programs are sanitized", flush=True)
        return [names for names in every if "failing_disk" not in names]

    def one_round(self, rounds, faults, names):
        with rounds.at_work():
            rounds.pause(0.1, 0.3)
            try:
                for name in names:
                    getattr(faults, name)()
                at(time.monotonic() + FAULT_S)
            finally:
                faults.heal()
        rounds.check()

    # -- a mesh of which each node has a network and a disk of its own

    def grow(self, network):
        for host in network.hosts:
            node = self.mesh.node()
            node.host = host
            self.disk(node)
            first = self.mesh.nodes[0]
            words = ["init"] if node is first else ["join", ticket(first, "--share-owner")]
            done = run([*host.under, BIN / "zerodb-node", *words, "--data", node.folder, "--name",
                        node.name, "--listen", f"{host.address}:7710"],
                       env=environment(self.mesh.root))
            self.assertEqual(0, done.code, done)
            node.start(under=host.under)
        self.mesh.wait_linked()
        self.mesh.wait_settled()
        return self.mesh.nodes

    def disk(self, node):
        node.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=700", "none",
                        node.folder], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", node.folder])
        self.addCleanup(node.kill)


def enter_namespace():
    """Starts over where devices and mounts may be made, and are seen by nobody else."""
    for options in ("-mn", "-rmn"):
        probe = ["unshare", options, "sh", "-c",
                 "mount -t tmpfs none /mnt && ip tuntap add dev z0 mode tun && unshare -n true"]
        tried = subprocess.run(probe, capture_output=True, text=True)
        if tried.returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp("unshare", ["unshare", options, sys.executable, *sys.argv])
    print(f"SKIPPED: no network of the test's own here: {tried.stderr.strip()}", flush=True)
    sys.exit(0)


if __name__ == "__main__":
    if INSIDE not in os.environ:
        enter_namespace()
    del sys.argv[1:]
    main()

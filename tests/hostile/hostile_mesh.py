"""Three honest nodes, a fourth member that lies (zliar), and what honest clients see of it."""

import collections
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

from harness import BIN, KIB, MIB, Mesh, Node, eventually, ticket  # noqa: E402
from wire import Refused, Wire  # noqa: E402

ABSENT = None
PATIENCE_S = 120
STALE_S = 3.0  # see node/DESIGN.md: a liar in both quorums can hide a write until its third copy


# The kernel shares the processors among sessions first: niceness counts within one only.
LEAST_PRIORITY = ("sh", "-c", '{ echo 19 > /proc/self/autogroup; } 2>/dev/null; '
                  'exec nice -n 19 "$@"', "liar")


class Liar(Node):
    """A member that was joined by zerodb-node, and is run by zliar."""

    lies = ()

    def lie(self, *names):
        """Has a machine of its own in truth: here it gets what the others leave."""
        if self.running():
            self.stop()
        self.lies = names
        return self.start(under=LEAST_PRIORITY)

    def daemon_words(self):
        lies = ["--lie", ",".join(self.lies)] if self.lies else []
        return [BIN / "zliar", "--data", self.folder, *lies]


def lies_there_are():
    """Name and description of every lie, in the order of `zliar --list`."""
    told = subprocess.run([BIN / "zliar", "--list"], capture_output=True, text=True, check=True)
    return dict(line.split(maxsplit=1) for line in told.stdout.splitlines())


class HostileMesh(Mesh):
    """`honest` gateways of one owner, and a blind member that is about to lie."""

    def __init__(self):
        super().__init__()
        self.honest = list(self.grow(3))
        self.liar = Liar(self, "liar")
        self.nodes.append(self.liar)
        self._made(self.liar, self.liar.command("join", ticket(self.honest[0]), "--name", "liar",
                                                "--listen", "127.0.0.1:0", "--blind"))
        for node in self.honest:
            node.stop()
        for node in self.nodes:
            node.configure(superseded_keep_s=60)  # of a gigabyte that is overwritten for each lie
        for node in self.honest:
            node.start()
        self.liar.lie()
        self.wait_linked()
        self.wait_settled()

    def wait_heard(self):
        """Until the honest nodes' links to the liar are up, for those lies that let them."""
        try:
            eventually(lambda: all("liar" in node.up() for node in self.honest), "links", 8)
        except AssertionError:
            return False
        return True

    def remove_liar(self):
        done = self.honest[0].zdb("node", "remove", "liar", "--force")
        assert done.code == 0, done
        self.liar.kill()


def resident_mib(node):
    for line in pathlib.Path(f"/proc/{node.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"{node.name} is gone\n{node.log_tail()}")


class LogWatch:
    """How many lines each node has logged since this was made."""

    def __init__(self, nodes):
        self.before = {node: self.lines(node) for node in nodes}

    @staticmethod
    def lines(node):
        return len(node.log.read_bytes().splitlines()) if node.log.exists() else 0

    def most(self):
        return max(self.lines(node) - before for node, before in self.before.items())


class Customer:
    """Puts, overwrites, gets, deletes and lists through one honest node after the other, and knows
    what each key holds."""

    def __init__(self, nodes, seed):
        self.wires = [Wire(node) for node in nodes]
        self.choice = random.Random(seed)
        self.prefix, self.expected = f"{seed}/", {}
        self.writers = {}  # through which node each key was written last
        self.stale = 0  # reads that were right only a moment later
        self.wrong = []

    def close(self):
        for wire in self.wires:
            wire.context.destroy(linger=0)

    def wire(self):
        return self.choice.choice(self.wires)

    def work(self, seconds):
        end, turns = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            turns += 1
            key = f"{self.prefix}{self.choice.randrange(60)}"
            kind = self.choice.random()
            if kind < 0.45:
                self.put(key)
            elif kind < 0.6:
                self.remove(key)
            elif kind < 0.98:
                self.check(key)
            else:
                self.check_listed(self.wire())
        return turns

    def put(self, key):
        size = self.choice.choice([100, 4 * KIB, 40 * KIB, 200 * KIB, 2 * MIB])
        data, wire = self.choice.randbytes(size), self.wire()
        wire.put(key, data)
        self.expected[key], self.writers[key] = data, wire

    def remove(self, key):
        wire = self.wire()
        try:
            wire.ask("delete", key=key)
            self.writers[key] = wire
        except Refused as error:
            if error.code != "not_found" or self.expected.get(key) is not ABSENT:
                raise
        self.expected[key] = ABSENT

    def read(self, wire, key):
        try:
            return wire.get(key)
        except Refused as error:
            if error.code != "not_found":
                raise
            return ABSENT

    def becomes(self, is_right, complaint):
        """Right soon, else noted as wrong."""
        try:
            eventually(is_right, "right", STALE_S, every_s=0.05)
        except AssertionError:
            self.wrong.append(complaint())

    def check(self, key, wire=None):
        wire = wire or self.wire()

        def is_right():
            return self.read(wire, key) == self.expected.get(key)

        if not is_right():
            self.stale += 1
            if self.writers.get(key) is wire:
                self.wrong.append(f"{key}: not what this very node acknowledged")
            self.becomes(is_right, lambda: f"{key}: not what was acknowledged last")

    def listed(self, wire):
        keys, after, more = set(), "", True
        while more:
            page, _ = wire.ask("list", prefix=self.prefix, after=after, limit=500)
            keys.update(entry["key"] for entry in page["entries"])
            after = page["entries"][-1]["key"] if page["entries"] else after
            more = page["more"]
        return keys

    def check_listed(self, wire):
        there = {key for key, data in self.expected.items() if data is not ABSENT}

        def wrongly():
            return self.listed(wire) ^ there

        self.becomes(lambda: not wrongly(), lambda: f"listed {wrongly()} wrongly")

    def check_all(self):
        """Through every node: each key, and the listing."""
        for wire in self.wires:
            self.check_listed(wire)
            for key in self.expected:
                self.check(key, wire)
        return self.wrong


# ----------------------------------------------------------------------------------------- rates

def pipelined(wire, requests, seconds):
    """Requests a second, 16 under way at once. An error reply is raised."""
    window = 16
    begin, under_way, done = time.monotonic(), 0, 0
    end = begin + seconds
    while time.monotonic() < end or under_way:
        while under_way < window and time.monotonic() < end:
            name, payload, fields = next(requests)
            wire.send(name, payload, **fields)
            under_way += 1
        wire.receive()
        under_way, done = under_way - 1, done + 1
    return done / (time.monotonic() - begin)


def small_requests(prefix):
    """Puts and gets of 4 KiB, in turn. What is got has been put: it would not be there yet if a
    single put took longer than all that follow it."""
    data = random.Random(1).randbytes(4 * KIB)
    for number in range(1 << 30):
        yield "put", data, {"key": f"{prefix}{number % 100}", "size": len(data)}
        yield "get", b"", {"key": f"{prefix}{(number - 20) % 100}"}


def small(wire, prefix, seconds):
    for number in range(100):
        wire.put(f"{prefix}{number}", b"something to be read")
    return pipelined(wire, small_requests(prefix), seconds)


def conditional(wire, prefix, seconds):
    """Puts to four keys at once, each of which expects the version before it."""
    data = b"x" * 1000
    versions = {f"{prefix}{n}": wire.put(f"{prefix}{n}", data)["version"] for n in range(4)}

    def put(key):
        under_way[wire.send("put", data, key=key, size=len(data), if_version=versions[key])] = key

    begin, under_way, done = time.monotonic(), {}, 0
    for key in versions:
        put(key)
    while under_way:
        reply, _ = wire.receive()
        key = under_way.pop(reply["id"])
        versions[key], done = reply["version"], done + 1
        if time.monotonic() < begin + seconds:
            put(key)
    return done / (time.monotonic() - begin)


def large(wire, prefix, seconds):
    """Puts and gets of 24 MiB, one after the other."""
    data = random.Random(2).randbytes(24 * MIB)
    begin, done = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        wire.put(f"{prefix}{done % 3}", data)
        assert wire.get(f"{prefix}{done % 3}") == data
        done += 1
    return done / (time.monotonic() - begin)


def listing(wire, prefix, seconds):
    begin, done = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        wire.put(f"{prefix}{done % 10}", b"listed")
        wire.ask("list", prefix=prefix, after="", limit=10)
        done += 1
    return done / (time.monotonic() - begin)


KINDS = {"small": small, "conditional": conditional, "large": large, "list": listing}


def rates(node, seconds, windows):
    """The best of a few short windows for each kind of work."""
    best = collections.Counter()
    with Wire(node) as wire:
        for kind, measure in KINDS.items():
            for window in range(windows):
                rate = measure(wire, f"rate/{kind}/", seconds)
                best[kind] = max(best[kind], rate)
    return best

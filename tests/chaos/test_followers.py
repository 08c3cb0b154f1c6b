#!/usr/bin/python3
"""Followers that are killed again and again while three gateways store and delete, one of which is
killed as well: in the end each has told exactly the right set.

    tests/chaos/test_followers.py            # 600 changes, 8 kills of each follower
    tests/chaos/test_followers.py --full     # 10,000 and 50
"""

import contextlib
import json
import pathlib
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

import zmq  # noqa: E402

from harness import Mesh, eventually  # noqa: E402
from wire import Refused, Wire  # noqa: E402

FULL = "--full" in sys.argv[1:]
CHANGES, KILLS = (10_000, 50) if FULL else (600, 8)
DEADLINE_S = 3_000 if FULL else 240
ANSWER_MS = 5_000
GONE = {"timeout", "no_quorum", "busy", "io"}  # repeating helps; doing it twice is harmless


class Writer(threading.Thread):
    """Stores new keys through one gateway, and deletes some of them again."""

    def __init__(self, node, number, count):
        super().__init__(daemon=True)
        self.node, self.number, self.count = node, number, count
        self.random = random.Random(number)
        self.done, self.there, self.error, self.wire = 0, [], None, None

    def run(self):
        try:
            for i in range(self.count):
                if self.there and self.random.random() < 0.3:
                    key = self.there.pop(self.random.randrange(len(self.there)))
                    self.insist("delete", key=key)
                else:
                    key = f"w{self.number}/{i:05}"
                    self.insist("put", b"x" * (i % 100), key=key, size=i % 100)
                    self.there.append(key)
                self.done += 1
        except Exception as error:  # noqa: BLE001: told to the test, which ends
            self.error = error

    def insist(self, name, payload=b"", **fields):
        """Until it is acknowledged. A node that is away comes back."""
        eventually(lambda: self.acknowledged(name, payload, fields),
                   f"{name} {fields['key']} is acknowledged", DEADLINE_S)

    def acknowledged(self, name, payload, fields):
        """Tries it once."""
        if self.wire is None:
            self.wire = Wire(self.node)
            self.wire.socket.setsockopt(zmq.RCVTIMEO, ANSWER_MS)
        try:
            self.wire.ask(name, payload, **fields)
        except zmq.Again:
            self.wire.context.destroy(linger=0)
            self.wire = None
            return False
        except Refused as refused:
            if name == "delete" and refused.code == "not_found":
                return True  # an attempt before went through
            if refused.code not in GONE:
                raise
            return False
        return True


class Follower:
    """A durable one, as a supervisor would run it: started again whenever it ends."""

    def __init__(self, mesh, node, name):
        self.node, self.name, self.path = node, name, mesh.root / f"{name}.events"
        self.process, self.kills, self.started = None, 0, 0.0
        self.start()
        eventually(lambda: name in node.zdb("watch", "--list").out.decode(), f"{name} is known")

    def start(self):
        with open(self.path, "ab") as out, open(f"{self.path}.err", "ab") as err:
            if self.path.stat().st_size:
                out.write(b"\n")  # a line that was cut off by a kill ends there
                out.flush()
            self.process = self.node.zdb_start("watch", "--json", "--durable", self.name,
                                               stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.started = time.monotonic()

    def keep_up(self):
        if self.process.poll() is not None and time.monotonic() > self.started + 0.2:
            self.start()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.kills += 1
        self.start()

    def behind(self):
        done = self.node.zdb("watch", "--list", "--json")
        if done.code != 0:
            return None
        return {one["durable"]: one for one in json.loads(done.out)}[self.name]["behind"]

    def events(self):
        for line in self.path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                pass  # cut off: told again

    def replayed(self):
        """{key: version} of what is there, after all that was told."""
        there = {}
        for event in self.events():
            if event["event"] == "store":
                there[event["key"]] = event["version"]
            else:
                there.pop(event["key"], None)
        return there


def wait_for(writers, share, followers):
    """Until that share of all changes is done."""
    def reached():
        for follower in followers:
            follower.keep_up()
        for writer in writers:
            if writer.error:
                raise AssertionError(f"writer {writer.number}: {writer.error!r}")
        return sum(writer.done for writer in writers) >= share * CHANGES
    eventually(reached, f"{share:.0%} of the changes are done", DEADLINE_S)


def kill_and_restart(mesh, writers, followers):
    """Followers all along; one of the gateways, which has a follower, in the middle."""
    victim = followers[0].node
    for step in range(1, KILLS + 1):
        wait_for(writers, 0.95 * step / (KILLS + 1), followers)
        for follower in followers:
            follower.kill()
        if step == KILLS // 2:
            victim.kill()
            # Its own writer waits, so the others must have something left to do.
            wait_for(writers, 0.95 * (step + 0.5) / (KILLS + 1), followers)
            victim.start()
    wait_for(writers, 1, followers)
    mesh.wait_linked()


def check(node, writers, followers):
    listed, after = {}, ""
    with Wire(node) as wire:
        while True:
            page, _ = wire.ask("list", prefix="", after=after, limit=500)
            listed.update((entry["key"], entry["version"]) for entry in page["entries"])
            if not page["more"]:
                break
            after = page["entries"][-1]["key"]
    expected = {key for writer in writers for key in writer.there}
    assert set(listed) == expected, f"{len(listed)} listed, {len(expected)} stored"
    for follower in followers:
        # A gateway that was killed before its broadcast is found out by digests, within 10 s.
        settled = lambda: follower.keep_up() or follower.replayed() == listed
        with contextlib.suppress(AssertionError):
            eventually(settled, "all is told", 60)
        told = follower.replayed()
        missing, extra = set(listed) - set(told), set(told) - set(listed)
        assert not missing and not extra, f"{follower.name}: {len(missing)} missing, " \
            f"{len(extra)} too many: {sorted(missing)[:3]} {sorted(extra)[:3]}"
        assert told == listed, f"{follower.name}: other versions"
        assert follower.kills == KILLS
        lines = [event["sequence"] for event in follower.events()]
        print(f"{follower.name}: {len(told)} keys, exactly those; {len(set(lines))} events, "
              f"{len(lines) - len(set(lines))} of them told again, after {follower.kills} kills")


def main():
    begun = time.monotonic()
    with Mesh() as mesh:
        nodes = mesh.grow(3)
        followers = [Follower(mesh, nodes[0], "first"), Follower(mesh, nodes[1], "second")]
        shares = [CHANGES // 5, CHANGES * 2 // 5, CHANGES - CHANGES // 5 - CHANGES * 2 // 5]
        writers = [Writer(node, i, shares[i]) for i, node in enumerate(nodes)]
        for writer in writers:
            writer.start()
        try:
            kill_and_restart(mesh, writers, followers)
            with Wire(nodes[2]) as wire:
                wire.put("last", b"")
            writers[2].there.append("last")
            for follower in followers:
                eventually(lambda f=follower: f.keep_up() or (
                    f.behind() == 0 and "last" in f.replayed()), f"{follower.name} is done", 120)
            check(nodes[2], writers, followers)
        except AssertionError:
            for node in nodes:
                print(node.log_tail(), file=sys.stderr)
            raise
    print(f"{CHANGES} changes through three gateways in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()

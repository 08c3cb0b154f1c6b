"""What clients were promised, kept outside the daemons, and clients that write it down.

A key may hold one of a set of states. An acknowledgement leaves one; an operation that was not
acknowledged adds one, as it may have happened or not. Each key has one writer, so the set is exact.
"""

import collections
import hashlib
import random
import threading
import time

import zmq

from harness import KIB, MIB, DEADLINE_S
from wire import Refused, Wire

ABSENT = "absent"
UNCERTAIN = {"no_quorum", "timeout", "busy", "io"}  # refusals after which the outcome is open
ROUND_OPERATIONS_MAX = 25  # of one client, so that slow machines have no more to check
ALIVE_S = 3 * DEADLINE_S  # a daemon that runs answers within this, whatever happens to others


class Gone(Exception):
    """The daemon died before it answered."""


def mark(data):
    """What is remembered of content."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class Ledger:
    """What each key may hold."""

    def __init__(self):
        self.possible, self.acknowledged = {}, 0

    def may_hold(self, key):
        return self.possible.setdefault(key, {ABSENT})

    def begins(self, key, state):
        self.may_hold(key).add(state)

    def is_acknowledged(self, key, state):
        self.possible[key] = {state}
        self.acknowledged += 1

    def settle(self, key, state):
        """An open outcome was seen by all nodes, and is final."""
        self.possible[key] = {state}

    def unsettled(self):
        return [key for key, states in self.possible.items() if len(states) > 1]

    def present(self):
        """Keys that hold something. Only when nothing is unsettled."""
        return {key for key, (state,) in self.possible.items() if state != ABSENT}


class MortalWire(Wire):
    """A client of a daemon that may die at any moment.

    What was sent to one daemon never reaches the next one on the same folder: the socket connects
    once. So an operation is over when it is answered, or when its daemon is dead.
    """

    def __init__(self, node):
        self.daemon = node.process
        super().__init__(node)

    def connect(self, node):
        self.socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self.socket.setsockopt(zmq.SNDTIMEO, 500)
        super().connect(node)

    def send(self, *words, **fields):
        try:
            return super().send(*words, **fields)
        except zmq.Again:  # there is no connection any more
            raise Gone() from None

    def answers(self):
        """Whether the daemon serves. The first thing to ask."""
        self.send("status")
        if not self.socket.poll(500):
            return False
        self.receive()
        return True

    def receive(self):
        deadline = time.monotonic() + ALIVE_S
        while not self.socket.poll(20):
            if self.daemon.poll() is not None:
                raise Gone()
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.daemon.args}: lives, and does not answer")
        return super().receive()


def read(wire, key):
    """The state that a gateway shows; Refused if it cannot tell."""
    try:
        return mark(wire.get(key))
    except Refused as error:
        if error.code != "not_found":
            raise
        return ABSENT


def random_content(choice):
    """Never twice the same. Mostly inline, some of one chunk, a few of several."""
    kind = choice.random()
    if kind < 0.6:
        size = choice.randrange(0, 5 * KIB)
    elif kind < 0.75:
        size = choice.randrange(5 * KIB, 64 * KIB)
    elif kind < 0.98:
        size = choice.randrange(64 * KIB, 128 * KIB)
    else:
        size = choice.randrange(MIB, 3 * MIB)
    return choice.randbytes(16 + size)


class Client:
    """Puts, overwrites, deletes and reads keys of its own through any gateway that serves."""

    def __init__(self, number, nodes, ledger, seed, keys=12):
        self.choice = random.Random(f"{seed}/client/{number}")
        self.keys = [f"c{number}/{i}" for i in range(keys)]
        self.nodes, self.ledger, self.uncertain = nodes, ledger, UNCERTAIN
        self.count = collections.Counter()

    def work(self, ended, may_judge):
        """Until `ended` is set. `may_judge(node)`: whether a read through it must be right now."""
        self.left = ROUND_OPERATIONS_MAX
        while not ended.is_set():
            node = self.choice.choice(self.nodes)
            if not node.running() or self.left == 0:
                ended.wait(0.02)
                continue
            with MortalWire(node) as wire:
                try:
                    if wire.answers():
                        self.session(wire, node, ended, may_judge)
                except Gone:
                    self.count["died"] += 1

    def session(self, wire, node, ended, may_judge):
        for _ in range(8):
            if ended.is_set() or self.left == 0:
                return
            self.left -= 1
            try:
                self.one_operation(wire, node, may_judge)
            except Refused as error:
                if error.code not in self.uncertain:
                    raise
                self.count[error.code] += 1
                ended.wait(0.02)

    def one_operation(self, wire, node, may_judge):
        key, kind = self.choice.choice(self.keys), self.choice.random()
        if kind < 0.2:
            seen = read(wire, key)
            if may_judge(node):
                assert seen in self.ledger.may_hold(key), \
                    f"{key} through {node.name}: read what was not written last"
        elif kind < 0.8:
            data = random_content(self.choice)
            self.ledger.begins(key, mark(data))
            wire.put(key, data)
            self.ledger.is_acknowledged(key, mark(data))
        else:
            might_be_absent = ABSENT in self.ledger.may_hold(key)
            self.ledger.begins(key, ABSENT)
            try:
                wire.ask("delete", key=key)
            except Refused as error:
                if error.code != "not_found":
                    raise
                assert might_be_absent or not may_judge(node), \
                    f"{key} through {node.name}: what was written last is not found"
                # Nothing was deleted: what was not acknowledged before may still turn up.
            else:
                self.ledger.is_acknowledged(key, ABSENT)
        self.count["done"] += 1


class AtWork:
    """Context: all clients work, each in a thread; an error of one is raised at the end."""

    def __init__(self, clients, may_judge):
        self.clients, self.may_judge = clients, may_judge
        self.ended, self.errors = threading.Event(), []

    def __enter__(self):
        self.threads = [threading.Thread(target=self._work, args=(client,), daemon=True)
                        for client in self.clients]
        for thread in self.threads:
            thread.start()
        return self

    def _work(self, client):
        try:
            client.work(self.ended, self.may_judge)
        except Exception as error:  # noqa: BLE001: what a thread raises is raised by nobody
            self.errors.append(error)

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

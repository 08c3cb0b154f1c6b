#!/usr/bin/python3
"""Following what is stored and deleted: three gateways of one owner, real followers."""

import json
import os
import signal
import subprocess

import msgpack
import zmq

from harness import BIN, DEADLINE_S, FreshMeshTest, environment, eventually, main, run
from wire import Wire


def events_of(text):
    """[("store", key), ...] of what `zdb watch` printed."""
    lines = [line.split(" ", 3) for line in text.splitlines()]
    return [(kind, key) for _, kind, _, key in lines]


class Follower:
    """`zdb watch` in the background, printing into a file."""

    def __init__(self, test, node, name, *words):
        self.path = test.files / f"{name}.events"
        with open(self.path, "ab") as out, open(test.files / f"{name}.err", "ab") as err:
            self.process = node.zdb_start("watch", *words, stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=err)

    def events(self):
        return events_of(self.path.read_text())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self, sig=signal.SIGINT):
        self.process.send_signal(sig)
        return self.process.wait(DEADLINE_S)


class Events(FreshMeshTest):

    def follow(self, node, name, *words):
        """A durable follower that the node knows of."""
        follower = Follower(self, node, name, "--durable", name, *words)
        eventually(lambda: name in self.followers(node), f"{node.name} knows {name}")
        return follower

    def followers(self, node):
        return {one["durable"]: one for one in json.loads(
            self.ok(node, "watch", "--list", "--json").out)}

    def test_a_follower_on_each_gateway_sees_what_all_do(self):
        nodes = self.mesh.grow(3)
        followers = [self.follow(node, "mirror") for node in nodes]
        expected = []  # in one file, by the three of them
        for i, node in enumerate(nodes):
            self.put(node, f"from {i}", b"x" * i)
            self.put(node, f"short-lived {i}", b"y")
            self.ok(node, "rm", f"short-lived {i}")
            expected += [("store", f"from {i}"), ("store", f"short-lived {i}"),
                         ("delete", f"short-lived {i}")]
        eventually(lambda: len(followers[0].events()) >= 3 * len(expected), "all are told")
        seen = followers[0].events()
        for event in expected:
            self.assertEqual(3, seen.count(event), seen)
        for follower in followers:
            self.assertEqual(0, follower.end())

    def test_a_killed_follower_and_a_killed_node_miss_nothing(self):
        one, two, _ = self.mesh.grow(3)
        follower = self.follow(one, "mirror")
        self.put(two, "a", b"1")
        eventually(lambda: ("store", "a") in follower.events(), "a is told")
        follower.kill()
        self.put(two, "b", b"2")
        one.kill()
        self.put(two, "c", b"3")
        self.ok(two, "rm", "a")
        one.start()
        self.mesh.wait_linked()
        follower = self.follow(one, "mirror")
        eventually(lambda: {("store", "b"), ("store", "c"), ("delete", "a")}
                   <= set(follower.events()), "what happened meanwhile is told")
        one.stop()
        one.start()  # while the follower waits
        self.mesh.wait_linked()
        self.put(one, "d", b"4")
        eventually(lambda: ("store", "d") in follower.events(), "it went on by itself")
        eventually(lambda: self.followers(one)["mirror"]["behind"] == 0, "all is acknowledged")
        self.assertEqual(0, follower.end(signal.SIGTERM))

    def test_a_command_runs_for_each_event_and_stops_the_watch_when_it_fails(self):
        one = self.mesh.init().start()
        log = self.files / "log"
        command = f'echo "$ZERODB_EVENT $ZERODB_KEY $ZERODB_SIZE $ZERODB_SEQUENCE" >> {log}'
        self.put(one, "p/a b", b"123")
        self.put(one, "other", b"")
        self.put(one, "p/bad", b"")
        self.put(one, "p/c", b"")
        watch = ("watch", "p/", "--durable", "runner", "--once")
        done = one.zdb(*watch, "--since", "0", "--exec", f'{command}; [ "$ZERODB_KEY" != p/bad ]')
        self.assertEqual(1, done.code, done)
        self.assertIn("event 3 (store p/bad): exit code 1", done.err)
        self.assertEqual("store p/a b 3 1\nstore p/bad 0 3\n", log.read_text())
        self.ok(one, *watch, "--exec", command)  # again from the one that failed
        self.assertEqual("store p/a b 3 1\nstore p/bad 0 3\nstore p/bad 0 3\nstore p/c 0 4\n",
                         log.read_text())
        self.assertEqual(0, self.followers(one)["runner"]["behind"])
        self.ok(one, "watch", "--forget", "runner")
        self.assertEqual({}, self.followers(one))
        self.refused(3, one, "watch", "--forget", "runner", says=["there is no follower 'runner'"])

    def test_a_command_finds_the_node_that_is_watched(self):
        one = self.mesh.init().start()
        self.put(one, "key", b"")
        there = {**environment(self.mesh.root), "ZERODB_DIR": str(one.folder), "ZERODB_KEY": "no"}
        done = run([BIN / "zdb", "watch", "--since", "0", "--once", "--exec",
                    f'{BIN / "zdb"} stat "$ZERODB_KEY"'], env=there)
        self.assertEqual(0, done.code, done)

    def test_a_key_that_no_command_can_be_told_of_is_not_cut_short(self):
        one = self.mesh.init().start()
        log = self.files / "log"
        with Wire(one) as wire:
            wire.put("dir\0/x", b"")
        self.put(one, "after", b"")
        words = ("watch", "--durable", "runner", "--once", "--exec", f'echo "$ZERODB_KEY" >> {log}')
        done = one.zdb(*words, "--since", "0")
        self.assertEqual(1, done.code, done)
        self.assertIn("NUL byte", done.err)
        self.assertFalse(log.exists())
        self.assertEqual(2, self.followers(one)["runner"]["behind"])
        self.ok(one, *words, "--since", "2")
        self.assertEqual("after\n", log.read_text())

    def test_a_watch_that_shall_live_through_a_signal_does(self):
        """As in the background of a script, where Ctrl-C is for somebody else."""
        one = self.mesh.init().start()
        log, pipe = self.files / "log", self.files / "pipe"
        os.mkfifo(pipe)
        for key in ("a", "b"):
            self.put(one, key, b"")
        watching = one.zdb_start("watch", "--since", "0", "--limit", "2", "--exec",
                                 f'echo "$ZERODB_KEY" >> {log}; read line < {pipe}',
                                 preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        eventually(lambda: log.exists() and log.read_text() == "a\n", "the first is at work")
        watching.send_signal(signal.SIGINT)
        pipe.write_text("go on\n")
        eventually(lambda: log.read_text() == "a\nb\n", "it went on")
        pipe.write_text("go on\n")
        self.assertEqual(0, watching.wait(DEADLINE_S))

    def test_a_follower_that_comes_too_late_is_told_how_to_go_on(self):
        one = self.mesh.init()
        one.configure(events_max=100)
        one.start()
        self.ok(one, "watch", "--durable", "late", "--once")
        with Wire(one) as wire:
            for i in range(130):
                wire.put(f"{i:03}", b"")
        done = self.refused(3, one, "watch", "--durable", "late", "--once",
                            says=["events before 31 are not kept", "zdb ls", "--since 131"])
        self.refused(3, one, "watch", "--since", "30", "--once", says=["not kept"])
        self.assertTrue(self.followers(one)["late"]["lost"])
        again = done.err.rsplit("zdb watch ", 1)[1].split()
        self.put(one, "later", b"")
        self.assertEqual([("store", "later")],
                         events_of(self.ok(one, "watch", *again, "--once").out.decode()))
        self.assertFalse(self.followers(one)["late"]["lost"])
        lines = self.ok(one, "watch", "--since", "0", "--limit", "2", "--json").out.splitlines()
        first = json.loads(lines[0])
        self.assertEqual(2, len(lines))
        self.assertEqual({"sequence": 32, "event": "store", "key": "031", "size": 0},
                         {k: first[k] for k in ("sequence", "event", "key", "size")})

    def test_a_lost_log_is_told_of(self):
        one, two, _ = self.mesh.grow(3)
        self.put(one, "a", b"")
        self.ok(one, "watch", "--durable", "mirror", "--since", "0", "--once")
        one.stop()
        for path in (one.folder / "catalogue").rglob("*"):
            if path.is_file():
                path.write_bytes(bytes(path.stat().st_size))
        one.start()
        self.mesh.wait_linked()
        self.refused(3, one, "watch", "--durable", "mirror", "--once", says=["another one"])

    def test_subscribers_are_woken_and_ask_for_what_they_follow(self):
        """As PROTOCOL.md tells a client's author to do."""
        one, two, _ = self.mesh.grow(3)
        path = one.folder / "events.sock"
        self.assertEqual(0o600, path.stat().st_mode & 0o777)
        with Wire(one) as wire:
            subscriber = wire.context.socket(zmq.SUB)
            subscriber.setsockopt(zmq.RCVTIMEO, 1_000)
            for kind in ("store", "delete"):
                subscriber.setsockopt(zmq.SUBSCRIBE, f"{kind} mine/".encode())
            subscriber.connect(f"ipc://{path}")
            start, _ = wire.ask("events")
            self.put(two, "mine/first", b"")

            def woken():
                try:
                    return subscriber.recv_multipart()
                except zmq.Again:
                    self.put(two, "mine/first", b"again")  # until the subscription is there
                    return None
            topic, header = eventually(woken, "the subscriber hears of it")
            event = msgpack.unpackb(header)
            self.assertEqual(b"store mine/first", topic)
            self.assertEqual(("event", start["epoch"], "store", "mine/first"),
                             (event["t"], event["epoch"], event["kind"], event["key"]))
            self.put(two, "other", b"")
            self.ok(two, "rm", "mine/first")
            while topic != b"delete mine/first":
                self.assertTrue(topic.startswith(b"store mine/"), topic)
                topic, _ = subscriber.recv_multipart()
            reply, _ = wire.ask("events", since=start["next"], epoch=start["epoch"],
                                prefix="mine/", wait_ms=1_000)
            kinds = [entry["kind"] for entry in reply["entries"]]
            self.assertEqual("delete", kinds[-1])
            self.assertEqual({"store"}, set(kinds[:-1]))
        one.stop()
        self.assertFalse(path.exists())

    def test_bad_requests_are_refused(self):
        one = self.mesh.init().start()
        self.refused(2, one, "watch", "--since", "x", says=["--since x: is no number"])
        self.refused(2, one, "watch", "--list", "--once")
        self.refused(2, one, "watch", "--list", "photos/", says=["--list and --forget"])
        self.refused(2, one, "scrub", "--no-wait", says=["goes with --now"])
        self.refused(1, one, "watch", "--durable", "no\nname", says=["is no follower's name"])
        blind = self.mesh.join(self.ok(one, "invite").out.decode().strip(), "--blind").start()
        self.refused(4, blind, "watch", says=["holds no owner's key"])

    def test_no_file_shows_the_name_of_an_event_or_a_follower(self):
        one = self.mesh.init().start()
        self.put(one, "nobody-may-read-this", b"")
        self.ok(one, "watch", "--durable", "nobody-may-know", "--once")
        one.stop()
        for path in (p for p in one.folder.rglob("*") if p.is_file()):
            for secret in (b"nobody-may-read-this", b"nobody-may-know"):
                self.assertNotIn(secret, path.read_bytes(), path)


if __name__ == "__main__":
    main()

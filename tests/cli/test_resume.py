#!/usr/bin/python3
"""Large transfers over connections that are lost, on real daemons."""

import contextlib
import re
import socket
import subprocess
import threading

import zmq

from harness import (BIN, MIB, MeshTest, content, environment, eventually, main, on_a_terminal,
                     run)
from wire import Refused, Wire


class Resume(MeshTest):
    size = 3

    def begin(self, wire, data, **fields):
        """An upload of which the first six chunks were sent."""
        upload, _ = wire.ask("put", key=self.key, size=len(data), **fields)
        for offset in range(0, 6 * MIB, MIB):
            wire.ask("put_data", data[offset:offset + MIB], upload=upload["upload"], offset=offset)
        return upload

    def test_an_upload_goes_on_over_another_connection(self):
        data = content(12 * MIB + 5)
        with Wire(self.node) as lost:
            began = self.begin(lost, data, resumable=True, attributes={"try": "2"})
        with Wire(self.node, zmq.REQ) as wire:
            upload, _ = wire.ask("put_resume", resume=began["resume"])
            self.assertEqual(6 * MIB, upload["offset"])
            for offset in range(upload["offset"], len(data), MIB):
                wire.ask("put_data", data[offset:offset + MIB], upload=upload["upload"],
                         offset=offset)
            wire.ask("put_end", upload=upload["upload"], size=len(data))
            with self.assertRaisesRegex(Refused, "not_found"):
                wire.ask("put_resume", resume=began["resume"])
        self.assertEqual(data, self.get(self.nodes[2], self.key))

    def test_an_upload_that_is_not_resumable_goes_with_its_connection(self):
        with Wire(self.node) as lost:
            self.begin(lost, content(12 * MIB))
            self.assertTrue(any(node.temporaries() for node in self.nodes))
        eventually(lambda: not any(node.temporaries() for node in self.nodes), "space returns")
        self.refused(3, self.node, "stat", self.key)

    def test_a_download_goes_on_from_where_it_was(self):
        data = content(9 * MIB + 1)
        self.put(self.node, self.key, data)
        with Wire(self.node) as lost:
            about, _ = lost.ask("get", key=self.key)
            got = b"".join(lost.ask("get_data", download=about["download"], offset=offset,
                                    length=MIB)[1] for offset in range(0, 4 * MIB, MIB))
        with Wire(self.nodes[1]) as wire:  # any gateway will do
            again, _ = wire.ask("get", key=self.key, first=len(got))
            self.assertEqual(about["version"], again["version"])
            for offset in range(len(got), len(data), MIB):
                got += wire.ask("get_data", download=again["download"], offset=offset,
                                length=MIB)[1]
        self.assertEqual(data, got)


class BreakingLine:
    """Carries connections to `port` of 127.0.0.2 on to the same of 127.0.0.1. The first ones break:
    each in turn after so many bytes from its client or, `downwards`, from its server."""

    def __init__(self, port, break_after, downwards):
        self.port, self.break_after, self.downwards = port, list(break_after), downwards
        self.full = threading.Event()  # a connection has carried what it carries
        self.may_break = threading.Event()
        self.may_break.set()
        self.listener = socket.create_server(("127.0.0.2", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self.listener.accept()
                most = self.break_after.pop(0) if self.break_after else None
                threading.Thread(target=self.serve, args=(client, most), daemon=True).start()

    def serve(self, client, most):
        with client, contextlib.suppress(ConnectionRefusedError), \
                socket.create_connection(("127.0.0.1", self.port)) as server:
            up, down = (None, most) if self.downwards else (most, None)
            back = threading.Thread(target=self.carry, args=(server, client, down), daemon=True)
            back.start()
            self.carry(client, server, up)
            back.join()

    def carry(self, source, target, most):
        carried = 0
        with contextlib.suppress(OSError):
            while (most is None or carried < most) and (data := source.recv(64 * 1024)):
                target.sendall(data)
                carried += len(data)
            if most is not None and carried >= most:
                self.full.set()
                self.may_break.wait()
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class BrokenConnections(MeshTest):
    size = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node.stop()
        cls.node.configure(client_listen="127.0.0.1:0", advertise="127.0.0.2")
        cls.node.start()

    def setUp(self):
        super().setUp()
        self.credential = self.ok(self.node, "client", "add", self.name, "--read", "", "--write",
                                  "").out.decode().strip()
        self.addCleanup(self.node.zdb, "client", "revoke", self.name)

    @property
    def name(self):
        return self.id().rsplit(".", 1)[-1]

    def line(self, *break_after, downwards=False):
        endpoint = self.node.status()["client_endpoint"]
        line = BreakingLine(int(re.search(r":(\d+)$", endpoint)[1]), break_after, downwards)
        self.addCleanup(line.close)
        return line

    def remote(self, *words, **options):
        return run([BIN / "zdb", "--remote", self.credential, *words],
                   env=environment(self.mesh.root), **options)

    def test_zdb_put_goes_on_when_its_connection_breaks(self):
        line = self.line(5 * MIB, 7 * MIB)
        path = self.file("large", content(24 * MIB + 7))
        done = self.remote("put", path, self.key)
        self.assertEqual((0, ""), (done.code, done.err))
        self.assertEqual([], line.break_after, "both connections broke")
        self.assertEqual(path.read_bytes(), self.get(self.node, self.key))

    def test_zdb_says_on_a_terminal_that_it_goes_on(self):
        self.line(5 * MIB)
        path = self.file("large", content(24 * MIB))
        code, shown = on_a_terminal(lambda terminal: subprocess.Popen(
            [BIN / "zdb", "--remote", self.credential, "put", path, self.key],
            env=environment(self.mesh.root), stderr=terminal))
        self.assertEqual((0, 1), (code, shown.count(b"the connection was lost; trying")), shown)

    def test_a_pipe_goes_on_too(self):
        line = self.line(3 * MIB)
        data = content(9 * MIB + 1)
        done = self.remote("put", "-", self.key, stdin=data)
        self.assertEqual((0, ""), (done.code, done.err))
        self.assertEqual([], line.break_after)
        self.assertEqual(data, self.get(self.node, self.key))

    def test_zdb_get_goes_on_when_its_connection_breaks(self):
        data = content(24 * MIB + 7)
        self.put(self.node, self.key, data)
        line = self.line(5 * MIB, 7 * MIB, downwards=True)
        done = self.remote("get", self.key, "-")
        self.assertEqual((0, ""), (done.code, done.err))
        self.assertEqual([], line.break_after)
        self.assertEqual(data, done.out)

    def test_half_of_one_version_is_never_followed_by_half_of_another(self):
        self.put(self.node, self.key, content(24 * MIB))
        line = self.line(5 * MIB, downwards=True)
        line.may_break.clear()
        done = []
        getting = threading.Thread(target=lambda: done.append(self.remote(
            "get", self.key, self.files / "got")))
        getting.start()
        self.assertTrue(line.full.wait(60))
        self.put(self.node, self.key, content(24 * MIB, seed=2))
        line.may_break.set()
        getting.join()
        self.complained(3, done[0], ["not the same any more"])
        self.assertFalse((self.files / "got").exists())

    def test_nothing_is_stored_when_the_node_forgot_the_upload(self):
        line = self.line(5 * MIB)
        line.may_break.clear()
        path = self.file("large", content(24 * MIB))
        done = []
        putting = threading.Thread(target=lambda: done.append(self.remote("put", path, self.key)))
        putting.start()
        self.assertTrue(line.full.wait(60))
        self.node.kill()
        self.node.start()
        line.may_break.set()
        putting.join()
        self.complained(1, done[0], ["connection was lost.*no such upload"])
        self.refused(3, self.node, "stat", self.key)


if __name__ == "__main__":
    main()

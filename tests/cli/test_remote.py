#!/usr/bin/python3
"""Clients on other machines: credentials, their rights, and those who try to get around them."""

import base64
import json
import stat

import msgpack
import zmq
import zmq.utils.monitor

from harness import BIN, KIB, MIB, FreshMeshTest, MeshTest, content, environment, eventually, main, run
from wire import Refused, Wire


def add(node, name, *words):
    done = node.zdb("client", "add", name, *words)
    assert done.code == 0, done
    return done.out.decode().strip()


def fields_of(line):
    """A credential as PROTOCOL.md says to read it."""
    body = line.removeprefix("zdbclient1-").split(".")[0]
    return msgpack.unpackb(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


class RemoteWire(Wire):
    """A program on another machine."""

    def __init__(self, line, kind=zmq.DEALER, **replaced):
        self.credential = {**fields_of(line), **replaced}
        super().__init__(None, kind)

    def connect(self, node):
        self.socket.curve_serverkey = self.credential["server"]
        self.socket.curve_publickey = self.credential["public"]
        self.socket.curve_secretkey = self.credential["secret"]
        self.events = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH
                                                     | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.socket.connect(self.credential["endpoint"])

    def handshake(self):
        assert self.events.poll(30_000), "no handshake"
        event = zmq.utils.monitor.recv_monitor_message(self.events)["event"]
        return "in" if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else "refused"

    def code(self, name, payload=b"", **fields):
        """The code of the error that comes, or None."""
        try:
            self.ask(name, payload, **fields)
        except Refused as refused:
            self.said = refused.what
            return refused.code
        return None


class RemoteTest(MeshTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node.stop()
        cls.node.configure(client_listen="127.0.0.1:0")
        cls.node.start()

    def remote(self, line, *words, **options):
        """zdb without a node of its own."""
        options.setdefault("env", environment(self.mesh.root))
        return run([BIN / "zdb", "--remote", line, *words], **options)

    def done(self, line, *words, **options):
        done = self.remote(line, *words, **options)
        self.assertEqual((0, ""), (done.code, done.err), words)
        return done.out

    def denied(self, line, *words, says=(), code=4, **options):
        return self.complained(code, self.remote(line, *words, **options), says)


class Commands(RemoteTest):
    def test_put_get_ls_stat_rm_over_the_network(self):
        line = add(self.node, "all", "--read", "", "--write", "", "--delete", "")
        for size in (0, 5, 64 * KIB + 1, 5 * MIB + 3):
            key, data = f"all/{size}", content(size)
            self.done(line, "put", "-", key, stdin=data)
            self.assertEqual(data, self.done(line, "get", key, "-"))
            self.assertEqual(data, self.get(self.node, key))
            self.assertEqual(size, json.loads(self.done(line, "stat", "--json", key))["size"])
        listed = json.loads(self.done(line, "ls", "--json", "all/"))
        self.assertEqual(4, len(listed))
        self.done(line, "rm", "all/5")
        self.denied(line, "get", "all/5", "-", code=3)

    def test_a_folder_goes_and_comes_back(self):
        line = add(self.node, "tree", "--read", "tree/", "--write", "tree/")
        for i in range(30):
            self.file(f"tree/{i:02}", content(100 + i))
        self.assertEqual(0, self.remote(line, "put", "-r", self.files / "tree").code)
        back = self.files / "back"
        self.assertEqual(0, self.remote(line, "get", "-r", "tree/", back).code)
        self.assertEqual({f"{i:02}": content(100 + i) for i in range(30)},
                         {p.name: p.read_bytes() for p in back.rglob("*") if p.is_file()})

    def test_the_credential_in_a_file_and_in_the_environment(self):
        line = add(self.node, "file", "--read", "", "--write", "file/")
        path = self.file("credential", line.encode() + b"\n")
        for mode in (0o640, 0o604):
            path.chmod(mode)
            done = self.remote(f"@{path}", "ls")
            self.assertEqual(0, done.code)
            self.assertRegex(done.err, r"\Azdb: warning: .*/credential: others .* chmod 600.*\n\Z")
        path.chmod(0o600)
        self.done(f"@{path}", "put", "-", "file/k", stdin=b"x")
        for value in (line, str(path), f"@{path}"):
            env = environment(self.mesh.root, ZERODB_REMOTE=value)
            self.assertEqual(b"x", run([BIN / "zdb", "get", "file/k", "-"], env=env).out)
            # Whoever names a node means that one.
            self.assertEqual(0, self.node.zdb("status", env=env).code)
        both = run([BIN / "zdb", "--remote", line, "--node", self.node.folder, "ls"],
                   env=environment(self.mesh.root))
        self.complained(2, both, ["--node and --remote"])
        self.denied("@/no/such/file", "ls", code=2, says=["cannot be read"])
        for mangled in (f'"{line}"', f" {line}", line[1:], line.upper()):  # of a file of settings
            env = environment(self.mesh.root, ZERODB_REMOTE=mangled)
            done = run([BIN / "zdb", "ls"], env=env)
            self.complained(2, done, ["ZERODB_REMOTE", "neither a credential"])
            self.assertNotIn(line[20:60].lower(), done.err.lower())

    def test_a_credential_goes_to_a_file_of_its_user_alone(self):
        path = self.files / "credential"
        words = ("client", "add", "alone", "--read", "")
        self.refused(1, self.node, *words, "--output", self.files / "no/such/file")
        self.assertNotIn("alone", self.ok(self.node, "client", "list").out.decode())
        self.ok(self.node, *words, "--output", path, umask=0)
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        self.done(f"@{path}", "ls")

    def test_a_mistyped_credential_is_refused_with_the_character(self):
        line = add(self.node, "typo", "--read", "")
        for place in (3, 40, 150, len(line) - 1):
            wrong = "x" if line[place] != "x" else "y"
            self.denied(line[:place] + wrong + line[place + 1:], "ls", code=2,
                        says=[f"character {place + 1} is '{wrong}' and should be '{line[place]}'"])
        self.denied(line[:-9], "ls", code=2, says=["cut|altered"])
        self.denied("zdb1whatever", "ls", code=2, says=["zdb client add"])

    def test_rights_are_prefixes_and_nothing_else_is_allowed(self):
        line = add(self.node, "some", "--read", "r/", "--read", "both/", "--write", "w/", "--write",
                   "both/", "--delete", "d/")
        for key in ("r/1", "w/1", "d/1", "both/1", "x"):
            self.put(self.node, key, key.encode())
        self.assertEqual(b"r/1", self.done(line, "get", "r/1", "-"))
        self.done(line, "put", "-", "w/1", stdin=b"over")  # in place of what was there
        self.assertEqual(b"over", self.get(self.node, "w/1"))
        self.done(line, "put", "-", "both/1", stdin=b"new")
        self.assertEqual(b"new", self.done(line, "get", "both/1", "-"))
        self.done(line, "rm", "d/1")
        for words in (("get", "w/1", "-"), ("stat", "x"), ("ls",), ("ls", "r"), ("ls", "w/"),
                      ("rm", "r/1"), ("rm", "w/1"), ("put", "-", "r/2"), ("put", "-", "d/2"),
                      ("status",), ("invite",), ("owner", "export"), ("owner", "id"),
                      ("mesh", "export"), ("scrub",), ("node", "list"), ("client", "list"),
                      ("client", "revoke", "some"), ("client", "add", "evil", "--read", "")):
            self.denied(line, *words, says=["may not|not for clients"], stdin=b"")
        self.assertEqual(b"x", self.get(self.node, "x"))

    def test_status_and_the_ready_line_name_the_port(self):
        endpoint = self.node.status()["client_endpoint"]
        self.assertRegex(endpoint, r"^tcp://127\.0\.0\.1:[1-9]\d*$")
        ready = [l for l in self.node.said().splitlines() if l.startswith("ready")][-1]
        self.assertEqual(endpoint, ready.split()[-1])
        self.assertIn(endpoint, self.ok(self.node, "status").out.decode())
        self.assertEqual(endpoint, fields_of(add(self.node, "port", "--read", ""))["endpoint"])


class Administration(RemoteTest):
    def test_clients_are_listed_with_their_rights_and_never_their_secrets(self):
        line = add(self.node, "listed", "--read", "r/", "--write", "", "--expires", "1h")
        one = next(c for c in json.loads(self.ok(self.node, "client", "list", "--json").out)
                   if c["name"] == "listed")
        self.assertEqual((["r/"], [""], []), (one["read"], one["write"], one["delete"]))
        self.assertEqual(3_600_000, one["expires_ms"] - one["created_ms"])
        self.assertFalse(one["expired"])
        self.assertEqual(fields_of(line)["public"].hex(), one["key"])
        shown = self.ok(self.node, "client", "list").out.decode()
        self.assertRegex(shown, r"listed  read 'r/', write ''  \(made .*, expires ")
        kept = self.node.folder / "clients"
        self.assertEqual(0o600, stat.S_IMODE(kept.stat().st_mode))
        for path in self.node.folder.rglob("*"):
            if path.is_file():
                self.assertNotIn(fields_of(line)["secret"], path.read_bytes(), path)
        self.assertNotIn(line[11:60], self.node.log.read_text())

    def test_what_cannot_be_added_or_revoked(self):
        add(self.node, "taken", "--read", "")
        self.refused(2, self.node, "client", "add", "taken", "--read", "", says=["already"])
        self.refused(2, self.node, "client", "add", "none", says=["--read, --write or --delete"])
        self.refused(2, self.node, "client", "add", "a b", "--read", "", says=["letters"])
        self.refused(2, self.node, "client", "add", "--read", "x")
        self.refused(2, self.node, "client", "add", "n", "--read", "", "--expires", "soon")
        self.refused(2, self.node, "client", "add", "n", "--read", "", "--expires", "0s")
        self.refused(2, self.node, "client", "add", "n", "--read", "x" * 1025)
        self.refused(3, self.node, "client", "revoke", "nobody", says=["no client 'nobody'"])
        self.refused(2, self.node, "client", "revoke")

    def test_revoking_acts_at_once_on_open_connections_and_for_good(self):
        line = add(self.node, "gone", "--read", "", "--write", "")
        self.put(self.node, "gone/large", content(8 * MIB))
        with RemoteWire(line) as wire:
            download = wire.ask("get", key="gone/large")[0]["download"]
            upload = wire.ask("put", key="gone/half")[0]["upload"]
            for offset in (0, MIB, 2 * MIB):
                wire.ask("put_data", bytes(MIB), upload=upload, offset=offset)
            eventually(lambda: self.node.status()["uploads"] == 1, "the upload has begun")
            self.ok(self.node, "client", "revoke", "gone")
            for name, fields in (("get_data", {"download": download, "offset": 0, "length": 9}),
                                 ("put_end", {"upload": upload, "size": 3 * MIB}),
                                 ("stat", {"key": "gone/large"})):
                self.assertEqual("denied", wire.code(name, **fields), name)
                self.assertIn("revoked", wire.said)
            eventually(lambda: self.node.status()["uploads"] == 0, "its upload is dropped")
        self.denied(line, "ls", says=["refuses this credential", "may be revoked or expired"])
        self.refused(3, self.node, "stat", "gone/half")
        self.node.stop()
        self.node.start()
        self.denied(line, "ls", says=["refuses this credential"])

    def test_a_credential_expires_also_on_an_open_connection(self):
        line = add(self.node, "brief", "--read", "", "--expires", "3s")
        with RemoteWire(line) as wire:
            wire.ask("list", prefix="", after="", limit=1)
            eventually(lambda: wire.code("list", prefix="", after="", limit=1) == "denied",
                       "it has expired")
            self.assertIn("expired at", wire.said)
        self.denied(line, "ls", says=["may be revoked or expired"])
        self.assertIn("(made", self.ok(self.node, "client", "list").out.decode())
        add(self.node, "brief", "--read", "")  # the name is free again

    def test_the_port_and_the_clients_stay_over_a_restart(self):
        line = add(self.node, "stays", "--read", "")
        self.node.stop(9)
        self.denied(line, "ls", code=5, says=["cannot reach the node at tcp://127.0.0.1:"])
        self.node.start()
        self.done(line, "ls")

    def test_without_a_port_for_them_no_credentials_are_made(self):
        self.node.stop()
        self.node.configure(client_listen="")
        self.node.start()
        self.refused(2, self.node, "client", "add", "early", "--read", "", says=["client_listen"])
        self.assertNotIn("client_endpoint", self.node.status())
        self.ok(self.node, "client", "list")
        self.node.stop()
        self.node.configure(client_listen="0.0.0.0:0")
        done = self.node.command("run")
        self.assertEqual(1, done.code)
        self.assertIn("set advertise", done.err)
        self.node.configure(client_listen="127.0.0.1:0")
        self.node.start()

    def test_a_damaged_list_lets_nobody_in_and_is_not_written_over(self):
        line = add(self.node, "unlucky", "--read", "")
        self.node.stop()
        path = self.node.folder / "clients"
        whole = path.read_bytes()
        damaged = whole[:30] + bytes([whole[30] ^ 1]) + whole[31:]
        path.write_bytes(damaged)
        self.node.start()
        self.put(self.node, "unlucky/k", b"the node works")
        self.denied(line, "ls", says=["refuses"])
        self.refused(6, self.node, "client", "add", "next", "--read", "", says=["clients.*damaged"])
        self.assertEqual(damaged, path.read_bytes())
        self.node.stop()
        path.write_bytes(whole)
        self.node.start()
        self.done(line, "ls")


class Hostile(RemoteTest):
    def test_keys_that_nobody_gave_out_stay_outside(self):
        line = add(self.node, "known", "--read", "")
        public, secret = zmq.curve_keypair()
        with RemoteWire(line, public=public, secret=secret) as stranger:
            self.assertEqual("refused", stranger.handshake())
        other, _ = zmq.curve_keypair()
        with RemoteWire(line, server=other) as mistaken:
            self.assertEqual(0, mistaken.events.poll(500), "another node's key is no way in")
        # A client is no member: the nodes' own port does not know it.
        peers = next(m["endpoint"] for m in self.node.status()["members"] if m["here"])
        with RemoteWire(line, endpoint=peers) as climber:
            self.assertEqual("refused", climber.handshake())
        with RemoteWire(line) as guest:
            self.assertEqual("in", guest.handshake())

    def test_garbage_is_answered_and_oversized_frames_end_the_connection(self):
        line = add(self.node, "rude", "--read", "", "--write", "rude/")
        with RemoteWire(line) as rude, RemoteWire(line) as polite:
            polite.ask("list", prefix="", after="", limit=1)
            for frames in ([b"x"], [b"\xc1", b""], [b"a", b"b", b"c"], [b"", b"", b""]):
                rude.socket.send_multipart(frames)
                answer = [f for f in rude.socket.recv_multipart() if f][0]
                self.assertEqual("invalid", msgpack.unpackb(answer)["code"])
            upload = rude.ask("put", key="rude/k")[0]["upload"]
            for offset in (0, MIB, 2 * MIB):
                rude.ask("put_data", bytes(MIB), upload=upload, offset=offset)
            eventually(lambda: self.node.status()["uploads"] == 1, "the upload has begun")
            rude.send("put_data", bytes(3 * MIB), upload=upload, offset=3 * MIB)
            eventually(lambda: self.node.status()["uploads"] == 0, "its connection ended")
            polite.ask("list", prefix="", after="", limit=1)

    def test_a_client_cannot_reach_into_anothers_transfers(self):
        line = add(self.node, "mine", "--read", "mine/", "--write", "mine/")
        other = add(self.node, "theirs", "--write", "theirs/")
        self.put(self.node, "mine/large", content(MIB))
        with RemoteWire(line) as mine, RemoteWire(other) as theirs:
            download = mine.ask("get", key="mine/large")[0]["download"]
            upload = mine.ask("put", key="mine/k")[0]["upload"]
            self.assertEqual("not_found", theirs.code("get_data", download=download, offset=0,
                                                      length=9))
            self.assertEqual("not_found", theirs.code("put_end", upload=upload, size=0))
            mine.ask("put_abort", upload=upload)

    def test_a_thousand_connections_are_served(self):
        line = add(self.node, "many", "--read", "", "--write", "many/")
        fields = fields_of(line)
        context = zmq.Context()
        context.set(zmq.MAX_SOCKETS, 4096)
        sockets = []
        try:
            for _ in range(1000):
                socket = context.socket(zmq.DEALER)
                sockets.append(socket)
                socket.setsockopt(zmq.LINGER, 0)
                socket.setsockopt(zmq.RCVTIMEO, 30_000)
                socket.curve_serverkey = fields["server"]
                socket.curve_publickey = fields["public"]
                socket.curve_secretkey = fields["secret"]
                socket.connect(fields["endpoint"])
            for at in range(0, 1000, 100):  # as many at once as one credential may have
                for i in range(at, at + 100):
                    header = msgpack.packb({"v": 1, "t": "put", "id": i, "key": f"many/{i:04}",
                                            "size": 1})
                    sockets[i].send_multipart([header, b"x"])
                for i in range(at, at + 100):
                    self.assertEqual("stored", msgpack.unpackb(sockets[i].recv_multipart()[0])["t"])
        finally:
            context.destroy(linger=0)
        self.assertEqual(1000, len(self.keys(self.node, "many/")))
        self.done(line, "ls", "many/0001")


class Pace(FreshMeshTest):
    def test_many_files_go_to_a_node_that_takes_them_slowly(self):
        node = self.mesh.init()
        node.configure(client_listen="127.0.0.1:0", client_bytes_per_s=40 * MIB)
        node.start()
        line = add(node, "slow", "--read", "", "--write", "")
        for i in range(10):
            self.file(f"videos/{i}", content(10 * MIB + i))
        done = run([BIN / "zdb", "--remote", line, "put", "-r", self.files / "videos"],
                   env=environment(self.mesh.root))
        self.assertEqual(0, done.code, done.err)
        self.assertEqual(10, len(self.keys(node, "")))

    def test_a_client_above_its_rate_waits_and_others_do_not(self):
        node = self.mesh.init()
        node.configure(client_listen="127.0.0.1:0", client_requests_per_s=20)
        node.start()
        line, other = (add(node, name, "--read", "", "--write", "") for name in ("fast", "other"))
        with RemoteWire(line) as fast, RemoteWire(other) as calm:
            sent = [fast.send("list", prefix="", after="", limit=1) for _ in range(100)]
            calm.ask("list", prefix="", after="", limit=1)
            self.assertEqual(sent, sorted(fast.receive()[0]["id"] for _ in sent))
            # More than may wait.
            for _ in range(220):
                fast.send("list", prefix="", after="", limit=1)
            self.assertRaisesRegex(Refused, "busy", lambda: [fast.receive() for _ in range(220)])


if __name__ == "__main__":
    main()

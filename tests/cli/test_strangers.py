#!/usr/bin/python3
"""Those who are no zdb: programs with their own socket, garbage, and keys nobody knows."""

import os
import random
import signal
import socket
import stat

import msgpack
import zmq

from harness import DEADLINE_S, KIB, MIB, MeshTest, content, eventually, main, run, environment
from wire import Refused, Wire


class Programs(MeshTest):
    """A client written from PROTOCOL.md."""

    def test_a_req_and_a_dealer_client_do_everything(self):
        for kind in (zmq.REQ, zmq.DEALER):
            with Wire(self.node, kind) as wire:
                for size in (0, 1, 64 * KIB, 64 * KIB + 1, 2 * MIB + 7):
                    data = content(size)
                    stored = wire.put("wire", data)
                    self.assertEqual((size, 1, 1),
                                     (stored["size"], stored["copies"], stored["wanted"]))
                    self.assertEqual(data, wire.get("wire"))
                self.assertEqual(2 * MIB + 7, wire.ask("stat", key="wire")[0]["size"])
                listing, _ = wire.ask("list", prefix="wire", after="", limit=10)
                self.assertEqual(["wire"], [e["key"] for e in listing["entries"]])
                wire.ask("delete", key="wire")
                with self.assertRaises(Refused) as refused:
                    wire.get("wire")
                self.assertEqual("not_found", refused.exception.code)

    def test_many_requests_in_flight_are_all_answered(self):
        with Wire(self.node) as wire:
            sent = {wire.send("put", b"x%d" % i, key=f"flight/{i:04}", size=len(b"x%d" % i))
                    for i in range(200)}
            answered = {wire.receive()[0]["id"] for _ in sent}
            self.assertEqual(sent, answered)
        self.assertEqual(200, len(self.keys(self.node, "flight/")))

    def test_a_listing_of_many_pages_is_whole(self):
        names = [f"pages/{i:05}" for i in range(1200)]
        with Wire(self.node) as wire:
            for at in range(0, len(names), 100):
                for name in names[at:at + 100]:
                    wire.send("put", b"", key=name, size=0)
                for _ in range(100):
                    wire.receive()
            after, seen = "", []
            while True:
                page, _ = wire.ask("list", prefix="pages/", after=after, limit=500)
                seen += [e["key"] for e in page["entries"]]
                if not page["more"]:
                    break
                after = seen[-1]
        self.assertEqual(names, seen)
        self.assertEqual(names, self.keys(self.node, "pages/"))
        self.ok(self.node, "rm", "-r", "pages/")
        self.assertEqual([], self.keys(self.node, "pages/"))

    def test_uploads_and_downloads_that_do_not_exist(self):
        with Wire(self.node) as wire, Wire(self.node) as other:
            upload = wire.ask("put", key="own")[0]["upload"]
            for name, fields in (("put_data", {"upload": 99999, "offset": 0}),
                                 ("put_end", {"upload": 99999, "size": 0}),
                                 ("get_data", {"download": 99999, "offset": 0, "length": 1})):
                with self.assertRaises(Refused) as refused:
                    wire.ask(name, **fields)
                self.assertEqual("not_found", refused.exception.code, name)
            with self.assertRaises(Refused):  # another client's
                other.ask("put_end", upload=upload, size=0)
            wire.ask("put_abort", upload=upload)

    def test_lies_about_sizes_store_nothing(self):
        with Wire(self.node) as wire:
            for size, payload in ((5, b"four"), (3, b"four"), (2 ** 63, b"")):
                with self.assertRaises(Refused) as refused:
                    reply, _ = wire.ask("put", payload, key="lie", size=size)
                    wire.ask("put_end", upload=reply["upload"], size=0)
                self.assertEqual("invalid", refused.exception.code)
            upload = wire.ask("put", key="lie")[0]["upload"]
            wire.ask("put_data", bytes(MIB), upload=upload, offset=0)
            with self.assertRaises(Refused) as refused:
                wire.ask("put_end", upload=upload, size=MIB + 1)
            self.assertEqual("invalid", refused.exception.code)
        self.refused(3, self.node, "stat", "lie")

    def test_a_client_that_vanishes_in_mid_put_leaves_nothing(self):
        with Wire(self.node) as wire:
            upload = wire.ask("put", key="vanished")[0]["upload"]
            for offset in (0, MIB, 2 * MIB):
                wire.ask("put_data", bytes(MIB), upload=upload, offset=offset)
            eventually(lambda: self.node.status()["uploads"] == 1, "the put has begun")
        eventually(lambda: self.node.status()["uploads"] == 0, "the upload is dropped")
        eventually(lambda: not self.node.temporaries(), "its file is gone")
        self.refused(3, self.node, "stat", "vanished")

    def test_a_client_killed_in_mid_put_leaves_nothing(self):
        putting = self.node.zdb_start("put", "-", "killed")
        putting.stdin.write(content(4 * MIB))
        putting.stdin.flush()
        eventually(lambda: self.node.status()["uploads"] == 1, "the put has begun")
        putting.send_signal(signal.SIGKILL)
        eventually(lambda: self.node.status()["uploads"] == 0, "the upload is dropped")
        self.refused(3, self.node, "stat", "killed")

    def test_a_client_that_reads_nothing_harms_nobody(self):
        self.put(self.node, self.key, content(8 * MIB))
        with Wire(self.node) as lazy:
            download = lazy.ask("get", key=self.key)[0]["download"]
            for _ in range(30):
                for offset in range(0, 8 * MIB, MIB):
                    lazy.send("get_data", download=download, offset=offset, length=MIB)
            self.assertEqual(content(8 * MIB), self.get(self.node, self.key))

    def test_the_socket_is_the_users_own(self):
        sock = self.node.folder / "client.sock"
        self.assertEqual(0o600, stat.S_IMODE(sock.stat().st_mode))
        if os.geteuid() == 0:
            self.mesh.root.chmod(0o711)
            self.node.folder.chmod(0o711)
            words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                     *self.node.zdb_words("ls")]
            try:
                done = run(words, env=environment(self.mesh.root), timeout_s=30)
            finally:
                self.node.folder.chmod(0o700)
            if "zdb" in done.err:  # the programs' own folder may be closed to others
                self.complained(4, done, ["(?i)permission|denied"])


class Garbage(MeshTest):
    """Bytes that are no request: an error reply or silence, and service goes on."""

    def setUp(self):
        super().setUp()
        self.put(self.node, "witness", b"still here")
        self.addCleanup(lambda: self.assertEqual(b"still here", self.get(self.node, "witness")))

    def frames(self):
        good = {"v": 1, "t": "stat", "id": 7, "key": "witness"}
        pack = msgpack.packb
        deep = b"\x91" * 5000 + b"\xc0"
        return {
            "one frame": [pack(good)],
            "three frames": [pack(good), b"", b""],
            "twenty frames": [b"x"] * 20,
            "one empty frame": [b""],
            "two empty frames": [b"", b""],
            "no msgpack": [b"GET / HTTP/1.1\r\n\r\n", b""],
            "never-used byte": [b"\xc1", b""],
            "an array": [pack([1, 2, 3]), b""],
            "cut off": [pack(good)[:-3], b""],
            "bytes left over": [pack(good) + b"\xc0", b""],
            "a length of 2 GiB": [b"\x81\xa1v\xdd\x7f\xff\xff\xff", b""],
            "a text of 4 GiB": [b"\x81\xdb\xff\xff\xff\xff", b""],
            "very deep": [deep, b""],
            "deep in a field": [pack({**good, "key": 0})[:-1] + deep, b""],
            "no version": [pack({k: v for k, v in good.items() if k != "v"}), b""],
            "no id": [pack({k: v for k, v in good.items() if k != "id"}), b""],
            "no command": [pack({k: v for k, v in good.items() if k != "t"}), b""],
            "no key": [pack({k: v for k, v in good.items() if k != "key"}), b""],
            "another version": [pack({**good, "v": 2}), b""],
            "unknown command": [pack({**good, "t": "explode"}), b""],
            "a reply": [pack({**good, "t": "stored"}), b""],
            "a peer's command": [pack({**good, "t": "get_roster"}), b""],
            "a number as key": [pack({**good, "key": 5}), b""],
            "a key of bad UTF-8": [pack({**good, "key": "@"}).replace(b"@", b"\xff"), b""],
            "an empty key": [pack({**good, "key": ""}), b""],
            "a long key": [pack({**good, "key": "k" * 1025}), b""],
            "a negative id": [pack({**good, "id": -1}), b""],
            "an id of text": [pack({**good, "id": "7"}), b""],
            "a header of 1.5 MiB": [pack({**good, "more": "x" * (3 * MIB // 2)}), b""],
            "a payload nobody asked for": [pack({**good, "t": "delete", "key": "none"}),
                                           bytes(MIB)],
        }

    def test_each_kind_of_garbage_gets_an_error_or_nothing(self):
        for name, frames in self.frames().items():
            with self.subTest(name), Wire(self.node) as wire:
                wire.socket.send_multipart(frames)
                wire.send("stat", key="witness")  # numbered 1; answers come in any order
                code = None
                witnessed = False
                must_answer = len(frames) == 2 and bool(frames[0])
                while not witnessed or (must_answer and code is None):
                    reply = wire.socket.recv_multipart()
                    header = msgpack.unpackb(reply[0] or reply[1])
                    if header["t"] == "object" and header["id"] == 1:
                        witnessed = True
                        continue
                    if name == "one frame" and header["id"] == 7:  # the payload may be left out
                        continue
                    self.assertEqual("error", header["t"], name)
                    code = header["code"]
                    self.assertIn(code, ("invalid", "not_found"), header)
                    self.assertTrue(header["what"])

    def test_a_message_beyond_the_limit_ends_that_client_only(self):
        with Wire(self.node) as wire:
            wire.socket.send_multipart([b"x", bytes(64 * MIB)])
        with Wire(self.node) as wire:
            self.assertEqual(10, wire.ask("stat", key="witness")[0]["size"])

    def test_random_bytes_and_mutations(self):
        chance = random.Random(4)
        good = msgpack.packb({"v": 1, "t": "put", "id": 7, "key": "mutant", "size": 4})
        with Wire(self.node) as wire:
            for round_ in range(300):
                header = bytearray(good)
                for _ in range(chance.randrange(1, 4)):
                    header[chance.randrange(len(header))] = chance.randrange(256)
                if round_ % 3 == 0:
                    header = chance.randbytes(chance.randrange(1, 200))
                wire.socket.send_multipart([bytes(header), b"data"])
            with Wire(self.node) as other:
                self.assertEqual(10, other.ask("stat", key="witness")[0]["size"])


class UnknownKeys(MeshTest):
    """The peers' port."""

    def dial(self, public, secret, server):
        """True if a handshake with these keys ends in a link."""
        context = zmq.Context()
        try:
            dealer = context.socket(zmq.DEALER)
            dealer.setsockopt(zmq.LINGER, 0)
            if server is not None:
                dealer.curve_serverkey, dealer.curve_publickey, dealer.curve_secretkey = (
                    server, public, secret)
            events = dealer.get_monitor_socket()
            events.setsockopt(zmq.RCVTIMEO, DEADLINE_S * 1000)
            dealer.connect(self.node.status()["members"][0]["endpoint"])
            while True:
                event = zmq.utils.monitor.recv_monitor_message(events)["event"]
                if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    return True
                if event in (zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
                             zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_DISCONNECTED):
                    return False
        finally:
            context.destroy(linger=0)

    def test_a_key_nobody_knows_gets_no_link(self):
        node_id = bytes.fromhex(self.node.status()["members"][0]["id"])
        server = zmq.utils.z85.encode(node_id)
        for _ in range(3):
            self.assertFalse(self.dial(*zmq.curve_keypair(), server))

    def test_no_key_at_all_gets_no_link(self):
        self.assertFalse(self.dial(None, None, None))

    def test_other_protocols_on_the_port_do_no_harm(self):
        endpoint = self.node.status()["members"][0]["endpoint"].removeprefix("tcp://")
        host, port = endpoint.rsplit(":", 1)
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(64), content(100 * KIB), b""):
            with socket.create_connection((host, int(port))) as stranger:
                try:
                    stranger.sendall(data)
                except OSError:
                    pass
        self.put(self.node, self.key, b"x")
        self.assertEqual(b"x", self.get(self.node, self.key))


if __name__ == "__main__":
    import zmq.utils.monitor
    import zmq.utils.z85
    main()

"""A client written from bus/PROTOCOL.md alone: pyzmq and msgpack, no code of zerodb's."""

import itertools

import msgpack
import zmq

from harness import MIB

TIMEOUT_MS = 30_000


class Refused(Exception):
    """An error reply."""

    def __init__(self, header):
        super().__init__(f"{header['code']}: {header['what']}")
        self.code, self.what = header["code"], header["what"]


class Wire:
    """One client socket, DEALER or REQ, to a node."""

    def __init__(self, node, kind=zmq.DEALER):
        self.context = zmq.Context()
        self.socket = self.context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, TIMEOUT_MS)
        self.connect(node)
        self.ids = itertools.count(1)

    def connect(self, node):
        self.socket.connect(f"ipc://{node.folder}/client.sock")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.destroy(linger=0)

    def send(self, name, payload=b"", **fields):
        """Sends a request and answers its id."""
        number = next(self.ids)
        header = msgpack.packb({"v": 1, "t": name, "id": number, **fields})
        self.socket.send_multipart([header, payload])
        return number

    def receive(self):
        frames = self.socket.recv_multipart()
        assert len(frames) == 2, frames
        header = msgpack.unpackb(frames[0])
        if header["t"] == "error":
            raise Refused(header)
        return header, frames[1]

    def ask(self, name, payload=b"", **fields):
        """A request and its reply: header and payload."""
        number = self.send(name, payload, **fields)
        header, payload = self.receive()
        assert header["id"] == number, header
        return header, payload

    def put(self, key, data):
        if len(data) <= 65536:
            return self.ask("put", data, key=key, size=len(data))[0]
        upload, _ = self.ask("put", key=key)
        step = upload["chunk_bytes"]
        for offset in range(0, len(data), step):
            self.ask("put_data", data[offset:offset + step], upload=upload["upload"], offset=offset)
        return self.ask("put_end", upload=upload["upload"], size=len(data))[0]

    def get(self, key):
        about, payload = self.ask("get", key=key)
        if "download" not in about:
            return payload
        parts = [self.ask("get_data", download=about["download"], offset=offset, length=MIB)[1]
                 for offset in range(0, about["size"], MIB)]
        self.ask("get_end", download=about["download"])
        return b"".join(parts)

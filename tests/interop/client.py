#!/usr/bin/python3
"""A zerodb client in Python, written from bus/PROTOCOL.md alone: python3-zmq and python3-msgpack.

    client.py FOLDER put KEY [if_absent] < content
    client.py FOLDER get KEY > content
    client.py FOLDER list [PREFIX]
    client.py FOLDER delete KEY
    client.py FOLDER follow PREFIX --durable NAME [--count N]

FOLDER is the node's data folder. Exit codes as zdb's: 3 not found, 8 conflict, 1 the rest.

`follow` prints a line for each event of a key that begins with PREFIX: its sequence number, `store`
or `delete`, and the key. The node remembers by NAME what was printed, so whoever follows under that
name again goes on from there. If it was away for too long for that, it prints `resync PREFIX` (all
that was known is void) and then a line `listed KEY` for each object there is.
"""

import argparse
import collections
import itertools
import sys
import time

import msgpack
import zmq

SMALL = 65536  # so many bytes go in one message
WINDOW = 8  # requests of a download under way
ASK_EVERY_MS = 1_000  # for events, also when nothing was heard
AGAIN = {"busy", "timeout", "no_quorum"}  # errors after which repeating helps


class Failed(Exception):
    """An error reply: its code and what it says."""

    def __init__(self, code, what):
        super().__init__(f"{code}: {what}")
        self.code = code


class Client:
    """One connection to a node. Requests may be many at once, their replies come in any order."""

    def __init__(self, folder, timeout_s=120):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.SNDTIMEO, 5_000)
        self.socket.setsockopt(zmq.RCVTIMEO, timeout_s * 1000)
        self.socket.connect(f"ipc://{folder}/client.sock")
        self.ids = itertools.count(1)
        self.replies = {}  # that came before they were waited for, by id

    def send(self, name, payload=b"", **fields):
        """Sends a request and answers its id."""
        number = next(self.ids)
        header = msgpack.packb({"v": 1, "t": name, "id": number, **fields})
        self.socket.send_multipart([header, payload])
        return number

    def receive(self, number):
        """The reply to request `number`: header and payload."""
        while number not in self.replies:
            header, payload = self.socket.recv_multipart()
            header = msgpack.unpackb(header)
            self.replies[header["id"]] = header, payload
        header, payload = self.replies.pop(number)
        if header["t"] == "error":
            raise Failed(header["code"], header["what"])
        return header, payload

    def ask(self, name, payload=b"", **fields):
        return self.receive(self.send(name, payload, **fields))

    def put(self, key, source, **fields):
        """Stores all of a binary file object; answers `stored`."""
        head = source.read(SMALL + 1)
        if len(head) <= SMALL:
            return self.ask("put", head, key=key, size=len(head), **fields)[0]
        upload, _ = self.ask("put", key=key, **fields)
        try:
            size = self.put_data(upload, head, source)
        except BaseException:
            self.send("put_abort", upload=upload["upload"])
            raise
        return self.ask("put_end", upload=upload["upload"], size=size)[0]

    def put_data(self, upload, head, source):
        """Sends chunks as far as the node's credit goes; answers how many bytes there were."""
        number, chunk_bytes, credit = upload["upload"], upload["chunk_bytes"], upload["credit"]
        unanswered = collections.deque()  # id and bytes, oldest first
        offset = 0
        chunk = head + source.read(chunk_bytes - len(head))
        while chunk or unanswered:
            under_way = sum(size for _, size in unanswered)
            if chunk and (not unanswered or under_way + len(chunk) <= credit):
                sent = self.send("put_data", chunk, upload=number, offset=offset)
                unanswered.append((sent, len(chunk)))
                offset += len(chunk)
                chunk = source.read(chunk_bytes)
            else:
                credit = self.receive(unanswered.popleft()[0])[0]["credit"]
        return offset

    def get(self, key, sink):
        """Writes an object to a binary file object; answers what is known of it."""
        about, payload = self.ask("get", key=key)
        if "download" not in about:
            sink.write(payload)
            return about
        download, step = about["download"], about["chunk_bytes"]
        asked = collections.deque()
        for offset in range(0, about["length"], step):
            asked.append(self.send("get_data", download=download, offset=offset, length=step))
            if len(asked) == WINDOW:
                sink.write(self.receive(asked.popleft())[1])
        for number in asked:
            sink.write(self.receive(number)[1])
        self.ask("get_end", download=download)
        return about

    def list(self, prefix=""):
        """Every entry whose key begins with `prefix`, in order."""
        after, more = "", True
        while more:
            page, _ = self.ask("list", prefix=prefix, after=after, limit=500)
            yield from page["entries"]
            more = page["more"]
            after = page["entries"][-1]["key"] if more else after

    def delete(self, key, **fields):
        return self.ask("delete", key=key, **fields)[0]


class Follower:
    """A durable follower of keys that begin with `prefix`: the publisher wakes it, the log tells."""

    def __init__(self, folder, prefix, name):
        self.prefix, self.name = prefix, name
        self.client = Client(folder, timeout_s=5)
        self.wakes = zmq.Context.instance().socket(zmq.SUB)
        for kind in ("store", "delete"):
            self.wakes.subscribe(f"{kind} {prefix}".encode()[:200])  # libzmq breaks long ones
        self.wakes.connect(f"ipc://{folder}/events.sock")

    def follow(self, count):
        """Prints `count` events as they come, or all for ever."""
        told, waiting = 0, False
        while count is None or told < count:
            try:
                told_now = self.tell(1000 if count is None else min(count - told, 1000))
                told, waiting = told + told_now, False
                if not told_now:
                    self.wait()
            except (zmq.Again, Failed) as problem:
                if isinstance(problem, Failed) and problem.code not in AGAIN:
                    raise
                if not waiting:
                    print("the node does not answer; waiting for it", file=sys.stderr)
                waiting = True
                time.sleep(0.1)

    def tell(self, limit):
        """Prints what is new, and only then acknowledges it; answers how many events there were."""
        fields = {"durable": self.name, "prefix": self.prefix, "limit": limit}
        page, _ = self.client.ask("events", **fields)
        if page["gap"] or page["reset"]:
            self.resync(page)
        for event in page["entries"]:
            print(event["sequence"], event["kind"], event["key"])
        sys.stdout.flush()
        # Also if there was nothing: past the events of other keys.
        last = page["next"] - 1
        self.client.ask("events_ack", durable=self.name, epoch=page["epoch"], sequence=last)
        return len(page["entries"])

    def resync(self, page):
        """Prints all there is, in place of events that nobody can tell any more."""
        last = page["next"] - 1
        print(last, "resync", self.prefix)
        objects = 0
        for objects, entry in enumerate(self.client.list(self.prefix), 1):
            print(last, "listed", entry["key"])
        why = "the log is another one" if page["reset"] else "the log does not go back so far"
        print(f"{why}: listed the {objects} objects there are, going on after event {last}",
              file=sys.stderr)

    def wait(self):
        """Until something may have happened."""
        self.wakes.poll(ASK_EVERY_MS)
        while self.wakes.poll(0):
            self.wakes.recv_multipart()


def follow(folder, prefix, *words):
    options = argparse.ArgumentParser("client.py FOLDER follow PREFIX")
    options.add_argument("--durable", metavar="NAME", required=True)
    options.add_argument("--count", metavar="N", type=int)
    options = options.parse_args(words)
    Follower(folder, prefix, options.durable).follow(options.count)


def run(folder, verb, *words):
    if verb == "follow":
        return follow(folder, *words)
    client = Client(folder)
    if verb == "put":
        client.put(words[0], sys.stdin.buffer, **{word: True for word in words[1:]})
    elif verb == "get":
        client.get(words[0], sys.stdout.buffer)
    elif verb == "list":
        for entry in client.list(*words):
            print(entry["size"], entry["key"])
    elif verb == "delete":
        client.delete(words[0])
    else:
        raise SystemExit(__doc__)
    return None


if __name__ == "__main__":
    try:
        run(*sys.argv[1:])
    except Failed as failed:
        print(failed, file=sys.stderr)
        sys.exit({"not_found": 3, "conflict": 8}.get(failed.code, 1))

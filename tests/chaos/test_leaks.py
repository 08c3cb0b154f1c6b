#!/usr/bin/python3
"""Nothing leaks: 10,000 canaries, names and contents, are put through a gateway, and looked for.

    tests/chaos/test_leaks.py                        # 10,000
    ZERODB_CANARIES=500 tests/chaos/test_leaks.py
    ZERODB_SEED=7 tests/chaos/test_leaks.py

A canary is a marker and two random halves. Looked for are both halves of each, and the marker in
UTF-16, hexadecimal and base64 at each of its three alignments, with grep, which has no part in
zerodb. Places where they must not be:

    each replica's data folder, logs and temporary folder; one replica is blind, one is the gateway
    of another owner
    the memory of the blind node (read from /proc/PID/mem)
    all that went over the loopback interface, where the links between the nodes are
    the gateway's own data folder, as its owner's key is under a passphrase, its logs and
    temporary folder
    arguments and environments of all daemons

And where they must be, or the search finds nothing anywhere: a plain connection of the test's own,
and the gateway's memory.
"""

import base64
import os
import pathlib
import random
import re
import socket
import string
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

from harness import KIB, MIB, SANITIZED, FreshMeshTest, eventually, main, run, ticket  # noqa: E402
from wire import Wire  # noqa: E402

SEED = int(os.environ.get("ZERODB_SEED", time.time_ns() % 1_000_000))
CANARIES = int(os.environ.get("ZERODB_CANARIES", 10_000))
INSIDE = "ZERODB_TEST_NAMESPACE"
LOOPBACK_UP = ("sh", "-c", 'ip link set lo up && exec "$@"', "sh")
SNIFFER = pathlib.Path(__file__).with_name("sniff.py")
PASSPHRASE = "correct horse battery staple"
WRITERS, HALF = 4, 12
PATIENCE_S = 300 + CANARIES // 5  # grep takes half a minute for a GiB, and more for more patterns


class Canaries:
    """Names and contents that no other program has."""

    def __init__(self, seed, count):
        self.choice = random.Random(seed)
        self.marker = "zQ" + self.letters(14)
        self.names = [self.token() for _ in range(count)]
        self.tokens = [self.token() for _ in range(count)]
        self.contents = [self.content(number) for number in range(count)]

    def letters(self, count):
        return "".join(self.choice.choices(string.ascii_letters + string.digits, k=count))

    def token(self):
        return self.marker + self.letters(2 * HALF)

    def content(self, number):
        """What is stored under a name: the token at the beginning, or here and there in noise."""
        token = self.tokens[number].encode()
        if number % 200:
            return token * (1 + number % 5)
        size = (70 * KIB, 300 * KIB, MIB + 5, 2 * MIB + 5)[number // 200 % 4]
        noise = bytearray(self.choice.randbytes(size))
        for at in range(0, size - len(token), size // 7):
            noise[at:at + len(token)] = token
        return bytes(noise)

    def patterns(self):
        """What to look for: each of it is random and occurs in nothing else."""
        wanted = set()
        for token in self.names + self.tokens:
            unique = token[len(self.marker):]
            wanted |= {unique[:HALF].encode(), unique[HALF:].encode()}
        raw = self.marker.encode()
        wanted |= {raw, raw.hex().encode(), raw.hex().upper().encode(), raw[::-1]}
        for skipped in range(3):  # whole groups of three, wherever they begin
            whole = raw[skipped:][:(len(raw) - skipped) // 3 * 3]
            wanted |= {base64.b64encode(whole), base64.urlsafe_b64encode(whole)}
        # Zeros cannot stand in a file of patterns, so UTF-16 is looked for apart: see wide().
        return sorted(wanted)

    def wide(self):
        return re.compile(re.escape(self.marker.encode("utf-16-le")[:-1]))


class Search:
    """Looks for canaries in files, all at once."""

    def __init__(self, canaries, folder):
        self.file = folder / "patterns"
        self.file.write_bytes(b"\n".join(canaries.patterns()) + b"\n")
        self.wide, self.searched = canaries.wide(), 0

    def hits(self, *places):
        """[(file, what)] in all files below `places`, a few for each file."""
        files = [path for place in places for path in files_below(place)]
        self.searched += sum(path.stat().st_size for path in files)
        done = run(["grep", "-HaoFZ", "-m", "3", "-f", self.file, *files], timeout_s=PATIENCE_S,
                   env={**os.environ, "LC_ALL": "C"})
        assert done.code in (0, 1), done
        found = [tuple(line.split(b"\0")) for line in done.out.splitlines()]
        found += [(path, "UTF-16") for path in files if self.wide.search(path.read_bytes())]
        return found


def files_below(place):
    place = pathlib.Path(place)
    return [place] if place.is_file() else [p for p in sorted(place.rglob("*")) if p.is_file()]


def dump_memory(pid, path):
    """All that the process can read of its own memory, as /proc shows it to root or its parent."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory, \
            open(path, "wb") as dump:
        for line in maps:
            start, end, access = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if not access.startswith("r") or "[vvar" in line or "[vsyscall]" in line:
                continue
            try:
                memory.seek(int(start, 16))
                dump.write(memory.read(int(end, 16) - int(start, 16)))
            except OSError:
                pass  # a guard page, or a file's that is shorter than its mapping
    return path


def passphrase_fd():
    read_end, write_end = os.pipe()
    os.write(write_end, PASSPHRASE.encode() + b"\n")
    os.close(write_end)
    return read_end


class Leaks(FreshMeshTest):
    def test_names_and_contents_are_found_nowhere(self):
        print(f"seed {SEED}", flush=True)
        canaries = Canaries(SEED, CANARIES)
        search = Search(canaries, self.files)
        gateway, blind, other = self.grow()
        capture = self.sniff()
        self.use(gateway, canaries)
        self.tell_in_the_clear(canaries.names[0].encode())
        with self.subTest("memory"):
            if SANITIZED:
                self.skipTest("SKIPPED: a sanitized process maps terabytes")
            self.nowhere(search, dump_memory(blind.process.pid, self.files / "blind"))
            self.somewhere(search, dump_memory(gateway.process.pid, self.files / "gateway"))
        with self.subTest("arguments and environments"):
            self.nowhere(search, *self.arguments())
        for node in self.mesh.nodes:
            self.assertEqual(CANARIES * 9 // 10, node.status()["objects"])
            self.assertEqual(0, node.stop())  # what was in memory only goes to disk
        with self.subTest("links"):
            self.check_capture(search, capture)
        for node in self.mesh.nodes:
            with self.subTest("disk", node=node.name):
                self.nowhere(search, node.folder, node.log, node.out, self.temporary(node))
        print(f"{CANARIES} names and contents; {search.searched / MIB:.0f} MiB searched",
              flush=True)

    # -- what is done

    def grow(self):
        descriptor = passphrase_fd()
        gateway = self.mesh.init("--passphrase-fd", str(descriptor), pass_fds=[descriptor])
        descriptor = passphrase_fd()
        self.start(gateway, "--passphrase-fd", str(descriptor), pass_fds=[descriptor])
        blind = self.start(self.mesh.join(ticket(gateway), "--blind"))
        other = self.start(self.mesh.join(ticket(gateway)))
        self.mesh.wait_linked()
        self.mesh.wait_settled()
        return gateway, blind, other

    def temporary(self, node):
        return self.mesh.root / f"{node.name}.tmp"

    def start(self, node, *words, **options):
        self.temporary(node).mkdir(exist_ok=True)
        return node.start("--log-level", "trace", *words,
                          env={"TMPDIR": str(self.temporary(node))}, **options)

    def use(self, gateway, canaries):
        """Puts all, reads some, lists, follows, and deletes a tenth."""
        threads = [threading.Thread(target=self.put_share, args=(gateway, canaries, number))
                   for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with Wire(gateway) as wire:
            for number in range(0, CANARIES, 20):
                self.assertEqual(canaries.contents[number], wire.get(canaries.names[number]))
            for number in range(0, CANARIES, 10):
                wire.ask("delete", key=canaries.names[number])
            wire.ask("list", prefix="", after="", limit=500)
            wire.ask("verify", key=canaries.names[1])
            wire.ask("share", key=canaries.names[1], expires_s=60)
        left = CANARIES - len(range(0, CANARIES, 10))
        eventually(lambda: all(n.status()["objects"] == left for n in self.mesh.nodes),
                   "every node holds every object")

    def put_share(self, gateway, canaries, share):
        with Wire(gateway) as wire:
            for number in range(share, CANARIES, WRITERS):
                wire.put(canaries.names[number], canaries.contents[number])

    # -- where it is looked for

    def nowhere(self, search, *places):
        self.assertEqual([], search.hits(*places))

    def somewhere(self, search, *places):
        self.assertNotEqual([], search.hits(*places), f"the search can find in {places}")

    def arguments(self):
        for node in self.mesh.nodes:
            for what in ("cmdline", "environ"):
                data = pathlib.Path(f"/proc/{node.process.pid}/{what}").read_bytes()
                self.assertNotIn(PASSPHRASE.encode(), data)
                self.assertGreater(len(data), 50)
                yield self.file(f"{node.name}.{what}", data)

    def sniff(self):
        """The capture, under way; None, said aloud, where it is not allowed."""
        (self.files / "lo").mkdir()
        process = subprocess.Popen([SNIFFER, self.files / "lo"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.mesh.others.append(process)
        said = process.stdout.readline().strip()
        if said == "ready" and INSIDE in os.environ:
            return process
        said = "no network namespace" if said == "ready" else said
        print(f"SKIPPED: the links are not searched: {said}", flush=True)
        return None

    def tell_in_the_clear(self, canary):
        """For the capture to find."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            with socket.create_connection(server.getsockname()) as client:
                client.sendall(canary)
            with server.accept()[0] as accepted:
                self.assertEqual(canary, accepted.recv(1000))
            self.clear_port = server.getsockname()[1]

    def check_capture(self, search, capture):
        if capture is None:
            return
        said, _ = capture.communicate(timeout=PATIENCE_S)
        packets, dropped = map(int, said.split())
        print(f"{packets} packets, {dropped} dropped", flush=True)
        self.assertEqual(0, dropped, "all of it was searched")
        clear = {path for path in files_below(self.files / "lo")
                 if str(self.clear_port) in path.name.split("-")}
        self.somewhere(search, *clear)
        streams = set(files_below(self.files / "lo")) - clear
        self.assertGreater(sum(path.stat().st_size for path in streams), 1000 * CANARIES)
        self.nowhere(search, *streams)


def enter_namespace():
    """Starts over with a loopback interface of its own, where nobody else's packets are."""
    for options in ("-n", "-rn"):
        if subprocess.run(["unshare", options, *LOOPBACK_UP, "true"],
                          capture_output=True).returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp("unshare", ["unshare", options, *LOOPBACK_UP, sys.executable, *sys.argv])


if __name__ == "__main__":
    if INSIDE not in os.environ:
        enter_namespace()  # or goes on here, where there may be no capture either
    main()

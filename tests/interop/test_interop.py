#!/usr/bin/python3
"""Programs in Python, JavaScript and C, written from bus/PROTOCOL.md alone, on a mesh of real
daemons: what one writes the others read.

The JavaScript ones need packages of the npm registry, which are installed once into the build
folder. Where there is no registry, those tests are skipped and say so.
"""

import array
import collections
import contextlib
import fcntl
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import termios
import unittest

import msgpack

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))

from harness import (BIN, MIB, ROOT, FreshMeshTest, MeshTest, content, die_with_parent,  # noqa: E402
                     environment, eventually, main, run)
from wire import Wire  # noqa: E402

VECTORS = ROOT / "tests/vectors/headers.txt"
WORK = BIN.parent / "interop"  # what is built and installed, kept for the next run


def install_javascript():
    """Copies the programs to where npm installs what they import; a reason if that fails."""
    folder = WORK / "javascript"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package.json").read_bytes()
    installed = folder / "installed.json"
    for program in [*HERE.glob("*.mjs"), *HERE.glob("pipeline/*.mjs")]:
        shutil.copy(program, folder)
    if installed.exists() and installed.read_bytes() == wanted:
        return None
    if not shutil.which("npm"):
        return "there is no npm: tools/deps.sh installs it"
    (folder / "package.json").write_bytes(wanted)
    words = ["npm", "install", "--no-package-lock", "--omit=dev", "--ignore-scripts", "--no-audit",
             "--no-fund", "--no-update-notifier", "--fetch-retries=1", "--cache", WORK / "npm"]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=100)
    except subprocess.TimeoutExpired:
        return "npm took too long: is the registry reached?"
    if done.returncode != 0:
        return "npm could not install the packages:\n" + done.stderr.strip()[-600:]
    installed.write_bytes(wanted)
    return None


def javascript(program):
    return ["node", WORK / "javascript" / program]


def example_in(document, word, node):
    """The first piece of Python in a document that has `word` in it, on the node's folder."""
    pieces = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.S)
    piece = next(piece for piece in pieces if word in piece)
    return piece.replace("/home/ann/.local/share/zerodb", str(node.folder))


class Clients:
    """Part of a test: the three programs, `clients`, by language."""

    @classmethod
    def setUpClass(cls):
        WORK.mkdir(parents=True, exist_ok=True)
        cls.clients = {"python": [HERE / "client.py"], "c": [WORK / "client"]}
        built = run(["cc", "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1",
                     HERE / "client.c", "-o", WORK / "client", "-lzmq"])
        if built.code != 0:
            raise AssertionError(built.err)
        why_not = install_javascript()
        if why_not:
            print(f"SKIPPED, no JavaScript: {why_not}", file=sys.stderr)
        else:
            cls.clients["javascript"] = javascript("client.mjs")
        super().setUpClass()

    def client(self, language, node, *words, **options):
        return run([*self.clients[language], node.folder, *words],
                   env=environment(self.mesh.root), **options)

    def done(self, *words, **options):
        outcome = self.client(*words, **options)
        self.assertEqual(0, outcome.code, (words, outcome.err))
        return outcome.out


class Interop(Clients, MeshTest):
    size = 3

    def test_what_one_language_writes_the_others_read(self):
        sizes = (0, 65536, 65537, 2 * MIB, 9 * MIB + 7)
        for i, (writer, size) in enumerate(itertools.product(self.clients, sizes)):
            data, key = content(size, i), f"{self.key}/{writer}/{size} ä"
            self.done(writer, self.nodes[i % 3], "put", key, stdin=data)
            for reader in self.clients:
                node = self.nodes[(i + 1) % 3]
                self.assertEqual(data, self.done(reader, node, "get", key), (reader, key))

    def test_all_list_the_same_and_delete_for_all(self):
        for i in range(7):
            writer = list(self.clients)[i % len(self.clients)]
            self.done(writer, self.nodes[i % 3], "put", f"{self.key}/{i}", stdin=b"x" * i)
        expected = "".join(f"{i} {self.key}/{i}\n" for i in range(7)).encode()
        for language in self.clients:
            self.assertEqual(expected, self.done(language, self.nodes[2], "list", self.key + "/"))
        for i, language in enumerate(self.clients):
            self.done(language, self.nodes[i % 3], "delete", f"{self.key}/{i}")
        for i, language in itertools.product(range(len(self.clients)), self.clients):
            for verb in ("get", "delete"):
                gone = self.client(language, self.nodes[1], verb, f"{self.key}/{i}")
                self.assertEqual(3, gone.code, (language, verb, gone))
                self.assertIn("no such object", gone.err)

    def test_a_listing_of_more_than_a_page_is_whole(self):
        folder = self.files / "many"
        folder.mkdir()
        for i in range(1_001):
            (folder / f"{i:04}").write_bytes(b"")
        self.ok(self.node, "put", "-r", folder, self.key + "/")
        expected = "".join(f"0 {self.key}/{i:04}\n" for i in range(1_001)).encode()
        for language in self.clients:
            self.assertEqual(expected, self.done(language, self.nodes[1], "list", self.key + "/"))

    def test_of_all_that_put_if_absent_one_succeeds(self):
        for round_ in range(5):
            key = f"{self.key}/{round_}"
            words = [[*self.clients[language], self.nodes[i % 3].folder, "put", key, "if_absent"]
                     for i, language in enumerate(list(self.clients) * 2)]
            started = [subprocess.Popen([os.fspath(w) for w in one], stdin=subprocess.PIPE,
                                        stderr=subprocess.PIPE) for one in words]
            self.mesh.others += started
            for i, process in enumerate(started):
                process.stdin.write(b"by %d" % i)
                process.stdin.close()
            codes = [process.wait(60) for process in started]
            self.assertEqual([0] + [8] * (len(codes) - 1), sorted(codes))
            winner = b"by %d" % codes.index(0)
            self.assertEqual(winner, self.done("c", self.nodes[round_ % 3], "get", key))

    def test_the_python_examples_in_the_documents_work(self):
        for document in ("README.md", "bus/PROTOCOL.md"):
            example = example_in(document, "client.sock", self.node)
            done = run(["/usr/bin/python3", "-c", example])
            self.assertEqual(0, done.code, done.err)
            self.assertIn(b"b'hello'", done.out)
            self.follow_as_in(document, example)

    def follow_as_in(self, document, example):
        """What happens while nobody follows is told as well."""
        example += example_in(document, "events_ack", self.node)
        for life in ("first", "second"):
            self.put(self.node, f"{self.key}/before the {life}", b"")
            out = self.files / life
            with out.open("wb") as file:
                process = subprocess.Popen(["/usr/bin/python3", "-c", example], stdout=file,
                                           env=environment(self.mesh.root),
                                           preexec_fn=die_with_parent)
            self.mesh.others.append(process)
            eventually(lambda: "mirror" in self.followers(), "the node knows it")
            self.put(self.node, f"{self.key}/after the {life}", b"")
            eventually(lambda: "after the" in out.read_text(), "it is told")
            eventually(lambda: self.followers()["mirror"]["behind"] == 0, "all is acknowledged")
            process.kill()
            process.wait()
        told = re.findall(rf"^\d+ store {self.key}/(.*)$", out.read_text(), re.M)
        self.assertEqual(["before the second", "after the second"], told)
        self.ok(self.node, "watch", "--forget", "mirror")

    def followers(self):
        listed = json.loads(self.ok(self.node, "watch", "--list", "--json").out)
        return {one["durable"]: one for one in listed}


Line = collections.namedtuple("Line", "sequence kind key")


class Follower:
    """A client that follows durably, in the background, under its language's name. What it prints
    is kept over all its lives; each life has its own file."""

    def __init__(self, test, language, node, prefix):
        self.test, self.language, self.node, self.prefix = test, language, node, prefix
        self.err = test.files / f"{language}.err"
        self.lives = []
        self.start()
        eventually(self.standing, f"the node knows the {language} follower")

    def start(self, *words, out=None):
        if out is None:
            self.lives.append(self.test.files / f"{self.language}.{len(self.lives)}")
            out = self.lives[-1].open("wb")
        words = [*self.test.clients[self.language], self.node.folder, "follow", self.prefix,
                 "--durable", self.language, *words]
        with out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                [os.fspath(word) for word in words], stdin=subprocess.DEVNULL, stdout=out,
                stderr=err, env=environment(self.test.mesh.root), preexec_fn=die_with_parent)
        self.test.mesh.others.append(self.process)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def standing(self):
        """What the node knows of it."""
        done = self.node.zdb("watch", "--list", "--json")
        followers = {one["durable"]: one for one in json.loads(done.out)} if not done.code else {}
        return followers.get(self.language)

    def is_behind(self):
        standing = self.standing()
        return not standing or standing["behind"] > 0

    def life(self, number):
        whole = self.lives[number].read_text().rpartition("\n")[0]  # a kill may cut a line off
        lines = whole.split("\n") if whole else []
        return [Line(int(sequence), kind, key)
                for sequence, kind, key in (line.split(" ", 2) for line in lines)]

    def told(self):
        """Every line, of all lives."""
        return [line for number in range(len(self.lives)) for line in self.life(number)]

    def changes(self):
        return {(line.kind, line.key) for line in self.told()}


class Following(Clients, FreshMeshTest):

    def follow(self, nodes, prefix=""):
        return [Follower(self, language, nodes[i % len(nodes)], prefix)
                for i, language in enumerate(self.clients)]

    def change(self, nodes, changes):
        """Each by the next language, through the next node."""
        for kind, key in changes:
            self.changes += 1
            language = list(self.clients)[self.changes % len(self.clients)]
            verb = {"store": "put", "delete": "delete"}[kind]
            self.done(language, nodes[self.changes // 3 % len(nodes)], verb, key, stdin=b"x")

    @contextlib.contextmanager
    def away(self, node, how):
        how()
        yield
        node.start()
        self.mesh.wait_linked()

    def test_killed_followers_and_a_restarted_gateway_lose_nothing(self):
        nodes = self.mesh.grow(3)
        one, others = nodes[0], nodes[1:]
        self.changes = 0
        followers = self.follow(nodes, "mine/")
        expected = set()
        for round_ in range(6):
            some = [("store", f"mine/{round_}/{i} ä") for i in range(6)]
            some += [("store", f"other/{round_}")]
            some += [("delete", f"mine/{round_ - 1}/{i} ä") for i in (0, 2, 4) if round_ > 0]
            self.change(nodes, some[:2])
            for follower in followers:
                follower.kill()
            with self.away(one, one.kill) if round_ == 2 else contextlib.nullcontext():
                self.change(others, some[2:5])
            for follower in followers:
                follower.start()
            with self.away(one, one.stop) if round_ == 4 else contextlib.nullcontext():
                self.change(others, some[5:8])  # while the followers wait
            self.change(nodes, some[8:])
            expected |= {change for change in some if change[1].startswith("mine/")}
            for follower in followers:
                eventually(lambda f=follower: expected <= f.changes(),
                           f"all is told to the {follower.language} follower")
        self.assertEqual(51, len(expected))
        for follower in followers:
            eventually(lambda f=follower: not f.is_behind(), "all is acknowledged")
            self.assertIsNone(follower.process.poll(), follower.err.read_text())
            self.assertEqual(expected, follower.changes())
            self.check_order(follower)

    def check_order(self, follower):
        told = follower.told()
        by_number = {line.sequence: line for line in told}
        self.assertEqual(set(by_number.values()), set(told), "a number means one event")
        self.assertEqual(len(follower.changes()), len(by_number), "an event has one number")
        for number in range(len(follower.lives)):
            sequences = [line.sequence for line in follower.life(number)]
            back = [now for before, now in itertools.pairwise(sequences) if now <= before]
            # What was told while the gateway stopped, and not acknowledged any more.
            self.assertLessEqual(len(back), 1, (follower.language, sequences))
        stored = {line.key: line.sequence for line in told if line.kind == "store"}
        for line in told:
            if line.kind == "delete":
                self.assertLess(stored[line.key], line.sequence, line.key)

    def test_what_was_not_printed_whole_was_not_acknowledged(self):
        one = self.mesh.init().start()
        followers = self.follow([one])
        for follower in followers:
            follower.kill()
        keys = [f"{i:03}" + "x" * 997 for i in range(100)]
        with Wire(one) as wire:
            for key in keys:
                wire.put(key, b"")
        for follower in followers:
            # It prints into a pipe that nobody reads, and is killed when that is full.
            reader, writer = os.pipe()
            room = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
            follower.start(out=os.fdopen(writer, "wb"))
            eventually(lambda: filled(reader) > room - 1024, f"{follower.language} prints")
            follower.kill()
            os.close(reader)
            self.assertEqual(100, follower.standing()["behind"], follower.language)
            follower.start("--count", "60")  # which ends by itself, in the midst of the log
            self.assertEqual(0, follower.process.wait(60), follower.err.read_text())
            self.assertEqual(40, follower.standing()["behind"], follower.language)
            follower.start("--count", "40")
            self.assertEqual(0, follower.process.wait(60), follower.err.read_text())
            self.assertEqual([Line(i + 1, "store", key) for i, key in enumerate(keys)],
                             follower.told())
            self.assertEqual("", follower.err.read_text())

    def test_followers_beyond_the_end_of_the_log_list_what_there_is(self):
        one = self.mesh.init()
        one.configure(events_max=100)
        one.start()
        self.put(one, "mine/gone", b"")
        followers = self.follow([one], "mine/")
        for follower in followers:
            follower.kill()
        self.ok(one, "rm", "mine/gone")
        keys = [f"mine/{i:03}" for i in range(130)]
        with Wire(one) as wire:
            for key in [*keys, "other"]:
                wire.put(key, b"")
        self.resynced(followers, keys, "the log does not go back so far")
        one.stop()
        for path in (one.folder / "catalogue").rglob("*"):
            if path.is_file():
                path.write_bytes(bytes(path.stat().st_size))  # the log is lost
        one.start()
        eventually(lambda: len(self.keys(one)) == len(keys) + 2, "what there is is known again")
        self.resynced(followers, [*keys, "mine/new"], "the log is another one")

    def resynced(self, followers, keys, why):
        """That all say so, list `keys`, and go on. One whose log is lost just before it acknowledges
        is told `invalid` and ends; started again it does the same as the others."""
        def goes_on(follower):
            if follower.process.poll() is not None:
                follower.start()
            return why in follower.err.read_text() and not follower.is_behind()

        for follower in followers:
            eventually(lambda f=follower: goes_on(f), f"{follower.language} says so, and goes on")
        self.put(followers[0].node, "mine/new", b"")
        for follower in followers:
            told = eventually(lambda f=follower: f.life(-1)[-1].kind == "store" and f.life(-1),
                              f"{follower.language} hears of what is new")
            begin = max(i for i, line in enumerate(told) if line.kind == "resync")
            self.assertEqual("mine/", told[begin].key)
            listed = [line.key for line in told[begin:] if line.kind == "listed"]
            self.assertEqual(keys, listed, follower.language)
            self.assertEqual(("store", "mine/new"), told[-1][1:])
            self.assertIn(f"{why}: listed the {len(keys)} objects there are",
                          follower.err.read_text())


def filled(pipe):
    """How many bytes lie in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


class GoldenHeaders(unittest.TestCase):
    """The C++ side of this is tests/bus/codec_test.cpp."""

    def test_python_encodes_them_to_the_same_bytes(self):
        done = run([HERE / "golden.py", VECTORS])
        self.assertEqual(0, done.code, done.err)
        self.assertGreater(len(done.out.splitlines()), 40)

    def test_every_message_of_a_client_that_the_protocol_names_is_among_them(self):
        text = (ROOT / "bus/PROTOCOL.md").read_text()
        commands = text.split("## Clients: commands\n")[1].split("## Clients: an example\n")[0]
        requests = {name for heading in re.findall(r"^### (.*)$", commands, re.M)
                    for name in heading.split(", ")} - {"Conditions"}
        replies = set(re.findall(r"[Rr]eply\s+`([a-z_.]+)`", commands))
        self.assertLessEqual({"put", "events", "events_ack", "followers"}, requests)
        self.assertLessEqual({"stored", "events.ok", "follower", "followers.ok", "ok"}, replies)
        lines = [line.split() for line in VECTORS.read_text().splitlines() if line[0] != "#"]
        golden = {(kind, msgpack.unpackb(bytes.fromhex(header))["t"]) for kind, _, header in lines}
        named = {("client_request", name) for name in requests}
        named |= {("client_reply", name) for name in replies} | {("client_event", "event")}
        self.assertEqual(set(), named - golden)

    def test_javascript_encodes_them_to_the_same_bytes_and_reads_the_same(self):
        why_not = install_javascript()
        if why_not:
            self.skipTest(why_not)
        done = run([*javascript("golden.mjs"), VECTORS])
        self.assertEqual(0, done.code, done.err)
        self.assertEqual(run([HERE / "golden.py", VECTORS]).out.decode(), done.out.decode())


if __name__ == "__main__":
    main()

"""Real zerodb-node daemons and real zdb runs, for the tests in this folder.

One test by hand, after `make programs`:

    tests/cli/test_mesh.py -v                         # every scenario of a file
    tests/cli/test_mesh.py -v -k overwritten          # those whose name holds "overwritten"
    ZERODB_BIN=build/dev/bin tests/cli/test_mesh.py   # programs of another build
    ZERODB_TEST_LARGE=1 tests/cli/test_mesh.py        # the 5 GiB round trip, too (20 GiB of disk)

A Mesh owns a short temporary folder, and every process started in it dies with the test. When a
test fails, the ends of its nodes' logs are printed. Only `eventually` ever sleeps.
"""

import collections
import contextlib
import ctypes
import json
import os
import pathlib
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import sanitizer_reports

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("ZERODB_BIN", ROOT / "build/release/bin")).resolve()
KIB, MIB = 1 << 10, 1 << 20


def is_sanitized(program):
    code = program.read_bytes() if program.exists() else b""
    return b"__asan_init" in code or b"__tsan_init" in code


SANITIZED = is_sanitized(BIN / "zdb")
DEADLINE_S = 160 if SANITIZED else 40  # for what should take well under a second: machines are busy

Done = collections.namedtuple("Done", "code out err")


def eventually(predicate, what, deadline_s=DEADLINE_S, every_s=0.02):
    """The first true value of `predicate`; an AssertionError naming `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(every_s)


def content(size, seed=1):
    """`size` bytes that neither compress nor repeat."""
    return random.Random(f"{seed}/{size}").randbytes(size)


def environment(home, **more):
    """What children see: nothing of the caller's own zerodb set-up."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZERODB_", "XDG_"))}
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", **more}


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def run(words, timeout_s=90, stdin=b"", cwd=None, env=None, **options):
    """Runs a program to its end; one that hangs is killed and fails the test."""
    try:
        done = subprocess.run([os.fspath(w) for w in words], input=stdin, capture_output=True,
                              timeout=timeout_s, cwd=cwd, env=env, **options)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"hung for {timeout_s} s: {words}\n{late.stderr}") from None
    return Done(done.returncode, done.stdout, done.stderr.decode(errors="backslashreplace"))


def on_a_terminal(start):
    """(exit code, bytes shown) of the process that `start(descriptor of a terminal)` begins."""
    terminal, its_end = pty.openpty()
    process = start(its_end)
    os.close(its_end)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: it has ended
        while more := os.read(terminal, 4096):
            shown += more
    os.close(terminal)
    return process.wait(DEADLINE_S), shown


class Node:
    """A data folder, and the daemon that runs on it."""

    def __init__(self, mesh, name):
        self.mesh, self.name = mesh, name
        self.folder = mesh.root / name
        self.out = mesh.root / f"{name}.out"
        self.log = mesh.root / f"{name}.log"
        self.process, self.said_before = None, 0

    def command(self, verb, *words, **options):
        """zerodb-node init or join, to its end."""
        options.setdefault("env", environment(self.mesh.root))
        return run([BIN / "zerodb-node", verb, *words, "--data", self.folder], **options)

    def configure(self, **settings):
        """Changes lines of its config.toml, for the next start."""
        path = self.folder / "config.toml"
        text = path.read_text()
        for key, value in settings.items():
            text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {json.dumps(value)}", text)
            assert count == 1, f"{key} is not one line of {text}"
        path.write_text(text)

    def daemon_words(self):
        return [BIN / "zerodb-node", "run", "--data", self.folder]

    def start(self, *words, wait=True, under=(), env=None, pass_fds=()):
        """zerodb-node run. `under` goes in front; `wait` for the line that says it serves."""
        self.said_before = len(self.said())
        with open(self.out, "ab") as out, open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*under, *self.daemon_words(), *words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=log, pass_fds=pass_fds,
                start_new_session=True, preexec_fn=die_with_parent,
                env=environment(self.mesh.root, **(env or {})))
        if wait:
            eventually(self.is_ready, f"{self.name} says it is ready")
        return self

    def is_ready(self):
        """Whether the daemon last started serves; an error if it ended."""
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode} instead of "
                                 f"getting ready\n{self.log_tail()}")
        return any(line.startswith("ready") for line in self.said()[self.said_before:].splitlines())

    def said(self):
        return self.out.read_text(errors="replace") if self.out.exists() else ""

    def log_tail(self, lines=30):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"--- {self.log.name}\n" + "\n".join(text.splitlines()[-lines:])

    def sanitizer_report(self):
        """What a sanitizer said; the one for races lets a daemon go on."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        report = sanitizer_reports.first_of_ours(text)
        return f"--- {self.log.name}\n{report[:8000]}" if report else ""

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, sig=signal.SIGTERM):
        """Asks the daemon to end and answers its exit code."""
        if self.running():
            self.process.send_signal(sig)
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} did not end\n{self.log_tail()}") from None
        well_but_for_theirs = (self.process.returncode == sanitizer_reports.RACES
                               and not self.sanitizer_report())
        return 0 if well_but_for_theirs else self.process.returncode

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def signal(self, sig):
        self.process.send_signal(sig)

    def zdb_words(self, *words):
        return [os.fspath(w) for w in (BIN / "zdb", "--node", self.folder, *words)]

    def zdb(self, *words, **options):
        options.setdefault("env", environment(self.mesh.root))
        return run(self.zdb_words(*words), **options)

    def zdb_start(self, *words, **options):
        """zdb in the background, its ends piped; the mesh kills it if the test does not."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                   **options}
        process = subprocess.Popen(self.zdb_words(*words), env=environment(self.mesh.root),
                                   start_new_session=True, **options)
        self.mesh.others.append(process)
        return process

    def status(self):
        done = self.zdb("status", "--json")
        if done.code != 0:
            raise AssertionError(f"{self.name}: status: {done}\n{self.log_tail()}")
        return json.loads(done.out)

    def up(self):
        """Names of the members this node reaches, its own included."""
        return {m["name"] for m in self.status()["members"] if m["up"]}

    def blobs(self):
        """Files of sealed chunks."""
        return [p for p in (self.folder / "store/blobs").rglob("*") if p.is_file()]

    def temporaries(self):
        """Files that nothing refers to yet."""
        return list((self.folder / "store/tmp").iterdir())


class Mesh:
    """Nodes in one temporary folder; everything goes at close()."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="z"))
        self.nodes, self.others = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in self.others:
            if process.poll() is None:
                process.kill()
            process.wait()
            for end in (process.stdin, process.stdout, process.stderr):
                if end:
                    with contextlib.suppress(OSError):
                        end.close()
        for node in self.nodes:
            node.kill()
        reports = [report for node in self.nodes if (report := node.sanitizer_report())]
        shutil.rmtree(self.root, ignore_errors=True)
        if reports:
            raise AssertionError("\n".join(reports))

    def node(self, name=None):
        """A node whose folder does not exist yet."""
        self.nodes.append(Node(self, name or f"n{len(self.nodes) + 1}"))
        return self.nodes[-1]

    def init(self, *words, name=None, **options):
        node = self.node(name)
        return self._made(node, node.command("init", "--name", node.name, "--listen",
                                             "127.0.0.1:0", *words, **options))

    def join(self, ticket, *words, name=None):
        node = self.node(name)
        return self._made(node, node.command("join", ticket, "--name", node.name, "--listen",
                                             "127.0.0.1:0", *words))

    def _made(self, node, done):
        if done.code != 0:
            raise AssertionError(f"{node.name} was not made: {done}")
        return node

    def grow(self, count, blind=()):
        """Starts nodes until there are `count`: one owner's gateways, but for those named blind."""
        while len(self.nodes) < count:
            name = f"n{len(self.nodes) + 1}"
            if not self.nodes:
                self.init(name=name).start()
            elif name in blind:
                self.join(ticket(self.nodes[0]), "--blind", name=name).start()
            else:
                self.join(ticket(self.nodes[0], "--share-owner"), name=name).start()
        self.wait_linked()
        self.wait_settled()
        return self.nodes

    def wait_linked(self):
        """Until each running node reaches each other one, and knows who is down."""
        running = [n for n in self.nodes if n.running()]
        names = {n.name for n in running}
        eventually(lambda: all(n.up() == names for n in running), f"links between {names}")

    def wait_settled(self):
        """Until every node that runs has taken over its share of what the roster says."""
        eventually(lambda: all(not n.status()["move"]["waits_for"]
                               for n in self.nodes if n.running()), "the move is over")


def ticket(node, *words):
    done = node.zdb("invite", *words)
    if done.code != 0:
        raise AssertionError(f"no ticket: {done}")
    return done.out.decode().strip()


class MeshTest(unittest.TestCase):
    """A mesh of `size` nodes shared by a class's tests; each test keeps to keys of its own."""

    size, blind = 1, ()

    @classmethod
    def setUpClass(cls):
        cls.mesh = Mesh()
        cls.addClassCleanup(cls.mesh.close)
        cls.nodes = cls.mesh.grow(cls.size, cls.blind)
        cls.node = cls.nodes[0]

    def setUp(self):
        self.key = self._testMethodName
        self.files = self.mesh.root / f"files-{self.key}"
        self.files.mkdir()
        self.addCleanup(shutil.rmtree, self.files, ignore_errors=True)
        self.addCleanup(self.show_logs_of_a_failure)

    def run(self, result=None):
        self.result = result
        self.failed_before = len(result.failures) + len(result.errors)
        super().run(result)

    def show_logs_of_a_failure(self):
        if len(self.result.failures) + len(self.result.errors) > self.failed_before:
            for node in self.mesh.nodes:
                print(node.log_tail(), file=sys.stderr)

    def file(self, name, data=b"some bytes"):
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def ok(self, node, *words, **options):
        """zdb must succeed without a word of complaint."""
        done = node.zdb(*words, **options)
        summary = r"((stored|fetched) \d+ files?, .*\n)?" if "-r" in words else ""
        self.assertEqual(0, done.code, f"zdb {words}: {done.err}")
        self.assertRegex(done.err, rf"\A{summary}\Z", words)
        return done

    def refused(self, code, node, *words, says=(), **options):
        """zdb must end with `code`, print no result, and say all of `says` (regexes) on stderr."""
        return self.complained(code, node.zdb(*words, **options), says)

    def complained(self, code, done, says=()):
        self.assertEqual(code, done.code, done)
        self.assertEqual(b"", done.out)
        for expected in says:
            self.assertRegex(done.err, expected)
        self.assertLess(len(done.err.splitlines()), 8, "a message is short")
        self.assertNotRegex(done.err, r"(?i)terminate called|sanitizer|assert|exception|abort")
        return done

    def put(self, node, key, data):
        """A large object may leave a node of a busy machine behind; zdb says so, and it catches up."""
        done = node.zdb("put", "-", key, stdin=data)
        behind = r"(zdb: warning: .* behind and will catch up\n)?" if len(data) > MIB else ""
        self.assertEqual(0, done.code, done.err)
        self.assertRegex(done.err, rf"\A{behind}\Z")
        return done

    def get(self, node, key):
        return self.ok(node, "get", key, "-").out

    def keys(self, node, *words):
        listed = json.loads(self.ok(node, "ls", "--json", *words).out)
        return [entry["key"] for entry in listed]


class FreshMeshTest(MeshTest):
    """Each test has an empty mesh of its own, and makes the nodes itself."""

    @classmethod
    def setUpClass(cls):
        pass

    def setUp(self):
        self.mesh = Mesh()
        self.addCleanup(self.mesh.close)
        super().setUp()


def main():
    unittest.main(module="__main__", verbosity=2)

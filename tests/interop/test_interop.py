#!/usr/bin/python3
"""Programs in Python, JavaScript and C, written from bus/PROTOCOL.md alone, on a mesh of real
daemons: what one writes the others read.

The JavaScript ones need packages of the npm registry, which are installed once into the build
folder. Where there is no registry, those tests are skipped and say so.
"""

import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))

from harness import BIN, MIB, ROOT, MeshTest, content, environment, main, run  # noqa: E402

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


class Interop(MeshTest):
    size = 3

    @classmethod
    def setUpClass(cls):
        WORK.mkdir(parents=True, exist_ok=True)
        cls.clients = {"python": [HERE / "client.py"], "c": [WORK / "client"]}
        built = run(["cc", "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1",
                     HERE / "client.c", "-o", WORK / "client", "-lzmq"])
        if built.code != 0:
            raise AssertionError(built.err)
        cls.why_not = install_javascript()
        if cls.why_not:
            print(f"SKIPPED, no JavaScript: {cls.why_not}", file=sys.stderr)
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
            text = (ROOT / document).read_text()
            example = re.search(r"```python\n((?:(?!```).)*?client\.sock.*?)```", text, re.S).group(1)
            example = example.replace("/home/ann/.local/share/zerodb", str(self.node.folder))
            done = run(["/usr/bin/python3", "-c", example])
            self.assertEqual(0, done.code, done.err)
            self.assertIn(b"b'hello'", done.out)


class GoldenHeaders(unittest.TestCase):
    """The C++ side of this is tests/bus/codec_test.cpp."""

    def test_python_encodes_them_to_the_same_bytes(self):
        done = run([HERE / "golden.py", VECTORS])
        self.assertEqual(0, done.code, done.err)
        self.assertGreater(len(done.out.splitlines()), 40)

    def test_javascript_encodes_them_to_the_same_bytes_and_reads_the_same(self):
        why_not = install_javascript()
        if why_not:
            self.skipTest(why_not)
        done = run([*javascript("golden.mjs"), VECTORS])
        self.assertEqual(0, done.code, done.err)
        self.assertEqual(run([HERE / "golden.py", VECTORS]).out.decode(), done.out.decode())


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What `make install` leaves serves a program outside the tree, found by CMake and by pkg-config."""

import os
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

import harness  # noqa: E402
from harness import BIN, MeshTest, environment, run  # noqa: E402

CONSUMER = pathlib.Path(__file__).resolve().parent / "consumer"
MANY = f"300 {997 * 299 * 150} 1 not_found\n"


class Installed(MeshTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prefix = cls.mesh.root / "usr"
        done = run(["cmake", "--install", BIN.parent, "--prefix", cls.prefix])
        if done.code != 0:
            raise AssertionError(f"cmake --install: {done}")
        cls.lib = next(cls.prefix.glob("lib*/**/libzerodb.so")).parent

    def built(self, words, **options):
        done = run(words, **options)
        self.assertEqual(0, done.code, f"{words}\n{done.out.decode()}\n{done.err}")
        return done.out.decode()

    def says(self, program, env=None):
        return self.built([program, self.node.folder], env=environment(self.mesh.root, **(env or {})))

    def test_a_program_finds_it_by_cmake(self):
        build = self.files / "build"
        self.built(["cmake", "-S", CONSUMER, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
                    "-DCMAKE_BUILD_TYPE=Debug"])
        self.built(["cmake", "--build", build, "--parallel", "2"])
        self.assertEqual("Hello from C++\n", self.says(build / "hello"))
        self.assertEqual(b"Hello from C++", self.get(self.node, "greeting"))
        self.assertEqual(MANY, self.says(build / "many"))
        self.check_watching(build / "watcher")

    def check_watching(self, watcher):
        def watch(*words):
            done = run([watcher, self.node.folder, "w/", *words], env=environment(self.mesh.root))
            return done.code, done.out.decode()

        self.put(self.node, "other", b"")
        for key, size in (("w/a", 1), ("w/b", 100_000), ("w/c", 0)):
            self.put(self.node, key, b"x" * size)
        self.ok(self.node, "rm", "w/a")
        told = ["stored w/a 1\n", "stored w/b 100000\n", "stored w/c 0\n", "removed w/a 0\n"]
        code, out = watch("", "4")  # from the oldest event there is
        self.assertEqual((0, "".join(told)), (code, out[:out.index("next")]))

        def durable(count, *words):
            return watch("library", count, *words)

        self.ok(self.node, "watch", "w/", "--durable", "library", "--since", "0", "--limit", "1")
        self.assertEqual((1, told[1] + "full\n"), durable("9", "w/c"))
        self.node.stop()
        self.node.start()  # the position outlasts it
        code, out = durable("2")  # begins with the one that was not handled
        self.assertEqual((0, told[2] + told[3]), (code, out[:out.index("next")]))
        self.put(self.node, "w/d", b"")
        code, out = durable("1")
        self.assertEqual((0, "stored w/d 0\n"), (code, out[:out.index("next")]))

    def test_a_program_finds_it_by_pkg_config(self):
        moved = self.files / "elsewhere"  # the file works wherever the folder goes
        shutil.copytree(self.prefix, moved, symlinks=True)
        lib = moved / self.lib.relative_to(self.prefix)
        env = {**os.environ, "PKG_CONFIG_PATH": str(lib / "pkgconfig")}
        flags = self.built(["pkg-config", "--cflags", "--libs", "zerodb"], env=env).split()
        self.assertEqual("0.1", self.built(["pkg-config", "--modversion", "zerodb"],
                                           env=env).strip()[:3])
        program = self.files / "hello"
        self.built([os.environ.get("CXX", "c++"), "-std=c++20", "-Wall", "-Wextra", "-Werror",
                    CONSUMER / "hello.cpp", "-o", program, *flags])
        self.assertEqual("Hello from C++\n", self.says(program, {"LD_LIBRARY_PATH": str(lib)}))

    def test_headers_stand_alone_and_name_no_library_but_expected(self):
        headers = sorted((self.prefix / "include/zerodb").iterdir())
        self.assertIn("client.hpp", [h.name for h in headers])
        self.assertEqual([self.prefix / "include/zerodb"],
                         list((self.prefix / "include").iterdir()))
        every = "".join(f"#include <zerodb/{h.name}>\n" for h in headers)
        included = set(re.findall(r'#include ["<]([^">]*)', "".join(h.read_text() for h in headers)))
        foreign = {name for name in included if "/" in name and not name.startswith("zerodb/")}
        self.assertEqual({"tl/expected.hpp"}, foreign)
        for first in headers:  # each before any other
            code = f"#include <zerodb/{first.name}>\n" if first.name != "export.hpp" else every
            self.built([os.environ.get("CXX", "c++"), "-std=c++20", "-fsyntax-only", "-Wall",
                        "-Wextra", "-Werror", "-x", "c++", "-I", self.prefix / "include", "-"],
                       stdin=code.encode())

    def test_the_library_shows_its_interface_and_nothing_else(self):
        shown = self.built(["nm", "-DC", "--defined-only", self.lib / "libzerodb.so"])
        names = [line.split(" ", 2)[2] for line in shown.splitlines()]
        strange = [n for n in names if not re.match(
            r"zerodb::((Async)?Client|Listing)::|zerodb::to_string\(|ZERODB_0\.1$", n)]
        self.assertEqual([], strange)
        dynamic = self.built(["readelf", "-d", self.lib / "libzerodb.so"])
        self.assertIn("Library soname: [libzerodb.so.0.1]", dynamic)
        needed = re.findall(r"Shared library: \[(lib\w+)", dynamic)
        self.assertNotIn("librocksdb", needed)
        self.assertNotIn("RUNPATH", dynamic)

    def test_programs_and_pages_are_there(self):
        self.assertLessEqual({"zdb", "zerodb-node", "zbench"},
                             {p.name for p in (self.prefix / "bin").iterdir()})
        self.assertEqual({"zdb.1", "zerodb-node.8"},
                         {p.name for p in (self.prefix / "share/man").rglob("*.[18]")})
        self.assertFalse((self.prefix / "lib/systemd").exists(), "names /usr: for packages alone")


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""What zdb and zerodb-node do when all is well: every command, on one node."""

import json
import os
import pty
import re
import select
import signal
import socket
import stat
import time

from harness import (BIN, DEADLINE_S, KIB, MIB, FreshMeshTest, MeshTest, content, environment,
                     eventually, main, run)


FAILING_DISK = BIN.parent / "lib/libfailing_disk.so"


class Objects(MeshTest):
    """put, get, ls, stat, rm."""

    def test_what_was_put_is_listed_got_and_removed(self):
        source = self.file("source", content(3 * MIB + 5))
        self.ok(self.node, "put", source, self.key)
        self.assertEqual(source.read_bytes(), self.get(self.node, self.key))
        self.assertIn(self.key, self.keys(self.node))
        self.ok(self.node, "rm", self.key)
        self.refused(3, self.node, "get", self.key, "-", says=[self.key])
        self.assertNotIn(self.key, self.keys(self.node))

    def test_an_object_can_be_replaced_and_put_again_after_rm(self):
        for data in (b"one", content(100 * KIB), b"", b"four"):
            self.put(self.node, self.key, data)
            self.assertEqual(data, self.get(self.node, self.key))
        self.ok(self.node, "rm", self.key)
        self.put(self.node, self.key, b"again")
        self.assertEqual(b"again", self.get(self.node, self.key))

    def version(self, key):
        return json.loads(self.ok(self.node, "stat", key, "--json").out)["version"]

    def test_a_put_if_absent_is_done_once(self):
        for data in (b"one", content(3 * MIB)):
            key = f"{self.key}/{len(data)}"
            source = self.file("source", data)
            self.ok(self.node, "put", source, key, "--if-absent")
            self.refused(8, self.node, "put", source, key, "--if-absent",
                         says=[f"put '{key}': version {self.version(key)} stands"])
            self.ok(self.node, "rm", key)
            self.ok(self.node, "put", source, key, "--if-absent")

    def test_a_put_and_an_rm_of_a_version_leave_another_one_alone(self):
        self.put(self.node, self.key, b"one")
        old = self.version(self.key)
        self.ok(self.node, "put", "-", self.key, "--if-version", str(old), stdin=b"two")
        new = self.version(self.key)
        self.assertGreater(new, old)
        for words in (["put", "-", self.key], ["rm", self.key]):
            self.refused(8, self.node, *words, "--if-version", str(old), stdin=b"three",
                         says=[f"version {new} stands, not the expected {old}"])
        self.assertEqual(b"two", self.get(self.node, self.key))
        self.refused(2, self.node, "rm", self.key, "other", "--if-version", str(new))
        self.refused(2, self.node, "put", "-", self.key, "--if-version", "new")
        self.refused(2, self.node, "put", "-", self.key, "--if-version", "1", "--if-absent")
        for unset in (["--if-version", ""], ["--if-version="]):
            for words in (["put", "-", self.key], ["rm", self.key]):
                self.refused(2, self.node, *words, *unset, stdin=b"four", says=["--if-version"])
        self.assertEqual(b"two", self.get(self.node, self.key))
        self.ok(self.node, "rm", self.key, "--if-version", str(new))

    def test_a_media_type_and_attributes_are_kept_and_shown(self):
        source = self.file("source", b"x")
        self.ok(self.node, "put", source, self.key, "--type", "text/x-note", "--attr", "by=ann",
                "--attr", "empty=", "--attr", "sum=1+1=2")
        info = json.loads(self.ok(self.node, "stat", self.key, "--json").out)
        self.assertEqual("text/x-note", info["media_type"])
        self.assertEqual({"by": "ann", "empty": "", "sum": "1+1=2"}, info["attributes"])
        shown = self.ok(self.node, "stat", self.key).out.decode()
        self.assertRegex(shown, r"(?m)^media type +text/x-note$")
        self.assertRegex(shown, r"(?m)^attribute +by: ann$")
        largest = ["--attr", "k=" + 4095 * "v"]
        self.ok(self.node, "put", source, self.key, *largest)
        self.refused(1, self.node, "put", source, self.key, *largest, "--attr", "k2=",
                     says=["4096"])
        for wrong in (["--attr", "novalue"], ["--attr", "=x"], ["--attr", "a=1", "--attr", "a=2"]):
            self.refused(2, self.node, "put", source, self.key, *wrong, says=["--attr"])

    def test_the_key_defaults_to_the_name_of_the_file(self):
        source = self.file("default-key.txt", b"x")
        self.ok(self.node, "put", source)
        self.assertEqual(b"x", self.get(self.node, "default-key.txt"))

    def test_get_without_a_path_writes_the_last_part_of_the_key_here(self):
        self.put(self.node, "deep/er/name.bin", b"here")
        self.ok(self.node, "get", "deep/er/name.bin", cwd=self.files)
        self.assertEqual(b"here", (self.files / "name.bin").read_bytes())

    def test_get_replaces_a_file_and_writes_into_a_folder(self):
        self.put(self.node, self.key, b"new")
        old = self.file("old", b"old and longer")
        self.ok(self.node, "get", self.key, old)
        self.assertEqual(b"new", old.read_bytes())
        self.assertEqual([old], list(self.files.iterdir()))
        self.ok(self.node, "get", self.key, self.files)
        self.assertEqual(b"new", (self.files / self.key).read_bytes())

    def test_a_link_is_followed_though_there_is_nothing_yet(self):
        self.put(self.node, self.key, b"new")
        (self.files / "in").mkdir()
        (self.files / "link").symlink_to("in/link")
        (self.files / "in/link").symlink_to("target")
        self.ok(self.node, "get", self.key, self.files / "link")
        self.assertTrue((self.files / "link").is_symlink())
        self.assertEqual(b"new", (self.files / "in/target").read_bytes())
        (self.files / "knot").symlink_to("knot")
        self.refused(1, self.node, "get", self.key, self.files / "knot", says=["knot"])

    def test_a_file_that_is_replaced_stays_for_whom_it_was(self):
        self.put(self.node, self.key, b"new")
        old = self.file("old", b"old")
        (self.files / "link").symlink_to("old")
        for mode, name in ((0o600, "old"), (0o751, "old"), (0o640, "link")):
            old.chmod(mode)
            if os.geteuid() == 0:
                os.chown(old, 1234, 4321)
            before = old.stat()
            self.ok(self.node, "get", self.key, self.files / name)
            after = old.stat()
            self.assertEqual(b"new", old.read_bytes())
            for field in ("st_mode", "st_uid", "st_gid"):
                self.assertEqual(getattr(before, field), getattr(after, field), (name, field))
        self.ok(self.node, "get", self.key, self.files / "new", umask=0o027)
        self.assertEqual(0o640, stat.S_IMODE((self.files / "new").stat().st_mode))

    def test_many_files_go_under_a_prefix(self):
        paths = [self.file(name, name.encode()) for name in ("a", "b b", "c.txt")]
        self.ok(self.node, "put", *paths, "many/")
        self.assertEqual(["many/a", "many/b b", "many/c.txt"], self.keys(self.node, "many/"))
        self.assertEqual(b"b b", self.get(self.node, "many/b b"))

    def test_a_folder_goes_in_and_out_whole(self):
        tree = {"top": b"1", "sub/inner": b"2", "sub/deeper/ly": content(70 * KIB),
                "with space/ä ☃": b"3", "line\nbreak": b"4", "empty": b"", "-dash": b"5"}
        for name, data in tree.items():
            self.file(f"in/{name}", data)
        self.ok(self.node, "put", "-r", self.files / "in", "tree/")
        self.assertEqual(sorted(f"tree/{name}" for name in tree), self.keys(self.node, "tree/"))
        self.ok(self.node, "get", "-r", "tree/", self.files / "out")
        got = {str(p.relative_to(self.files / "out")): p.read_bytes()
               for p in (self.files / "out").rglob("*") if p.is_file()}
        self.assertEqual(tree, got)

        self.put(self.node, "treehouse", b"a neighbour")
        self.ok(self.node, "rm", "-r", "tree/")
        self.assertEqual([], self.keys(self.node, "tree/"))
        self.assertEqual(b"a neighbour", self.get(self.node, "treehouse"))

    def test_a_folder_put_without_a_prefix_goes_under_its_own_name(self):
        self.file("album/one", b"1")
        self.ok(self.node, "put", "-r", self.files / "album")
        self.assertEqual(["album/one"], self.keys(self.node, "album/"))

    def test_what_of_a_folder_cannot_be_looked_at_is_a_failure(self):
        self.file("in/whole", b"1")
        (self.files / "in/dangling").symlink_to("nowhere")
        done = self.node.zdb("put", "-r", self.files / "in", "looked/")
        self.assertEqual(0, done.code, done)
        self.assertIn("dangling: is a link to nothing; left out", done.err)
        (self.files / "in/knot").symlink_to("knot")
        self.refused(1, self.node, "put", "-r", self.files / "in", "looked/",
                     says=["knot: cannot be looked at: Too many levels", "stored 1 file"])

    def test_a_folder_that_fails_while_it_is_read_is_not_taken_for_whole(self):
        if not FAILING_DISK.exists():
            return print(f"SKIPPED: there is no {FAILING_DISK}: the programs are sanitized")
        for i in range(10):
            self.file(f"in/{i}")
        env = environment(self.files, LD_PRELOAD=str(FAILING_DISK), FAILING_DISK_ENTRIES="6")
        self.refused(1, self.node, "put", "-r", self.files / "in", "half/", env=env,
                     says=["in: cannot be listed: Input/output error", "stored [456] files"])
        self.assertIn(len(self.keys(self.node, "half/")), (4, 5, 6))  # "." and ".." come anywhere

    def test_what_is_fetched_is_on_the_disk(self):
        if not FAILING_DISK.exists():
            return print(f"SKIPPED: there is no {FAILING_DISK}: the programs are sanitized")
        self.put(self.node, "synced/one", b"new")
        old = self.file("old", b"old")
        env = environment(self.files, LD_PRELOAD=str(FAILING_DISK), FAILING_DISK_SYNCS="1")
        self.refused(1, self.node, "get", "synced/one", old, env=env,
                     says=["old: cannot be written: Input/output error"])
        self.assertEqual((b"old", [old]), (old.read_bytes(), list(self.files.iterdir())))
        self.refused(1, self.node, "get", "-r", "synced/", self.files / "many", env=env,
                     says=["many: cannot be written: Input/output error"])

    def test_stdin_and_stdout(self):
        for size in (0, 1, 64 * KIB, 64 * KIB + 1, 2 * MIB + 1):
            self.put(self.node, self.key, content(size))
            self.assertEqual(content(size), self.get(self.node, self.key), size)

    def test_several_keys_are_removed_at_once_and_a_missing_one_is_told(self):
        for key in ("rm1", "rm2", "rm3"):
            self.put(self.node, key, b"x")
        self.ok(self.node, "rm", "rm1", "rm2")
        self.refused(3, self.node, "rm", "rm-missing", "rm3", says=["rm-missing"])
        self.assertEqual([], self.keys(self.node, "rm"))

    def test_listing(self):
        for key, size in (("list/b", 10), ("list/a", 2 * KIB), ("list/sub/c", 0), ("lis", 1)):
            self.put(self.node, key, bytes(size))
        self.assertEqual(b"list/a\nlist/b\nlist/sub/c\n", self.ok(self.node, "ls", "list/").out)
        long = self.ok(self.node, "ls", "-l", "list/").out.decode().splitlines()
        self.assertRegex(long[0], r"^\s*2048  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  list/a$")
        entries = json.loads(self.ok(self.node, "ls", "list/", "--json").out)
        self.assertEqual([("list/a", 2048), ("list/b", 10), ("list/sub/c", 0)],
                         [(e["key"], e["size"]) for e in entries])
        self.assertEqual(b"", self.ok(self.node, "ls", "no-such-prefix/").out)
        self.assertEqual([], json.loads(self.ok(self.node, "ls", "no-such/", "--json").out))

    def test_stat(self):
        source = self.file("dated.txt", bytes(300 * KIB))
        os.utime(source, (1_600_000_000, 1_600_000_000))
        self.ok(self.node, "put", source, self.key)
        about = json.loads(self.ok(self.node, "stat", self.key, "--json").out)
        self.assertEqual((self.key, 300 * KIB, 1_600_000_000_000),
                         (about["key"], about["size"], about["mtime_ms"]))
        text = self.ok(self.node, "stat", self.key).out.decode()
        self.assertIn(self.key, text)
        self.assertIn(str(300 * KIB), text.replace(",", ""))
        self.assertIn("2020-09-13", text)

    def test_ranges(self):
        small, large = content(1000), content(2 * MIB + 100)
        for data in (small, large):
            self.put(self.node, self.key, data)
            last = len(data) - 1
            for first, end in ((0, 0), (0, last), (5, 9), (last, last), (len(data) // 2, last)):
                done = self.ok(self.node, "get", self.key, "-", "--range", f"{first}-{end}")
                self.assertEqual(data[first:end + 1], done.out, (first, end))
            across = self.ok(self.node, "get", self.key, "-", "--range", "900-").out
            self.assertEqual(data[900:], across, "an open range goes to the end")
            clipped = self.ok(self.node, "get", self.key, "-", "--range", f"{last}-{last + 9}")
            self.assertEqual(data[-1:], clipped.out, "a range that passes the end is cut there")
            self.refused(1, self.node, "get", self.key, "-", "--range", f"{last + 1}-",
                         says=["range", str(len(data))])
        part = self.files / "part"
        self.ok(self.node, "get", self.key, part, "--range", f"{MIB - 1}-{MIB}")
        self.assertEqual(large[MIB - 1:MIB + 1], part.read_bytes())

    def test_status(self):
        status = self.node.status()
        self.assertEqual((1, 1), (status["replicas"], status["write_quorum"]))
        self.assertEqual(["n1"], [m["name"] for m in status["members"]])
        text = self.ok(self.node, "status").out.decode()
        self.assertIn("n1", text)
        self.assertIn(status["owner"], text)

    def test_status_tells_what_small_puts_take(self):
        before = self.node.status()["puts_timed"]
        self.put(self.node, self.key, b"small")
        self.put(self.node, self.key, content(MIB))  # streamed, and not counted
        status = self.node.status()
        self.assertEqual(before + 1, status["puts_timed"])
        self.assertLess(0, status["put_p50_us"])
        self.assertLessEqual(status["put_p50_us"], status["put_p99_us"])
        self.assertIn("small puts", self.ok(self.node, "status").out.decode())

    def test_owner_id(self):
        shown = self.ok(self.node, "owner", "id").out.decode()
        self.assertRegex(shown, r"^[0-9a-f]{64}\n$")
        self.assertEqual(self.node.status()["owner"], shown.strip())

    def test_quiet_says_nothing(self):
        source = self.file("quiet", content(MIB))
        for words in (("put", source, self.key), ("get", self.key, self.files / "got"),
                      ("rm", self.key)):
            done = self.ok(self.node, "--quiet", *words)
            self.assertEqual(b"", done.out, words)

    def test_options_may_stand_anywhere_and_end_at_two_dashes(self):
        source = self.file("source", b"x")
        zdb, folder, env = BIN / "zdb", self.node.folder, environment(self.mesh.root)
        for words in (("put", "--node", folder, source, self.key),
                      ("put", source, "--quiet", self.key, "--node", folder),
                      ("--node", folder, "ls", "--json", self.key),
                      ("ls", self.key, "--json", "--node", folder)):
            self.assertEqual(0, run([zdb, *words], env=env).code, words)
        for name in ("--json", "-r", "--", "-"):
            self.ok(self.node, "put", "--", source, name)
            self.assertEqual(b"x", self.ok(self.node, "get", "--", name, "-").out, name)
            self.ok(self.node, "rm", "--", name)
        dashed = self.file("-dashed", b"y")
        self.ok(self.node, "put", "--", dashed.name, cwd=self.files)
        self.assertEqual(b"-dashed\n", self.ok(self.node, "ls", "--", "-dashed").out)

    def test_where_the_node_is_looked_for(self):
        self.put(self.node, self.key, b"x")
        home = self.files
        xdg = home / "xdg"
        for place in (xdg, home / ".local/share"):
            place.mkdir(parents=True)
        listing = [BIN / "zdb", "ls", self.key]
        nowhere = environment(home)
        self.complained(5, run(listing, env=nowhere), [re.escape(str(home / ".local/share"))])
        (home / ".local/share/zerodb").symlink_to(self.node.folder)
        self.assertEqual(0, run(listing, env=nowhere).code)
        self.complained(5, run(listing, env={**nowhere, "XDG_DATA_HOME": str(xdg)}),
                        [re.escape(str(xdg))])
        (xdg / "zerodb").symlink_to(self.node.folder)
        self.assertEqual(0, run(listing, env={**nowhere, "XDG_DATA_HOME": str(xdg)}).code)
        self.complained(5, run(listing, env={**nowhere, "ZERODB_DIR": str(home / "other")}),
                        [re.escape(str(home / "other"))])
        there = {**nowhere, "ZERODB_DIR": str(self.node.folder)}
        self.assertEqual(0, run(listing, env=there).code)
        self.complained(5, run([*listing, "--node", home / "third"], env=there),
                        [re.escape(str(home / "third"))])


class Usage(MeshTest):
    """Exit code 2, and help."""

    def test_wrong_usage(self):
        here = self.file("here")
        for words in ((), ("fly",), ("put",), ("put", here, "a", "b"), ("get",), ("rm",), ("stat",),
                      ("get", "a", "b", "c"), ("ls", "--no-such-option"), ("owner",),
                      ("owner", "sell"), ("get", "k", "-", "--range", "9-5"),
                      ("get", "k", "-", "--range", "x"), ("get", "k", "-", "--range", "-5"),
                      ("get", "-r", "k/"), ("invite", "--expires", "soon"),
                      ("invite", "--expires", "0s"), ("put", "-")):
            done = self.node.zdb(*words)
            self.assertEqual((2, b""), (done.code, done.out), (words, done))
            self.assertNotEqual("", done.err)

    def test_an_option_given_as_nothing_is_not_left_out(self):
        for option, *words in (("--range", "get", "k", "-"), ("--since", "watch", "--once"),
                               ("--limit", "watch", "--once"), ("--exec", "watch", "--once"),
                               ("--expires", "invite"),
                               ("--expires", "client", "add", "c", "--read", "k/"),
                               ("--weight", "node", "set", "n1", "--zone", "z")):
            for unset in ([option, ""], [f"{option}="]):
                self.refused(2, self.node, *words, *unset, says=[option])
        for option in ("--remote", "--node"):
            there = {**environment(self.files), "ZERODB_DIR": str(self.node.folder)}
            for unset in ([option, ""], [f"{option}="]):
                self.complained(2, run([BIN / "zdb", "ls", *unset], env=there), [option])
        self.ok(self.node, "ls", env={**environment(self.files), "ZERODB_REMOTE": ""})
        self.assertEqual(b"", self.ok(self.node, "client", "list").out)

    def test_nothing_else_is_taken_for_a_stream_that_is_closed(self):
        def without(stream):
            return {"preexec_fn": lambda: os.close(stream)}
        text = self.node.zdb("owner", "export").out
        copy = self.files / "owner.txt"
        exporting = self.node.zdb_start("owner", "export", "--output", copy, **without(2))
        self.assertEqual(0, exporting.wait(DEADLINE_S))
        self.assertEqual(text, copy.read_bytes())
        self.put(self.node, self.key, b"content")
        for stream, *words in ((0, "put", "-", self.key), (1, "get", self.key, "-")):
            process = self.node.zdb_start(*words, **without(stream))
            complaint = process.communicate(timeout=DEADLINE_S)[1].decode()
            self.assertIn("Bad file descriptor", complaint)
            self.assertGreater(process.returncode, 0)
        self.assertEqual(b"content", self.get(self.node, self.key))

    def test_wrong_usage_of_the_daemon(self):
        for words in ((), ("fly",), ("init",), ("run",), ("join", "--data", self.files / "x"),
                      ("run", "--data", self.node.folder, "--log-level", "shout"),
                      ("init", "--data", self.files / "x", "--listen", "nonsense"),
                      ("init", "--data", self.files / "x", "--listen", "127.0.0.1:70000"),
                      ("init", "--data", self.files / "x", "--name", "two words")):
            done = run([BIN / "zerodb-node", *words], env=environment(self.files))
            self.assertEqual((2, b""), (done.code, done.out), (words, done))
            self.assertNotEqual("", done.err)
        self.assertFalse((self.files / "x").exists())

    def test_help_and_version(self):
        for program in ("zdb", "zerodb-node"):
            for option in ("--help", "--version"):
                done = run([BIN / program, option])
                self.assertEqual((0, ""), (done.code, done.err))
                self.assertNotEqual(b"", done.out)
        help_text = run([BIN / "zdb", "--help"]).out.decode()
        for verb in ("put", "get", "ls", "stat", "rm", "status", "invite", "owner"):
            self.assertIn(verb, help_text)
        self.assertEqual(0, run([BIN / "zdb", "put", "--help"]).code)


class Transfers(MeshTest):
    """Progress, interruptions, and never half a file."""

    def put_slowly(self, *options, seen):
        """zdb put of stdin with stderr on a terminal, fed in drops until `seen(text)` is true."""
        terminal, its_end = pty.openpty()
        self.addCleanup(os.close, terminal)
        putting = self.node.zdb_start("put", "-", self.key, *options, stderr=its_end)
        os.close(its_end)
        text = bytearray()

        def drip():
            putting.stdin.write(bytes(200 * KIB))
            putting.stdin.flush()
            while select.select([terminal], [], [], 0)[0]:
                text.extend(os.read(terminal, 4096))
            return seen(text.decode(errors="replace"))

        eventually(drip, "the progress line is as expected", every_s=0.05)
        putting.stdin.close()
        self.assertEqual(0, putting.wait(DEADLINE_S))

    def test_progress_shows_on_a_terminal_after_a_second(self):
        started = time.monotonic()
        self.put_slowly(seen=lambda text: re.search(r"[KM]i?B.*/s", text))
        self.assertGreater(time.monotonic() - started, 0.9)

    def test_no_progress_when_quiet(self):
        enough = time.monotonic() + 1.8
        said = []
        self.put_slowly("--quiet", seen=lambda text: said.append(text) or time.monotonic() > enough)
        self.assertEqual("", said[-1])

    def test_no_progress_when_piped(self):
        putting = self.node.zdb_start("put", "-", self.key)
        enough = time.monotonic() + 1.8

        def drip():
            putting.stdin.write(bytes(200 * KIB))
            return time.monotonic() > enough

        eventually(drip, "fed for a while", every_s=0.05)
        out, err = putting.communicate(timeout=DEADLINE_S)
        self.assertEqual((0, b"", b""), (putting.returncode, out, err))

    def test_a_failed_get_leaves_what_was_there(self):
        old = self.file("old", b"precious")
        self.refused(3, self.node, "get", "no-such-key", old)
        self.refused(3, self.node, "get", "no-such-key", self.files / "new")
        self.assertEqual([old], list(self.files.iterdir()))
        self.assertEqual(b"precious", old.read_bytes())

    def test_an_unfinished_file_of_another_process_of_that_number_stays(self):
        """As in two containers with one volume, where zdb is process 1 in both."""
        self.put(self.node, self.key, b"mine")
        theirs = 'echo theirs > ".zdb-$$-1.part"; exec "$@"'
        done = run(["sh", "-c", theirs, "sh", *self.node.zdb_words("get", self.key, "mine")],
                   cwd=self.files, env=environment(self.files))
        self.assertEqual((0, ""), (done.code, done.err))
        self.assertEqual({b"mine", b"theirs\n"}, {p.read_bytes() for p in self.files.iterdir()})

    def test_an_interrupted_get_leaves_nothing(self):
        data = content(96 * MIB)
        self.put(self.node, self.key, data)
        for sig in (signal.SIGINT, signal.SIGTERM):
            code = 0
            while code == 0:  # it may finish first
                getting = self.node.zdb_start("get", self.key, self.files / "whole")
                while getting.poll() is None and not list(self.files.iterdir()):
                    pass
                getting.send_signal(sig)
                code = getting.wait(DEADLINE_S)
                left = list(self.files.iterdir())
                if code == 0:
                    self.assertEqual(data, left[0].read_bytes())
                    left[0].unlink()
            self.assertEqual([], left, sig)

    def test_a_get_that_shall_live_through_a_signal_does(self):
        """As under nohup, or in the background of a script."""
        data, pipe = content(8 * MIB), self.files / "pipe"
        self.put(self.node, self.key, data)
        os.mkfifo(pipe)
        for sig in (signal.SIGHUP, signal.SIGINT):
            getting = self.node.zdb_start("get", self.key, pipe,
                                          preexec_fn=lambda: signal.signal(sig, signal.SIG_IGN))
            with open(pipe, "rb") as reader:
                getting.send_signal(sig)
                self.assertTrue(data == reader.read())
            self.assertEqual(0, getting.wait(DEADLINE_S), sig)

    def interrupt_a_put(self, *options):
        putting = self.node.zdb_start("put", "-", self.key, *options)
        putting.stdin.write(content(4 * MIB))
        putting.stdin.flush()
        eventually(lambda: self.node.status()["uploads"] == 1, "the put has begun")
        putting.send_signal(signal.SIGINT)
        self.assertNotEqual(0, putting.wait(DEADLINE_S))
        eventually(lambda: self.node.status()["uploads"] == 0, "the upload is dropped")
        eventually(lambda: not self.node.temporaries(), "its file is gone")
        self.refused(3, self.node, "stat", self.key)

    def test_an_interrupted_put_leaves_nothing(self):
        self.interrupt_a_put()

    def test_an_interrupted_put_leaves_no_file_for_its_receipts(self):
        self.interrupt_a_put("--receipts", self.files / "receipts.json")
        self.assertEqual([], list(self.files.iterdir()))

    def test_a_get_whose_reader_goes_away_ends(self):
        self.put(self.node, self.key, content(8 * MIB))
        getting = self.node.zdb_start("get", self.key, "-")
        self.assertEqual(1, len(getting.stdout.read(1)))
        getting.stdout.close()
        self.assertNotEqual(0, getting.wait(DEADLINE_S))

    def test_output_that_cannot_be_written_is_a_full_disk(self):
        for i in range(300):
            self.file(f"many/{i}")
        self.ok(self.node, "put", "-r", self.files / "many", f"{self.key}/")
        for words in (["ls", "--json"], ["ls"], ["owner", "id"], ["watch", "--once", "--since", "0"],
                      ["watch", "--since", "0"]):
            with open("/dev/full", "wb") as full:
                printing = self.node.zdb_start(*words, stdout=full)
                _, said = printing.communicate(timeout=DEADLINE_S)
            self.assertEqual(7, printing.returncode, (words, said))
            self.assertEqual(b"zdb: stdout: cannot be written: No space left on device\n", said)

    def test_a_watch_runs_no_command_for_an_event_that_it_could_not_print(self):
        self.put(self.node, self.key, b"x")
        with open("/dev/full", "wb") as full:
            watching = self.node.zdb_start("watch", self.key, "--since", "0", "--exec",
                                           f"echo done >> {self.files / 'done'}", stdout=full)
            self.assertEqual(7, watching.wait(DEADLINE_S))
        self.assertEqual([], list(self.files.iterdir()))

    def test_messages_that_cannot_be_written_change_nothing_else(self):
        for i in range(20):
            self.file(f"in/{i}", content(i * KIB))
        (self.files / "in/link").symlink_to("nowhere")
        for words in (["put", "-r", self.files / "in", f"{self.key}/"],
                      ["get", "-r", f"{self.key}/", self.files / "out"]):
            with open("/dev/full", "wb") as full:
                self.assertEqual(0, self.node.zdb_start(*words, stderr=full).wait(DEADLINE_S))
        self.assertEqual({str(i) for i in range(20)}, {p.name for p in self.files.glob("out/*")})
        for name in range(20):
            (self.files / f"out/{name}").unlink()
            (self.files / f"out/{name}").mkdir()
        with open("/dev/full", "wb") as full:
            failing = self.node.zdb_start("get", "-r", f"{self.key}/", self.files / "out",
                                          stderr=full)
            self.assertEqual(1, failing.wait(DEADLINE_S))
        self.assertEqual([], list(self.files.rglob("*.part")))

    def test_a_path_that_cannot_be_looked_at_is_named(self):
        self.refused(1, self.node, "put", "n" * 300, says=["n: cannot be read: File name too long"])

    def test_a_get_into_a_folder_that_does_not_exist_says_so(self):
        self.put(self.node, self.key, b"x")
        self.refused(1, self.node, "get", self.key, self.files / "no/such/folder", says=["no/such"])


class Daemon(FreshMeshTest):
    """init, run, signals, logs."""

    def test_init_writes_a_commented_configuration_and_private_keys(self):
        node = self.mesh.init()
        config = (node.folder / "config.toml").read_text()
        self.assertRegex(config, r"(?m)^\s*#")
        self.assertRegex(config, r"(?m)^#?\s*listen\s*=")
        for path in node.folder.rglob("*"):
            if path.is_file() and path.name != "config.toml":
                self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode), path)
        self.assertEqual(0o700, stat.S_IMODE(node.folder.stat().st_mode))

    def test_a_restart_keeps_identity_and_objects(self):
        node = self.mesh.init().start()
        large = content(MIB)
        self.put(node, "small", b"kept")
        self.put(node, "large", large)
        self.put(node, "gone", b"x")
        self.ok(node, "rm", "gone")
        before = node.status()
        for stop in (node.stop, node.kill):
            stop()
            node.start()
            after = node.status()
            for field in ("mesh", "owner", "roster_version", "objects", "tombstones"):
                self.assertEqual(before[field], after[field], field)
            self.assertEqual(before["members"][0]["id"], after["members"][0]["id"])
            self.assertEqual(["large", "small"], self.keys(node))
            self.assertEqual((b"kept", large), (self.get(node, "small"), self.get(node, "large")))
            self.refused(3, node, "get", "gone", "-")

    def test_signals_end_it_cleanly(self):
        node = self.mesh.init()
        for sig in (signal.SIGTERM, signal.SIGINT):
            node.start()
            self.put(node, "key", b"x")
            self.assertEqual(0, node.stop(sig), node.log_tail())

    def test_a_signal_in_mid_transfer_ends_it_too(self):
        node = self.mesh.init().start()
        putting = node.zdb_start("put", "-", "key")
        putting.stdin.write(content(4 * MIB))
        putting.stdin.flush()
        eventually(lambda: node.status()["uploads"] == 1, "the put has begun")
        self.assertEqual(0, node.stop())
        putting.stdin.close()
        self.assertIn(putting.wait(DEADLINE_S), (1, 5))
        node.start()
        self.assertEqual([], node.temporaries())
        self.refused(3, node, "stat", "key")

    def test_the_service_manager_is_told(self):
        node = self.mesh.init()
        address = str(self.mesh.root / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(address)
            notified.settimeout(DEADLINE_S)
            node.start(env={"NOTIFY_SOCKET": address})
            self.assertIn(b"READY=1", notified.recv(4096))

    def test_json_logs_are_json(self):
        node = self.mesh.init().start("--log-json", "--log-level", "debug")
        self.put(node, 'odd "key"\n', b"x")
        self.refused(3, node, "get", 'no "such"\nkey', "-")
        node.stop()
        lines = node.log.read_text().splitlines()
        self.assertGreater(len(lines), 0)
        for line in lines:
            self.assertIsInstance(json.loads(line), dict)

    def test_a_configuration_that_cannot_be_is_named(self):
        node = self.mesh.init()
        config = node.folder / "config.toml"
        config.write_text(config.read_text() + "\nno_such_setting = 1\n")
        done = node.command("run")
        self.complained(1, done, ["no_such_setting", "config.toml"])
        config.write_text("listen = [broken")
        self.complained(1, node.command("run"), ["config.toml", "(?i)line"])


if __name__ == "__main__":
    main()

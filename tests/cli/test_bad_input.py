#!/usr/bin/python3
"""What bad names, files, data folders and passphrases get: a message, a code, nothing lost."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import termios

from harness import (BIN, DEADLINE_S, MIB, FreshMeshTest, MeshTest, content, environment,
                     eventually, main, on_a_terminal, run, ticket)
from wire import Refused, Wire


def with_passphrase(passphrase):
    """A file descriptor to read `passphrase` from, as options of a child."""
    read_end, write_end = os.pipe()
    os.write(write_end, passphrase.encode() + b"\n")
    os.close(write_end)
    return read_end


class OddKeys(MeshTest):
    ODD = ("../../x", "/etc/passwd", "..", ".", "a//b", "/", "trailing/", "line\nbreak", " spaces ",
           "tab\t", "👍🏽 emoji", "ä", "a\u0308", "-", "--", "\x01\x1b[31m", "k" * 1024, "%00", "\\",
           "*")

    def test_odd_keys_are_names_like_any_other(self):
        with Wire(self.node) as wire:  # zdb takes a name that ends in "/" for a prefix
            for number, key in enumerate(self.ODD):
                if key.endswith("/"):
                    wire.put(key, b"%d" % number)
                else:
                    self.ok(self.node, "put", self.file("f", b"%d" % number), "--", key)
        for number, key in enumerate(self.ODD):
            self.ok(self.node, "get", "--", key, self.files / "got")
            self.assertEqual(b"%d" % number, (self.files / "got").read_bytes(), repr(key))
            about = json.loads(self.ok(self.node, "stat", "--json", "--", key).out)
            self.assertEqual(key, about["key"])
        listed = self.keys(self.node)
        self.assertEqual(sorted(self.ODD, key=str.encode), listed)
        plain = "".join(f"{key}\n" for key in listed).encode()
        self.assertEqual(plain, self.ok(self.node, "ls").out)
        code, shown = on_a_terminal(lambda terminal: self.node.zdb_start("ls", stdout=terminal))
        self.assertEqual(0, code)
        self.assertEqual(len(self.ODD), len(shown.splitlines()), "a line a key")
        self.assertNotIn(b"\x1b", shown, "a key cannot steer the terminal")
        for key in self.ODD:
            self.ok(self.node, "rm", "--", key)
        self.assertEqual([], self.keys(self.node))


class Keys(MeshTest):
    def test_keys_that_cannot_be(self):
        source = self.file("source")
        for key, why in ((b"", "at least one"), (b"k" * 1025, "1024"), (b"\xff\xfe", "UTF-8"),
                         (b"a\xc0\xaf", "UTF-8"), (b"\xed\xa0\x80", "UTF-8")):
            for words in (("put", source, key), ("get", key, self.files / "got"), ("stat", key),
                          ("rm", key)):
                self.refused(2, self.node, *words, says=[why])
        self.assertEqual([source], list(self.files.iterdir()))

    def test_get_r_never_leaves_its_folder(self):
        out = self.files / "out"
        inside = {"t/ok", "t/sub/ok"}
        outside = {"t/../escaped", "t/../../escaped", "t//escaped", "t/a/../../../escaped", "t/..",
                   "t/sub/../../../escaped", f"t/{self.files}/escaped"}
        for key in inside | outside:
            self.put(self.node, key, key.encode())
        done = self.node.zdb("get", "-r", "t/", out)
        self.assertEqual(1, done.code, done)
        self.assertRegex(done.err, r"t/\.\./escaped")
        written = {str(p.relative_to(self.files)) for p in self.files.rglob("*") if p.is_file()}
        self.assertEqual({"out/ok", "out/sub/ok"}, written, "and all that can be had is had")
        self.assertFalse((self.mesh.root / "escaped").exists())

    def test_keys_that_are_a_file_and_a_folder_at_once(self):
        self.put(self.node, "both/a", b"file")
        self.put(self.node, "both/a/b", b"inner")
        done = self.node.zdb("get", "-r", "both/", self.files / "out")
        self.assertEqual(1, done.code)
        self.assertIn("out/a", done.err)

    def test_nothing_under_a_prefix_is_not_found(self):
        self.refused(3, self.node, "get", "-r", "no-such/", self.files / "out", says=["no-such/"])
        self.refused(3, self.node, "rm", "-r", "no-such/", says=["no-such/"])
        self.refused(3, self.node, "rm", "no-such", says=["no-such"])
        self.refused(3, self.node, "stat", "no-such", says=["no-such"])


class Files(MeshTest):
    def test_a_missing_file(self):
        self.refused(1, self.node, "put", self.files / "missing", self.key, says=["missing"])
        self.refused(3, self.node, "stat", self.key)

    def test_one_missing_file_among_many_stops_none_of_the_others(self):
        paths = [self.file("one", b"1"), self.files / "missing", self.file("two", b"2")]
        self.refused(1, self.node, "put", *paths, "many/", says=["missing"])
        self.assertEqual(["many/one", "many/two"], self.keys(self.node, "many/"))

    def test_a_folder_without_r(self):
        (self.files / "folder").mkdir()
        self.refused(2, self.node, "put", self.files / "folder", self.key, says=["folder", "-r"])
        self.refused(2, self.node, "put", "-r", self.file("plain"), "x/", says=["plain"])

    def test_a_file_without_permission(self):
        path = self.file("secret")
        path.chmod(0)
        words = self.node.zdb_words("put", path, self.key)
        if os.geteuid() == 0:  # as root, but without root's powers
            words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]
        done = run(words, env=environment(self.mesh.root))
        self.complained(1, done, ["secret", "(?i)permission"])
        self.refused(3, self.node, "stat", self.key)

    def test_a_file_that_fails_in_mid_read(self):
        self.refused(1, self.node, "put", "/proc/self/mem", self.key, says=["/proc/self/mem"])
        self.refused(3, self.node, "stat", self.key)
        eventually(lambda: self.node.status()["uploads"] == 0, "the upload is dropped")

    def test_files_whose_size_is_not_what_stat_says(self):
        self.ok(self.node, "put", "/proc/version", self.key)
        with open("/proc/version", "rb") as version:
            self.assertEqual(version.read(), self.get(self.node, self.key))

    def test_a_fifo_is_read_as_a_file(self):
        fifo = self.files / "fifo"
        os.mkfifo(fifo)
        putting = self.node.zdb_start("put", fifo, self.key)
        with open(fifo, "wb") as end:
            end.write(content(MIB))
        self.assertEqual(0, putting.wait(60))
        self.assertEqual(content(MIB), self.get(self.node, self.key))

    def test_a_file_that_cannot_be_written(self):
        self.put(self.node, self.key, b"x")
        (self.files / "folder").mkdir()
        self.file("folder/keep")
        self.refused(1, self.node, "get", self.key, self.files / "plain" / "below",
                     says=["plain"])
        self.file("plain")
        self.refused(1, self.node, "get", self.key, self.files / "plain" / "below",
                     says=["plain"])

    def test_a_full_disk_under_get_leaves_nothing(self):
        self.put(self.node, self.key, content(3 * MIB))
        words = self.node.zdb_words("get", self.key, self.files / "got")
        for ignored in ("trap '' XFSZ; ", ""):
            limited = ["bash", "-c", ignored + 'ulimit -f 1024; exec "$@"', "bash", *words]
            done = run(limited, env=environment(self.mesh.root))  # fails after 1 MiB
            self.complained(1, done, ["got"])
            self.assertEqual([], list(self.files.iterdir()))
        with open("/dev/full", "wb") as full:
            getting = self.node.zdb_start("get", self.key, "-", stdout=full)
            _, err = getting.communicate(timeout=60)
        self.assertEqual(7, getting.returncode)
        self.assertRegex(err.decode(), "(?i)no space")

    def test_a_get_whose_messages_nobody_reads_leaves_nothing_unfinished(self):
        self.put(self.node, f"{self.key}/../up", b"")  # has no place in a folder
        self.put(self.node, f"{self.key}/large", content(20 * MIB))
        nobody, its_end = os.pipe()
        os.close(nobody)
        getting = self.node.zdb_start("get", "-r", f"{self.key}/", self.files / "out",
                                      stdout=its_end, stderr=its_end)
        os.close(its_end)
        self.assertGreater(getting.wait(DEADLINE_S), 0)
        self.assertEqual(["large"], [path.name for path in (self.files / "out").iterdir()])

    def test_what_the_shell_appends_to_is_not_replaced(self):
        self.put(self.node, self.key, b"content")
        log = self.file("log", b"before, ")
        for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "-"):
            with open(log, "ab") as end:
                getting = self.node.zdb_start("get", self.key, name, stdout=end)
            self.assertEqual(0, getting.wait(DEADLINE_S), name)
        self.assertEqual(b"before, " + 4 * b"content", log.read_bytes())
        self.refused(1, self.node, "get", self.key, "/dev/fd/999", says=["/dev/fd/999"])

    def test_receipts_replace_nothing_that_is_put(self):
        deed = self.file("deed", b"content")
        self.refused(2, self.node, "put", deed, self.key, "--receipts", deed, says=["--receipts"])
        self.refused(2, self.node, "put", deed, self.key, "--receipts", "", says=["--receipts"])
        self.assertEqual(b"content", deed.read_bytes())
        self.assertNotIn(self.key, self.keys(self.node))


class DataFolders(FreshMeshTest):
    def test_no_node_runs_there(self):
        node = self.mesh.init()
        for folder in (node.folder, self.files / "nowhere"):
            for words in (("ls",), ("put", self.file("f"), "k"), ("get", "k", "-"), ("status",)):
                done = run([BIN / "zdb", "--node", folder, *words],
                           env=environment(self.mesh.root))
                self.complained(5, done, [re.escape(str(folder)), "zerodb-node (run|init)"])

    def test_a_node_that_died_leaves_its_socket_and_is_told_apart(self):
        node = self.mesh.init().start()
        node.kill()
        self.refused(5, node, "ls", says=["zerodb-node run"], timeout_s=30)
        node.start()
        self.assertEqual([], self.keys(node))

    def test_init_twice_is_refused_and_changes_nothing(self):
        node = self.mesh.init()
        before = {p: p.read_bytes() for p in node.folder.rglob("*") if p.is_file()}
        for words in (("init",), ("init", "--blind"), ("join", "zdb1-nonsense")):
            self.complained(1, node.command(*words), [re.escape(str(node.folder)), "already"])
        self.assertEqual(before, {p: p.read_bytes() for p in node.folder.rglob("*") if p.is_file()})

    def test_a_folder_with_other_things_in_it(self):
        node = self.mesh.node()
        node.folder.mkdir()
        (node.folder / "thesis.txt").write_text("mine")
        self.complained(1, node.command("init"), [re.escape(str(node.folder)), "(?i)empty"])
        self.complained(1, node.command("run"), [re.escape(str(node.folder)), "init|join"])
        self.assertEqual(["thesis.txt"], os.listdir(node.folder))

    def test_run_without_init(self):
        node = self.mesh.node()
        self.complained(1, node.command("run"), [re.escape(str(node.folder)), "init|join"])
        self.assertFalse(node.folder.exists())
        node.folder.write_text("a file")
        for verb in ("run", "init"):
            self.complained(1, node.command(verb), [re.escape(str(node.folder))])

    def test_a_folder_in_use(self):
        node = self.mesh.init().start()
        self.put(node, "key", b"x")
        self.complained(1, node.command("run"), [re.escape(str(node.folder)), "in use"])
        self.assertEqual(b"x", self.get(node, "key"), "the first one is not disturbed")

    def test_an_address_in_use(self):
        node = self.mesh.init().start()
        endpoint = node.status()["members"][0]["endpoint"].removeprefix("tcp://")
        other = self.mesh.node()
        other.command("init", "--listen", endpoint)
        self.complained(1, other.command("run"), [re.escape(endpoint), "(?i)in use|listen"])

    def test_a_newer_format(self):
        node = self.mesh.init()
        marked = [p for p in node.folder.rglob("*") if p.is_file() and p.name.lower() == "format"]
        self.assertEqual(1, len(marked), "FORMAT.md says where the format's number stands")
        text = marked[0].read_text()
        marked[0].write_text(re.sub(r"\d+", lambda m: str(int(m[0]) + 1), text))
        self.complained(1, node.command("run"), [re.escape(str(node.folder)), "(?i)newer"])
        marked[0].write_text(text)
        node.start()

    def test_a_path_too_long_for_a_socket(self):
        node = self.mesh.node("n" * 100)
        done = node.command("init", "--name", "long", "--listen", "127.0.0.1:0")
        if done.code == 0:
            done = node.command("run")
        self.complained(1, done, [re.escape(str(node.folder)), "(?i)long|shorter", r"\d+"])
        self.refused(1, node, "ls", says=["(?i)long|shorter"])

    def test_damaged_older_rosters_matter_only_where_there_are_others(self):
        node = self.mesh.init().start()
        self.put(node, "key", b"x")
        older = node.folder / "older.rosters"

        def damage():
            node.stop()
            older.write_bytes(b"damaged")
            older.chmod(0o600)

        damage()
        node.start()
        self.assertEqual(b"x", self.get(node, "key"))
        self.mesh.join(ticket(node))
        damage()
        self.complained(6, node.command("run"), [re.escape(str(older)), "another node"])

    def test_a_node_without_stderr_writes_its_log_into_no_file(self):
        node = self.mesh.init()
        node.start(under=("sh", "-c", 'exec "$@" 2>&-', "sh"))
        self.put(node, "key", b"x")
        node.stop()
        self.assertEqual(f"{node.process.pid}\n", (node.folder / "LOCK").read_text())

    def test_a_key_file_that_others_may_read(self):
        node = self.mesh.init()
        key_file = next(p for p in node.folder.rglob("*") if p.name.startswith("owner"))
        key_file.chmod(0o644)
        self.complained(4, node.command("run"), [re.escape(str(key_file)), "0?600"])

    def test_a_damaged_key_file(self):
        node = self.mesh.init()
        key_file = next(p for p in node.folder.rglob("*") if p.name.startswith("owner"))
        data = bytearray(key_file.read_bytes())
        data[len(data) // 2] ^= 1
        key_file.write_bytes(data)
        done = self.complained(6, node.command("run"), [re.escape(str(key_file))])
        self.assertNotIn(data[-16:].hex(), done.err)
        key_file.write_bytes(data[:7])
        self.complained(6, node.command("run"), [re.escape(str(key_file))])


class Passphrases(FreshMeshTest):
    def init_locked(self):
        descriptor = with_passphrase("correct horse")
        try:
            return self.mesh.init("--passphrase-fd", str(descriptor), pass_fds=[descriptor])
        finally:
            os.close(descriptor)

    def run_with(self, node, passphrase):
        descriptor = with_passphrase(passphrase)
        try:
            node.start("--passphrase-fd", str(descriptor), wait=False, pass_fds=[descriptor])
        finally:
            os.close(descriptor)

    def test_a_locked_owner_opens_with_the_passphrase_only(self):
        node = self.init_locked()
        self.run_with(node, "correct horse")
        eventually(node.is_ready, "the node is ready")
        self.put(node, "key", b"x")
        node.stop()
        said = len(node.log.read_text())
        self.run_with(node, "wrong horse")
        self.assertEqual(4, node.process.wait(60))
        self.assertRegex(node.log.read_text()[said:], "(?i)passphrase")
        self.assertNotIn("wrong horse", node.log.read_text())
        self.run_with(node, "correct horse")
        eventually(node.is_ready, "the node is ready again")
        self.assertEqual(b"x", self.get(node, "key"))

    def test_a_locked_owner_without_a_passphrase_or_terminal(self):
        node = self.init_locked()
        self.complained(2, node.command("run", stdin=b""), ["(?i)passphrase", "--passphrase-fd"])

    def test_the_seed_is_not_on_disk_in_the_clear(self):
        locked, clear = self.init_locked(), self.mesh.init()
        size = {n: next(p for p in n.folder.rglob("*") if p.name.startswith("owner")).stat().st_size
                for n in (locked, clear)}
        self.assertNotEqual(size[locked], size[clear])

    def test_a_descriptor_that_is_not_open(self):
        node = self.mesh.node()
        self.complained(2, node.command("init", "--passphrase-fd", "77"), ["77"])
        self.assertFalse(node.folder.exists())


class PassphraseAsked(FreshMeshTest):
    """On a terminal of its own, as a person is asked."""

    def setUp(self):
        super().setUp()
        self.terminal, self.its_end = pty.openpty()
        self.addCleanup(os.close, self.terminal)
        self.addCleanup(os.close, self.its_end)
        self.shown = b""

    def begin(self):
        node = self.mesh.node()

        def take_terminal():
            fcntl.ioctl(self.its_end, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            [BIN / "zerodb-node", "init", "--passphrase", "--data", node.folder, "--name", "n"],
            stdin=self.its_end, stdout=self.its_end, stderr=self.its_end, start_new_session=True,
            preexec_fn=take_terminal, env=environment(self.mesh.root))
        self.mesh.others.append(process)
        return node, process

    def wait_for(self, prompt, times=1):
        def is_shown():
            while select.select([self.terminal], [], [], 0)[0]:
                self.shown += os.read(self.terminal, 4096)
            return self.shown.count(prompt) >= times

        eventually(is_shown, f"{prompt} is shown {times} times")

    def echoes(self):
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    def test_an_interrupted_prompt_leaves_the_terminal_as_it_was(self):
        for end in (lambda process: os.write(self.terminal, b"half\x03"),  # Ctrl-C
                    lambda process: process.send_signal(signal.SIGTERM)):
            self.shown = b""
            node, process = self.begin()
            self.wait_for(b"New passphrase")
            self.assertFalse(self.echoes())
            end(process)
            self.assertIn(process.wait(DEADLINE_S), (-signal.SIGINT, -signal.SIGTERM))
            self.assertTrue(self.echoes())
            self.assertFalse(node.folder.exists())

    def test_who_was_stopped_is_asked_again(self):
        node, process = self.begin()
        self.wait_for(b"New passphrase")
        process.send_signal(signal.SIGTSTP)  # of no effect without a shell, but noticed
        self.wait_for(b"New passphrase", times=2)
        os.write(self.terminal, b"correct horse\n")
        self.wait_for(b"The same again")
        os.write(self.terminal, b"correct horse\n")
        self.wait_for(b"Founded a mesh")
        self.assertEqual(0, process.wait(DEADLINE_S))
        self.assertTrue(self.echoes())
        self.assertNotIn(b"horse", self.shown)
        self.assertTrue((node.folder / "owner.key").exists())


class OwnerKeys(FreshMeshTest):
    """The recovery text."""

    def setUp(self):
        super().setUp()
        self.first = self.mesh.init().start()
        done = self.first.zdb("owner", "export")
        self.assertEqual(0, done.code, done)
        self.assertIn("paper", done.err)
        self.text = done.out.decode()

    def test_another_node_reads_everything_after_import(self):
        second = self.mesh.join(ticket(self.first)).start()
        self.mesh.wait_linked()
        self.put(self.first, "mine", b"x")
        self.refused(3, second, "get", "mine", "-")
        done = second.zdb("owner", "import", stdin=self.text.encode())
        self.assertNotEqual(0, done.code, "a key that is there is not replaced unasked")
        self.assertRegex(done.err, "--replace")
        self.ok(second, "owner", "import", "--replace", stdin=self.text.encode())
        self.assertEqual(self.first.status()["owner"], second.status()["owner"])
        self.assertEqual(b"x", self.get(second, "mine"))
        second.stop()
        second.start()
        self.mesh.wait_linked()
        self.assertEqual(b"x", self.get(second, "mine"))

    def test_an_upload_under_way_is_not_acknowledged_for_the_owner_put_aside(self):
        second = self.mesh.join(ticket(self.first)).start()
        self.mesh.wait_linked()
        with Wire(second) as wire:
            upload, _ = wire.ask("put", key="between")
            wire.ask("put_data", b"x", upload=upload["upload"], offset=0)
            self.ok(second, "owner", "import", "--replace", stdin=self.text.encode())
            self.assertRaisesRegex(Refused, "denied", wire.ask, "put_end",
                                   upload=upload["upload"], size=1)
        self.refused(3, second, "get", "between", "-")

    def test_a_mistyped_character_is_named(self):
        letters = [i for i, c in enumerate(self.text) if c.isalnum()][-60:]
        for at in (letters[0], letters[31], letters[59]):
            wrong = "2" if self.text[at] != "2" else "3"
            typed = self.text[:at] + wrong + self.text[at + 1:]
            self.refused(1, self.first, "owner", "import", "--replace", stdin=typed.encode(),
                         says=[r"(?i)row \d", r"(?i)group \d", r"(?i)character \d"])
        for typed in ("", "hello", self.text[:-10], self.text * 2, "\0\xff"):
            self.refused(1, self.first, "owner", "import", "--replace",
                         stdin=typed.encode("latin1"))
        shouted = self.text.lower().replace("-", " ")
        self.ok(self.first, "owner", "import", "--replace", stdin=shouted.encode())

    def test_a_secret_goes_to_a_file_of_its_user_alone(self):
        for words in (["owner", "export"], ["mesh", "export"], ["invite", "--share-owner"]):
            for path in (self.files / f"new {words[0]}", self.file(f"old {words[0]}", b"old")):
                done = self.first.zdb(*words, "--output", path, umask=0)
                self.assertEqual((0, b""), (done.code, done.out), done)
                self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode), path)
        self.assertEqual(self.text, (self.files / "new owner").read_text())
        self.mesh.join((self.files / "old invite").read_text().strip())
        self.refused(1, self.first, "owner", "export", "--output", "no/such/file", says=["no/such"])
        self.refused(2, self.first, "owner", "export", "--output", "", says=["--output"])

    def test_the_export_is_nowhere_in_logs(self):
        groups = re.findall(r"[A-Z0-9]{5}", self.text)
        self.first.stop()
        for path in self.mesh.root.rglob("*"):
            if path.is_file():
                self.assertNotIn(groups[-1].encode(), path.read_bytes(), path)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""zdb share and zdb get LINK, between two owners of one mesh."""

from harness import DEADLINE_S, MIB, MeshTest, content, eventually, main, ticket


class Share(MeshTest):
    """n1 and n2 are gateways of one owner, n3 of another."""

    size = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.mesh.join(ticket(cls.node), name="n3").start()
        cls.mesh.wait_linked()
        cls.mesh.wait_settled()

    def link(self, key, *words):
        link = self.ok(self.node, "share", key, *words).out.decode().strip()
        self.assertRegex(link, r"\Azdbshare1-[\w-]+\Z")
        return link

    def test_another_owner_reads_by_a_link_and_not_without(self):
        for size in (0, 1000, 3 * MIB + 5):
            data, key = content(size), f"{self.key}/{size}.bin"
            self.put(self.node, key, data)
            link = self.link(key)
            self.assertEqual(data, self.ok(self.other, "get", link, "-").out)
            self.refused(3, self.other, "get", key, "-", says=["no such object"])

    def test_without_a_path_the_file_is_called_as_the_owner_called_it(self):
        self.put(self.node, "films/last one.mkv", b"moving pictures")
        self.ok(self.other, "get", self.link("films/last one.mkv"), cwd=self.files)
        self.assertEqual(b"moving pictures", (self.files / "last one.mkv").read_bytes())

    def test_the_name_in_a_link_replaces_no_file_and_hides_none(self):
        mine = self.file("name", b"mine")
        self.file("folder/name", b"mine")
        (self.files / "dangling").symlink_to("elsewhere")
        self.put(self.node, "a/name", b"theirs")
        self.put(self.node, "a/dangling", b"theirs")
        for key, to, code, says in (("a/name", (), 1, "name: is there already; name a PATH"),
                                    ("a/name", ["folder"], 1, "folder/name: is there already"),
                                    ("a/dangling", (), 1, "dangling: is there already"),
                                    ("a/.profile", (), 2, "hidden.*zdb get LINK PATH"),
                                    ("a/.profile", ["folder"], 2, "hidden")):
            self.put(self.node, key, b"theirs")
            self.refused(code, self.other, "get", self.link(key), *to, cwd=self.files, says=[says])
        names = {str(p.relative_to(self.files)) for p in self.files.rglob("*")}
        self.assertEqual({"name", "folder", "folder/name", "dangling"}, names)
        self.assertEqual(b"mine", mine.read_bytes())
        self.ok(self.other, "get", self.link("a/name"), "name", cwd=self.files)
        self.assertEqual(b"theirs", mine.read_bytes())

    def test_a_file_that_appears_meanwhile_is_not_replaced(self):
        data = content(64 * MIB)
        self.put(self.node, f"{self.key}/late", data)
        link, late = self.link(f"{self.key}/late"), self.files / "late"

        def beaten():
            """Whether the file came to be between the beginning and the end."""
            late.unlink(missing_ok=True)
            getting = self.other.zdb_start("get", link, cwd=self.files)
            while getting.poll() is None and not list(self.files.iterdir()):
                pass
            try:
                with open(late, "xb") as mine:
                    mine.write(b"mine")
            except FileExistsError:
                return False
            _, said = getting.communicate(timeout=DEADLINE_S)
            self.assertEqual(1, getting.returncode, said)
            self.assertIn(b"late: is there already", said)
            return True

        eventually(beaten, "a file appears while one is fetched")
        self.assertEqual([late], list(self.files.iterdir()))
        self.assertEqual(b"mine", late.read_bytes())

    def test_a_name_that_is_a_dash_is_a_file(self):
        self.put(self.node, "a/-", b"dashed")
        for node, word in ((self.node, "a/-"), (self.other, self.link("a/-"))):
            self.assertEqual(b"", self.ok(node, "get", word, cwd=self.files).out)
            self.assertEqual(b"dashed", (self.files / "-").read_bytes())
            (self.files / "-").unlink()

    def test_a_range_of_it(self):
        data = content(2 * MIB)
        self.put(self.node, self.key, data)
        part = self.ok(self.other, "get", self.link(self.key), "-", "--range", "1048570-1048580")
        self.assertEqual(data[1048570:1048581], part.out)

    def test_it_ends_with_its_version(self):
        self.put(self.node, self.key, b"first")
        link = self.link(self.key)
        self.put(self.node, self.key, b"second")
        self.refused(3, self.other, "get", link, "-", says=["deleted or replaced"])

    def test_what_is_no_link_or_a_damaged_one(self):
        self.put(self.node, self.key, b"data")
        link = self.link(self.key)
        self.refused(1, self.other, "get", link[:-9], "-", says=["cut or altered"])
        self.refused(1, self.other, "get", "zdbshare1-", "-", says=["cut or altered"])

    def test_what_cannot_be_shared(self):
        self.refused(3, self.node, "share", "nothing/here", says=["no such object"])
        self.refused(2, self.node, "share", "")
        self.refused(2, self.node, "share", "a", "--expires", "soon", says=["no duration"])


if __name__ == "__main__":
    main()

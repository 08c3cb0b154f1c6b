#!/usr/bin/python3
"""zdb share and zdb get LINK, between two owners of one mesh."""

from harness import MIB, MeshTest, content, main, ticket


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

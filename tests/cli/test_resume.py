#!/usr/bin/python3
"""Large transfers over connections that are lost, on real daemons."""

import zmq

from harness import MIB, MeshTest, content, eventually, main
from wire import Refused, Wire


class Resume(MeshTest):
    size = 3

    def begin(self, wire, data, **fields):
        """An upload of which the first six chunks were sent."""
        upload, _ = wire.ask("put", key=self.key, size=len(data), **fields)
        for offset in range(0, 6 * MIB, MIB):
            wire.ask("put_data", data[offset:offset + MIB], upload=upload["upload"], offset=offset)
        return upload

    def test_an_upload_goes_on_over_another_connection(self):
        data = content(12 * MIB + 5)
        with Wire(self.node) as lost:
            began = self.begin(lost, data, resumable=True, attributes={"try": "2"})
        with Wire(self.node, zmq.REQ) as wire:
            upload, _ = wire.ask("put_resume", resume=began["resume"])
            self.assertEqual(6 * MIB, upload["offset"])
            for offset in range(upload["offset"], len(data), MIB):
                wire.ask("put_data", data[offset:offset + MIB], upload=upload["upload"],
                         offset=offset)
            wire.ask("put_end", upload=upload["upload"], size=len(data))
            with self.assertRaisesRegex(Refused, "not_found"):
                wire.ask("put_resume", resume=began["resume"])
        self.assertEqual(data, self.get(self.nodes[2], self.key))

    def test_an_upload_that_is_not_resumable_goes_with_its_connection(self):
        with Wire(self.node) as lost:
            self.begin(lost, content(12 * MIB))
            self.assertTrue(any(node.temporaries() for node in self.nodes))
        eventually(lambda: not any(node.temporaries() for node in self.nodes), "space returns")
        self.refused(3, self.node, "stat", self.key)

    def test_a_download_goes_on_from_where_it_was(self):
        data = content(9 * MIB + 1)
        self.put(self.node, self.key, data)
        with Wire(self.node) as lost:
            about, _ = lost.ask("get", key=self.key)
            got = b"".join(lost.ask("get_data", download=about["download"], offset=offset,
                                    length=MIB)[1] for offset in range(0, 4 * MIB, MIB))
        with Wire(self.nodes[1]) as wire:  # any gateway will do
            again, _ = wire.ask("get", key=self.key, first=len(got))
            self.assertEqual(about["version"], again["version"])
            for offset in range(len(got), len(data), MIB):
                got += wire.ask("get_data", download=again["download"], offset=offset,
                                length=MIB)[1]
        self.assertEqual(data, got)


if __name__ == "__main__":
    main()

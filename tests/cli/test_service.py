#!/usr/bin/python3
"""A node under the limits of packaging/zerodb.service that this test can set by itself."""

import ctypes
import os
import pathlib
import platform
import re
import socket
import struct
import sys
import unittest

from harness import FreshMeshTest, main

UNIT = pathlib.Path(__file__).resolve().parents[2] / "packaging/zerodb.service"
SYS_SOCKET = 41  # of x86_64


def families():
    """The address families that the unit allows."""
    names = re.search(r"(?m)^RestrictAddressFamilies=(.*)$", UNIT.read_text()).group(1).split()
    return [getattr(socket, name) for name in names]


def allow_only(families):
    """From now on, here and in what is started: socket() of others fails with EAFNOSUPPORT."""
    load, jump_if_equal, end = 0x20, 0x15, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000 | 97
    number, family = 0, 16  # offsets in struct seccomp_data
    rules = [(load, 0, 0, number), (jump_if_equal, 0, len(families) + 2, SYS_SOCKET),
             (load, 0, 0, family)]
    rules += [(jump_if_equal, len(families) - i, 0, one) for i, one in enumerate(families)]
    rules += [(end, 0, 0, refuse), (end, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    if (libc.prctl(set_no_new_privileges, 1, 0, 0, 0) != 0
            or libc.prctl(set_seccomp, filter_mode, program, 0, 0) != 0):
        sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")


@unittest.skipUnless(platform.machine() == "x86_64", "SKIPPED: the filter is for x86_64")
class Service(FreshMeshTest):
    def test_a_node_runs_with_the_address_families_of_the_unit(self):
        node, = self.mesh.grow(1)
        node.stop()
        node.start(under=[sys.executable, __file__, "--under"])
        self.put(node, "key", b"content")
        self.assertEqual(b"content", self.get(node, "key"))
        node.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--under"]:
        allow_only(families())
        os.execvp(sys.argv[2], sys.argv[2:])
    main()

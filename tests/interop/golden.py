#!/usr/bin/python3
"""Decodes every golden header of tests/vectors/headers.txt, prints what it holds in one line, and
fails if it does not encode to the same bytes again. golden.mjs does the same in JavaScript, and
prints the same."""

import json
import sys

import msgpack


def shown(value):
    """As JSON, but integers of any size, and bytes as h'01ff'."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{shown(k)}:{shown(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(shown, value)) + "]"
    if isinstance(value, bytes):
        return f"h'{value.hex()}'"
    return json.dumps(value, ensure_ascii=False)


for line in open(sys.argv[1], encoding="utf-8"):
    if line.startswith("#"):
        continue
    kind, name, header = line.split()
    fields = msgpack.unpackb(bytes.fromhex(header))
    again = msgpack.packb(fields).hex()
    if again != header:
        sys.exit(f"{kind} {name} is encoded as {again}, not as {header}")
    print(kind, name, shown(fields))

#!/usr/bin/env python3
"""Makes core.json: what the core of store/ must produce, accept and refuse.

It follows store/FORMAT.md with nothing but Python's standard library and shares no code with zerodb, so
that agreement of the two means that the document is right. Run it only when the format gains
something; existing vectors never change: `tests/vectors/core_vectors.py > tests/vectors/core.json`.
"""

import hashlib
import json
import struct

# ------------------------------------------------------------------ BLAKE2b, Ed25519 (RFC 8032)


def blake2b(domain, message, key=b"", salt=b""):
    return hashlib.blake2b(message, digest_size=32, key=key, salt=salt, person=domain).digest()


P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def point_add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def point_times(k, p):
    q = (0, 1, 1, 0)
    while k > 0:
        if k & 1:
            q = point_add(q, p)
        p = point_add(p, p)
        k >>= 1
    return q


def base_point():
    y = 4 * pow(5, P - 2, P) % P
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    x = P - x if x % 2 else x
    return (x, y, 1, x * y % P)


BASE = base_point()


def point_bytes(p):
    z = pow(p[2], P - 2, P)
    x, y = p[0] * z % P, p[1] * z % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def number(data):
    return int.from_bytes(data, "little")


def signing_scalar(seed):
    digest = hashlib.sha512(seed).digest()
    return (number(digest[:32]) & (1 << 254) - 8 | 1 << 254), digest[32:]


def public_key(seed):
    return point_bytes(point_times(signing_scalar(seed)[0], BASE))


def sign(seed, message):
    a, prefix = signing_scalar(seed)
    r = number(hashlib.sha512(prefix + message).digest()) % L
    big_r = point_bytes(point_times(r, BASE))
    h = number(hashlib.sha512(big_r + public_key(seed) + message).digest()) % L
    return big_r + ((r + h * a) % L).to_bytes(32, "little")


# ------------------------------------------------------- XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha)


def rotate(x, n):
    return (x << n | x >> 32 - n) & 0xFFFFFFFF


def quarter(s, a, b, c, d):
    for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        s[z] = rotate(s[z] ^ s[x], n)


def chacha_rounds(key, counter_and_nonce):
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + counter_and_nonce))
    work = state[:]
    for _ in range(10):
        for i in range(4):
            quarter(work, i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter(work, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return state, work


def chacha_block(key, counter, nonce):
    state, work = chacha_rounds(key, struct.pack("<I", counter) + nonce)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, work)))


def poly1305(key, message):
    r = number(key[:16]) & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(message), 16):
        total = (total + number(message[i : i + 16] + b"\1")) * r % (2**130 - 5)
    return ((total + number(key[16:])) % 2**128).to_bytes(16, "little")


def pad16(data):
    return data + bytes(-len(data) % 16)


def seal(key, nonce, associated, plain):
    _, work = chacha_rounds(key, nonce[:16])
    subkey = struct.pack("<8I", *work[:4], *work[12:])
    nonce = bytes(4) + nonce[16:]
    stream = b"".join(chacha_block(subkey, i + 1, nonce) for i in range(-(-len(plain) // 64)))
    text = bytes(a ^ b for a, b in zip(plain, stream))
    lengths = struct.pack("<QQ", len(associated), len(text))
    tag = poly1305(chacha_block(subkey, 0, nonce)[:32], pad16(associated) + pad16(text) + lengths)
    return text + tag


# --------------------------------------------------------------------------------------- msgpack


def pack(value):
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, int):
        if -32 <= value < 128:
            return struct.pack("b", value)
        for code, form in zip(b"\xcc\xcd\xce\xcf" if value > 0 else b"\xd0\xd1\xd2\xd3", "BHIQ"):
            size = struct.calcsize(form) * 8
            if value < 1 << size if value > 0 else -value <= 1 << size - 1:
                return bytes([code]) + struct.pack(">" + (form if value > 0 else form.lower()), value)
    if isinstance(value, str):
        text = value.encode()
        head = bytes([0xA0 | len(text)]) if len(text) < 32 else bytes([0xD9, len(text)])
        return head + text
    if isinstance(value, bytes):
        small = len(value) < 256
        return struct.pack(">BB" if small else ">BH", 0xC4 if small else 0xC5, len(value)) + value
    return bytes([0x80 | len(value)]) + b"".join(pack(k) + pack(v) for k, v in value.items())


# ---------------------------------------------------------------------------------- zerodb's own


def subkey(seed, index):
    return blake2b(b"zerodb__", b"", key=seed, salt=struct.pack("<Q", index))


class Owner:
    def __init__(self, seed):
        self.seed = seed
        self.signing, self.name, self.wrap, self.catalogue = (subkey(seed, i) for i in (1, 2, 3, 4))
        self.id = public_key(self.signing)

    def hashed_key(self, name):
        return blake2b(b"zerodb name", name.encode(), key=self.name)

    def signed(self, body):
        return body + sign(self.signing, b"zerodb manifest v1" + body)


def chunk_nonce(index, last):
    return bytes(15) + bytes([last]) + struct.pack(">Q", index)


def root_of(leaves):
    return blake2b(b"zerodb root", b"".join(leaves) + struct.pack(">Q", len(leaves)))


def private_plain(content_key, described):
    encoded = pack(described)
    plain = content_key + struct.pack(">H", len(encoded)) + encoded
    return plain + bytes(-len(plain) % 64)


def key_file(magic, kind, body):
    head = magic + bytes([1, kind]) + body
    return head + blake2b(b"zerodb key file", head)


ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def times(a, b):
    product = 0
    for i in range(5):
        product ^= (a << i) * (b >> i & 1)
    for i in range(8, 4, -1):
        product ^= (0b100101 << i - 5) * (product >> i & 1)
    return product


def codeword(data):
    """The two check symbols that make the polynomial zero at 1 and at 2, found by trying all."""
    for check in range(1024):
        row = data + [check >> 5, check & 31]
        at_1 = at_2 = 0
        for symbol in row:
            at_1, at_2 = at_1 ^ symbol, times(at_2, 2) ^ symbol
        if at_1 == at_2 == 0:
            return row


def recovery_text(seed):
    payload = seed + blake2b(b"zerodb recovery", seed)[:3]
    bits = "".join(f"{byte:08b}" for byte in payload)
    symbols = [int(bits[i : i + 5], 2) for i in range(0, 280, 5)]
    rows = (codeword(symbols[:28]), codeword(symbols[28:]))
    text = ("".join(ALPHABET[s] for s in row) for row in rows)
    return "\n".join(" ".join(row[i : i + 5] for i in range(0, 30, 5)) for row in text)


# --------------------------------------------------------------------------------------- vectors


def run(first, count):
    return bytes((first + i) % 256 for i in range(count))


NAME = "letters/äpfel & birnen.txt"


def chunks_of(key, associated, plains):
    chunks = []
    for index, plain in enumerate(plains):
        last = index + 1 == len(plains)
        sealed = seal(key, chunk_nonce(index, last), associated, plain)
        chunks.append({"plain": plain, "last": last, "sealed": sealed, "leaf": blake2b(b"zerodb leaf", sealed)})
    return chunks


def object_fields(owner, content_key, blob_id, chunks):
    key = owner.hashed_key(NAME)
    described = {
        "name": NAME,
        "media_type": "text/plain",
        "mtime_ms": -1,
        "attributes": {"colour": "red", "empty": ""},
    }
    nonce = run(0x80, 24)
    sealed = nonce + seal(owner.wrap, nonce, owner.id + key + blob_id, private_plain(content_key, described))
    return {
        "format": 1,
        "owner": owner.id,
        "hashed_key": key,
        "version": 1795429230123 << 16 | 4,
        "kind": 0,
        "blob_id": blob_id,
        "size": len(chunks[0]["plain"]),
        "chunk_bytes": 1 << 20,
        "chunk_count": 1,
        "root": root_of([chunks[0]["leaf"]]),
        "layout": {"replicas": 3},
        "key_commitment": blake2b(b"zerodb commit", blob_id, key=content_key),
        "sealed": sealed,
    }


def tombstone_fields(owner, blob_id):
    key = owner.hashed_key(NAME)
    nonce = run(0xA0, 24)
    plain = private_plain(bytes(32), {"name": NAME, "media_type": "", "attributes": {}})
    return {
        "format": 1,
        "owner": owner.id,
        "hashed_key": key,
        "version": 1795429230124 << 16,
        "kind": 1,
        "blob_id": blob_id,
        "size": 0,
        "chunk_bytes": 1 << 20,
        "chunk_count": 0,
        "root": bytes(32),
        "layout": {"replicas": 3},
        "key_commitment": bytes(32),
        "sealed": nonce + seal(owner.wrap, nonce, owner.id + key + blob_id, plain),
    }


def refused_manifests(owner, good):
    """All properly signed unless it says otherwise."""

    def changed(**fields):
        return owner.signed(pack({**good, **fields}))

    def without(name):
        return owner.signed(pack({k: v for k, v in good.items() if k != name}))

    body = pack(good)
    stranger = Owner(run(0x60, 32))
    yield "signed by another owner", body + sign(stranger.signing, b"zerodb manifest v1" + body), "corrupt"
    yield "signed without the domain", body + sign(owner.signing, body), "corrupt"
    yield "signature of zeros", body + bytes(64), "corrupt"
    yield "owner and signature of small order", pack({**good, "owner": b"\1" + bytes(31)}) + b"\1" + bytes(63), "corrupt"
    for name in good:
        yield f"without {name}", without(name), "invalid"
    yield "trailing byte after the map", owner.signed(body + b"\0"), "invalid"
    yield "an array instead of a map", owner.signed(b"\x90"), "invalid"
    yield "an empty body", owner.signed(b""), "invalid"
    yield "a map that claims more than follows", owner.signed(b"\xdf\x7f\xff\xff\xff"), "invalid"
    yield "format 0", changed(format=0), "invalid"
    yield "format 2", changed(format=2), "invalid"
    yield "format as text", changed(format="1"), "invalid"
    yield "version 0", changed(version=0), "invalid"
    yield "version negative", changed(version=-1), "invalid"
    yield "kind 2", changed(kind=2), "invalid"
    yield "kind 256", changed(kind=256), "invalid"
    yield "owner of 31 bytes", changed(owner=owner.id[:31]), "invalid"
    yield "hashed key of 33 bytes", changed(hashed_key=bytes(33)), "invalid"
    yield "root as text", changed(root="r" * 32), "invalid"
    yield "size as a fraction", changed(size=5.0), "invalid"
    yield "size over the limit", changed(size=(1 << 50) + 1, chunk_count=(1 << 30) + 1), "invalid"
    yield "too many chunks for the size", changed(chunk_count=2), "invalid"
    yield "no chunk", changed(chunk_count=0), "invalid"
    yield "chunks of no bytes", changed(chunk_bytes=0), "invalid"
    yield "chunks of another size", changed(chunk_bytes=1 << 16), "invalid"
    yield "no replicas", changed(layout={"replicas": 0}), "invalid"
    yield "17 replicas", changed(layout={"replicas": 17}), "invalid"
    yield "an empty layout", changed(layout={}), "invalid"
    yield "a tombstone with content", changed(kind=1), "invalid"
    yield "longer than any manifest", changed(sealed=bytes(8192)), "invalid"


def vectors():
    owner = Owner(run(0, 32))
    content_key, blob_id = run(0x40, 32), run(0xC0, 16)
    associated = owner.id + owner.hashed_key(NAME) + blob_id
    single = chunks_of(content_key, associated, [b"the first and last chunk"])
    several = chunks_of(content_key, associated, [run(0, 100), run(7, 100), b""])
    fields = object_fields(owner, content_key, blob_id, single)
    tombstone = tombstone_fields(owner, run(0xD0, 16))
    newer = {**fields, "later": {"unknown": b"field"}}
    return {
        "owner": {
            "seed": owner.seed,
            "id": owner.id,
            "name": NAME,
            "hashed_key": owner.hashed_key(NAME),
            "wrap_key": owner.wrap,
            "catalogue_key": owner.catalogue,
            "recovery_text": recovery_text(owner.seed),
        },
        "cipher": {
            "content_key": content_key,
            "blob_id": blob_id,
            "key_commitment": fields["key_commitment"],
            "chunks": several,
            "root": root_of([c["leaf"] for c in several]),
            "root_of_no_leaves": root_of([]),
        },
        "manifest": {
            "chunk": single[0],
            "root": fields["root"],
            "sealed": fields["sealed"],
            "wire": owner.signed(pack(fields)),
            "hash": blake2b(b"zerodb manifest", pack(fields)),
            "with_unknown_field": owner.signed(pack(newer)),
            "tombstone": owner.signed(pack(tombstone)),
        },
        "refused_manifests": [
            {"what": what, "wire": wire, "code": code}
            for what, wire, code in refused_manifests(owner, fields)
        ],
        "key_files": {
            "seed": key_file(b"zdb-seed", 0, owner.seed),
            "node": key_file(b"zdb-node", 0, run(0x20, 32) + run(0x50, 32)),
            "node_sign_key": public_key(run(0x50, 32)),
        },
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), default=bytes.hex, indent=1, ensure_ascii=False))

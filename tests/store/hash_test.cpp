#include "store/hash.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;

namespace {
// Before any case of this program runs.
const bool crypto_ready = initialise_crypto().has_value();
}  // namespace

TEST_CASE("hash: crypto starts, and may be started again", "[store]") {
  CHECK(crypto_ready);
  CHECK(initialise_crypto());
}

TEST_CASE("hash: BLAKE2b-256 is that of RFC 7693 with a personalisation", "[store]") {
  // Python: hashlib.blake2b(b"abc", digest_size=32, person=b"zerodb leaf").hexdigest()
  CHECK(to_hex(blake2b_256("", {as_bytes("abc")})) ==
        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  CHECK(to_hex(blake2b_256("zerodb leaf", {as_bytes("abc")})) ==
        "ea28b14dd3319588c8ee1c17cd4848db6d5d0c63e85b6ce365bf0c8c4083c3b8");
  // ... key=bytes(range(32)), person=b"zerodb name"
  Bytes key(32);
  for (std::size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<std::uint8_t>(i);
  CHECK(to_hex(keyed_blake2b_256("zerodb name", key, as_bytes("abc"))) ==
        "eaada671a0080ca6558358f27e87002b708d740cbc780c4462481ecbb230db1e");
}

TEST_CASE("hash: parts are hashed as one run of bytes", "[store]") {
  CHECK(blake2b_256("d", {as_bytes("ab"), {}, as_bytes("c")}) ==
        blake2b_256("d", {as_bytes("abc")}));
}

TEST_CASE("hash: another domain gives another hash", "[store]") {
  CHECK(blake2b_256("zerodb leaf", {}) != blake2b_256("zerodb root", {}));
  CHECK(blake2b_256("", {}) != blake2b_256("zerodb root", {}));
}

TEST_CASE("hash: placement is SipHash-2-4 and never changes", "[store]") {
  CHECK(placement_hash({as_bytes("ab"), as_bytes("c")}) == placement_hash({as_bytes("abc")}));
  CHECK(placement_hash({as_bytes("abc")}) == 0x88e7c902f80f131bULL);
}

TEST_CASE("hash: random ids differ", "[store]") {
  CHECK(random_id<BlobId>() != random_id<BlobId>());
  CHECK_FALSE(random_id<BlobId>().is_zero());
}

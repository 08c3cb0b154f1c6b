#include "store/keys.hpp"

#include <catch2/catch.hpp>

#include "tests/support/same.hpp"

using namespace zerodb;
using test::same;

namespace {

Seed seed_of(std::uint8_t first) {
  Seed seed;
  for (std::size_t i = 0; i < Seed::size; ++i) {
    seed.mutable_view()[i] = static_cast<std::uint8_t>(first + i);
  }
  return seed;
}

}  // namespace

TEST_CASE("keys: a secret starts as zeros, copies only on request, and has one length", "[store]") {
  const Secret<32> zero;
  CHECK(same(zero.view(), Bytes(32)));
  const auto random = Secret<32>::random();
  CHECK_FALSE(same(random.view(), zero.view()));
  CHECK(same(random.clone().view(), random.view()));
  CHECK(same(Secret<64>::from(Bytes(64, 7))->view(), Bytes(64, 7)));
  CHECK_FALSE(Secret<64>::from(Bytes(63)));
  CHECK_FALSE(Secret<32>::from(Bytes(33)));
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<Secret<32>>);
}

TEST_CASE("keys: wiping leaves zeros", "[store]") {
  Bytes bytes(100, 0xAA);
  wipe(bytes);
  CHECK(bytes == Bytes(100));
}

TEST_CASE("keys: secrets are the same if all their bytes are", "[store]") {
  const Bytes secret{1, 2, 3};
  CHECK(is_same_secret(secret, Bytes{1, 2, 3}));
  CHECK_FALSE(is_same_secret(secret, Bytes{1, 2, 4}));
  CHECK_FALSE(is_same_secret(secret, Bytes{1, 2}));
  CHECK_FALSE(is_same_secret(Bytes{1, 2}, secret));
}

TEST_CASE("keys: Ed25519 as RFC 8032 has it", "[store]") {
  // Section 7.1, test 3.
  const auto seed =
      *Seed::from(*from_hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"));
  const SigningKey key(seed);
  CHECK(key.public_key().hex() ==
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
  CHECK(key.sign(Bytes{0xAF, 0x82}).hex() ==
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a");
  CHECK(same(key.seed().view(), seed.view()));
}

TEST_CASE("keys: a signature holds for one message and one signer", "[store]") {
  const auto key = SigningKey::generate();
  const auto message = as_bytes("message");
  const auto signature = key.sign(message);
  CHECK(verify(key.public_key().view(), message, signature));
  CHECK_FALSE(verify(key.public_key().view(), as_bytes("massage"), signature));
  CHECK_FALSE(verify(SigningKey::generate().public_key().view(), message, signature));
  CHECK_FALSE(verify(key.public_key().view().first(31), message, signature));
  CHECK_FALSE(verify({}, message, signature));
  auto flipped = signature;
  flipped.mutable_view()[40] ^= 1;
  CHECK_FALSE(verify(key.public_key().view(), message, flipped));
}

TEST_CASE("keys: a public key of small order verifies nothing", "[store]") {
  // With the neutral point as key, R = neutral point and S = 0 would satisfy the bare equation.
  SignKey neutral;
  neutral.mutable_view()[0] = 1;
  Signature forged;
  forged.mutable_view()[0] = 1;
  CHECK_FALSE(verify(neutral.view(), as_bytes("anything"), forged));
}

TEST_CASE("keys: a CURVE pair follows from its secret", "[store]") {
  const auto pair = CurvePair::generate();
  CHECK(CurvePair::from_secret(pair.secret.clone()).public_key == pair.public_key);
  // RFC 7748, section 6.1: Bob.
  const auto bob = CurvePair::from_secret(*CurveSecret::from(
      *from_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")));
  CHECK(bob.public_key.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
}

TEST_CASE("keys: an owner's keys follow from the seed and differ from each other", "[store]") {
  const OwnerKeys keys(seed_of(0));
  const OwnerKeys again(keys.seed());
  CHECK(again.id() == keys.id());
  CHECK(again.hash_name("a") == keys.hash_name("a"));
  CHECK(same(again.wrap_key().view(), keys.wrap_key().view()));
  CHECK_FALSE(same(keys.wrap_key().view(), keys.catalogue_key().view()));
  CHECK_FALSE(same(keys.wrap_key().view(), keys.seed().view()));
  CHECK(verify(keys.id().view(), as_bytes("m"), keys.sign(as_bytes("m"))));
}

TEST_CASE("keys: a hashed key depends on the name and on the owner", "[store]") {
  const OwnerKeys keys(seed_of(0));
  const OwnerKeys other(seed_of(1));
  CHECK(keys.hash_name("a") != keys.hash_name("b"));
  CHECK(keys.hash_name("a") != other.hash_name("a"));
  CHECK(keys.id() != other.id());
}

TEST_CASE("keys: names are 1 to 1024 bytes of UTF-8, whatever they look like", "[store]") {
  for (const auto* name : {"a", "../../x", "line\nbreak", " ", "\xF0\x9F\x98\x80", "/", "-rf"}) {
    CAPTURE(name);
    CHECK(check_name(name));
  }
  CHECK(check_name(std::string(1024, 'x')));
  for (const auto& name : {std::string(), std::string(1025, 'x'), std::string("\xFF")}) {
    const auto checked = check_name(name);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code == Errc::invalid);
  }
}

#include "store/ids.hpp"

#include <catch2/catch.hpp>
#include <type_traits>

using namespace zerodb;

static_assert(!std::is_convertible_v<Leaf, Root> && !std::is_constructible_v<Leaf, Root>);

TEST_CASE("ids: only exactly the right length makes an id", "[store]") {
  CHECK(BlobId::from(Bytes(16, 1)));
  for (const std::size_t size : {0, 15, 17, 32}) {
    const auto id = BlobId::from(Bytes(size, 1));
    REQUIRE_FALSE(id);
    CHECK(id.error().code == Errc::invalid);
    CHECK(id.error().what.find("blob id") != std::string::npos);
  }
}

TEST_CASE("ids: the text form round-trips and names what was wrong", "[store]") {
  const auto id = *BlobId::from_hex("000102030405060708090A0B0C0D0E0F");
  CHECK(id.hex() == "000102030405060708090a0b0c0d0e0f");
  CHECK(id.short_hex() == "00010203");
  CHECK_FALSE(id.is_zero());
  CHECK(BlobId{}.is_zero());
  CHECK(BlobId::from_hex("xy").error().what.find("blob id") == 0);
}

TEST_CASE("ids: order is that of the bytes", "[store]") {
  BlobId low;
  BlobId high;
  low.mutable_view()[15] = 0xFF;
  high.mutable_view()[0] = 0x01;
  CHECK(low < high);
}

TEST_CASE("ids: a partition is the top twelve bits of the hashed key", "[store]") {
  HashedKey key;
  CHECK(partition_of(key) == 0);
  key.mutable_view()[0] = 0xAB;
  key.mutable_view()[1] = 0xCF;
  CHECK(partition_of(key) == 0xABC);
  std::ranges::fill(key.mutable_view(), std::uint8_t{0xFF});
  CHECK(partition_of(key) == partition_count - 1);
}

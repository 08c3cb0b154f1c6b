#include "node/entry_codec.hpp"

#include <catch2/catch.hpp>

#include "store/hash.hpp"

using namespace zerodb;

namespace {

Entry any_entry() {
  return {.object = {.owner = random_id<OwnerId>(), .hashed_key = random_id<HashedKey>()},
          .version = Version::at(1'790'000'000'000, 7),
          .hash = random_id<ManifestHash>()};
}

}  // namespace

TEST_CASE("entry codec: entries survive the way", "[node]") {
  const std::vector<Entry> entries{any_entry(), any_entry(), any_entry()};
  Bytes payload;
  for (const auto& entry : entries)
    append_entry(payload, entry);
  CHECK(payload.size() == entries.size() * entry_bytes);
  const auto decoded = decode_entries(payload);
  REQUIRE(decoded);
  CHECK(*decoded == entries);
}

TEST_CASE("entry codec: the layout of an entry", "[node]") {
  const auto entry = any_entry();
  Bytes payload;
  append_entry(payload, entry);
  const ByteView view(payload);
  CHECK(OwnerId::from(view.subspan(0, 32)) == entry.object.owner);
  CHECK(HashedKey::from(view.subspan(32, 32)) == entry.object.hashed_key);
  CHECK(get_u64(view.subspan(64, 8)) == entry.version.value);
  CHECK(ManifestHash::from(view.subspan(72, 32)) == entry.hash);
}

TEST_CASE("entry codec: no half entries and no page too large", "[node]") {
  CHECK(decode_entries({})->empty());
  CHECK_FALSE(decode_entries(Bytes(entry_bytes - 1)));
  CHECK_FALSE(decode_entries(Bytes(entry_bytes + 1)));
  const auto most = entries_payload_bytes_max / entry_bytes;
  CHECK(decode_entries(Bytes(most * entry_bytes)));
  CHECK_FALSE(decode_entries(Bytes((most + 1) * entry_bytes)));
}

TEST_CASE("entry codec: exactly one digest per partition", "[node]") {
  std::vector<PartitionDigest> digests(partition_count);
  digests.front()[0] = 1;
  digests.back()[15] = 2;
  auto payload = encode_digests(digests);
  CHECK(decode_digests(payload) == digests);
  payload.pop_back();
  CHECK_FALSE(decode_digests(payload));
  payload.resize(payload.size() + 2);
  CHECK_FALSE(decode_digests(payload));
  CHECK_FALSE(decode_digests({}));
}

TEST_CASE("entry codec: a position is owner and hashed key", "[node]") {
  const auto object = any_entry().object;
  const auto bytes = encode_position(object);
  CHECK(decode_position(bytes) == object);
  CHECK_FALSE(decode_position(ByteView(bytes).first(63)));
  CHECK_FALSE(decode_position({}));
}

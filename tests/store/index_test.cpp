#include "store/index.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <set>

#include "store/hash.hpp"
#include "tests/store/disk_fixture.hpp"
#include "tests/support/failing_disk.hpp"

using namespace zerodb;
using namespace zerodb::test;
using sim::seal_object;
using sim::sign_tombstone;

namespace {

/// A manifest of any object: the index does not look at signatures.
SignedManifest manifest_at(const OwnerKeys& owner, HashedKey key, std::uint64_t ms) {
  Manifest manifest;
  manifest.kind = ObjectKind::tombstone;
  manifest.object = {.owner = owner.id(), .hashed_key = key};
  manifest.version = Version::at(ms);
  return SignedManifest::sign(manifest, owner);
}

/// A key of partition `partition`, otherwise random.
HashedKey key_in(Partition partition) {
  auto key = random_id<HashedKey>();
  const auto head = key.mutable_view();
  put_u16(head.first(2), static_cast<std::uint16_t>((partition << 4) | (head[1] & 0x0f)));
  return key;
}

std::unique_ptr<Index> open_in(const TempDir& dir) {
  return Index::open(dir / "index").value();
}

}  // namespace

TEST_CASE("index: keys sort by partition, owner, key, then the latest first", "[store]") {
  const auto owner = OwnerKeys::generate();
  const auto key = key_in(0x123);
  const auto entry = counted(manifest_at(owner, key, 10)).entry;
  const auto text = index_key::of_entry(entry);
  CHECK(text.size() == index_key::key_bytes);
  CHECK(text.substr(0, 2) == "\x01\x23");
  CHECK(index_key::decode(text).value() == entry);
  auto later = entry;
  later.version = Version::at(11);
  CHECK(index_key::of_entry(later) < text);
  auto greater_hash = entry;
  greater_hash.hash.mutable_view()[0] ^= 0xff;
  CHECK((index_key::of_entry(greater_hash) < text) == (greater_hash.hash > entry.hash));
  CHECK(index_key::after_all(index_key::of_object(entry.object)) > text);
  CHECK(error_of(index_key::decode("short")) == Errc::corrupt);
  auto elsewhere = text;
  elsewhere[1] ^= 1;
  CHECK(error_of(index_key::decode(elsewhere)) == Errc::corrupt);
  CHECK(error_of(index_key::decode_head("")) == Errc::corrupt);
  CHECK(error_of(index_key::superseded_key("short")) == Errc::corrupt);
}

TEST_CASE("index: objects beside each other are not confused", "[store]") {
  const TempDir dir;
  const auto index = open_in(dir);
  const auto owner = OwnerKeys::generate();
  auto key = key_in(7);
  key.mutable_view()[31] = 1;
  auto neighbour = key;
  neighbour.mutable_view()[31] = 2;
  const auto manifest = manifest_at(owner, neighbour, 5);
  REQUIRE(index->add({.manifest = manifest, .inline_value = {}, .superseded = {}}));
  CHECK_FALSE(*index->latest({.owner = owner.id(), .hashed_key = key}));
  CHECK((*index->latest({.owner = owner.id(), .hashed_key = neighbour}))->hash() ==
        manifest.hash());
}

TEST_CASE("index: entries come in pages, latest versions only", "[store]") {
  const TempDir dir;
  const auto index = open_in(dir);
  const auto one = OwnerKeys::generate();
  const auto two = OwnerKeys::generate();
  std::set<Entry> expected;
  const auto limit = GENERATE(as<std::size_t>(), 0, 1, 3, 20, 100);
  for (int i = 0; i < 20; ++i) {
    const auto& owner = i % 2 == 0 ? one : two;
    const auto key = key_in(9);
    for (std::uint64_t ms = 1; ms <= 3; ++ms) {
      const auto manifest = manifest_at(owner, key, ms);
      REQUIRE(index->add({.manifest = manifest, .inline_value = {}, .superseded = {}}));
      if (ms == 3) expected.insert(counted(manifest).entry);
    }
  }
  for (const Partition other : {Partition{8}, Partition{10}}) {
    const auto manifest = manifest_at(one, key_in(other), 1);
    REQUIRE(index->add({.manifest = manifest, .inline_value = {}, .superseded = {}}));
  }
  const auto list = [&](EntryQuery query) {
    std::vector<Entry> all;
    do {
      const auto page = index->entries(query).value();
      CHECK(page.entries.size() <= std::max<std::size_t>(limit, 1));
      all.insert(all.end(), page.entries.begin(), page.entries.end());
      query.after = page.next_after;
    } while (query.after);
    return all;
  };
  const auto all = list({.partition = 9, .owner = {}, .after = {}, .limit = limit});
  CHECK(all == std::vector<Entry>(expected.begin(), expected.end()));
  const auto mine = list({.partition = 9, .owner = two.id(), .after = {}, .limit = limit});
  CHECK(mine.size() == 10);
  CHECK(std::ranges::all_of(mine, [&](const auto& e) { return e.object.owner == two.id(); }));
  CHECK(list({.partition = 11, .owner = {}, .after = {}, .limit = limit}).empty());
}

TEST_CASE("index: a listing goes on strictly after an object, kept or not", "[store]") {
  const TempDir dir;
  const auto index = open_in(dir);
  const auto owner = OwnerKeys::generate();
  auto key = key_in(9);
  key.mutable_view()[31] = 5;
  const auto manifest = manifest_at(owner, key, 1);
  REQUIRE(index->add({.manifest = manifest, .inline_value = {}, .superseded = {}}));
  auto before = manifest->object;
  before.hashed_key.mutable_view()[31] = 4;
  CHECK(index->entries({.partition = 9, .owner = {}, .after = before})->entries.size() == 1);
  CHECK(index->entries({.partition = 9, .owner = {}, .after = manifest->object})->entries.empty());
}

TEST_CASE("index: the last key of the last partition is listed", "[store]") {
  const TempDir dir;
  const auto index = open_in(dir);
  const auto owner = OwnerKeys::generate();
  HashedKey key;
  std::ranges::fill(key.mutable_view(), std::uint8_t{0xff});
  const auto manifest = manifest_at(owner, key, 1);
  REQUIRE(index->add({.manifest = manifest, .inline_value = {}, .superseded = {}}));
  const Partition last = partition_count - 1;
  CHECK(index->entries({.partition = last, .owner = {}, .after = {}})->entries.size() == 1);
  CHECK(index->entries({.partition = last, .owner = owner.id(), .after = {}})->entries.size() == 1);
}

TEST_CASE("index: superseded versions are listed oldest first, up to a time", "[store]") {
  const TempDir dir;
  const auto index = open_in(dir);
  const auto owner = OwnerKeys::generate();
  const auto key = key_in(1);
  std::vector<Entry> entries;
  for (std::uint64_t ms = 1; ms <= 4; ++ms) {
    const auto manifest = manifest_at(owner, key, ms);
    std::optional<Entry> superseded;
    if (!entries.empty()) superseded = entries.back();
    REQUIRE(index->add({.manifest = manifest,
                        .inline_value = {},
                        .superseded = superseded,
                        .superseded_ms = ms * 100}));
    entries.push_back(counted(manifest).entry);
  }
  CHECK(index->superseded_before(200, 10)->empty());
  const auto lines = index->superseded_before(401, 10).value();
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].entry == entries[0]);
  CHECK(lines[2].entry == entries[2]);
  CHECK(index->superseded_before(401, 2)->size() == 2);
  CHECK(index->superseded_before(401, 2, lines[1].line)->at(0).line == lines[2].line);
  CHECK(index->superseded_before(401, 2, lines[2].line)->empty());
  REQUIRE(index->remove({{.line = lines[0].line, .key = lines[0].key, .inline_value = {}}}));
  CHECK(index->versions(entries[0].object)->size() == 3);
  CHECK(index->superseded_before(401, 10)->size() == 2);
}

TEST_CASE("index: a damaged index is an error, not a crash", "[store]") {
  const TempDir dir;
  open_in(dir).reset();
  std::ofstream(dir / "index/CURRENT") << "MANIFEST-nothing\n";
  CHECK_FALSE(Index::open(dir / "index"));
}

TEST_CASE("index: a value that is cut short anywhere is damage", "[store]") {
  const auto manifest = manifest_at(OwnerKeys::generate(), key_in(1), 1);
  const auto value = index_key::encode_value(manifest);
  CHECK(index_key::decode_manifest(value)->hash() == manifest.hash());
  for (std::size_t size = 0; size < value.size(); ++size) {
    CAPTURE(size);
    CHECK(error_of(index_key::decode_manifest(value.substr(0, size))) == Errc::corrupt);
  }
}

TEST_CASE("index: what only a compaction cannot read is damage, to each write after it, too",
          "[store]") {
  const TempDir dir;
  const auto owner = OwnerKeys::generate();
  const auto object = seal_object(owner, {.size = 1'000});
  REQUIRE(open_in(dir)->add(
      {.manifest = object.manifest, .inline_value = object.chunks.at(0), .superseded = {}}));
  const auto index = open_in(dir);  // from the log into a table
  {
    const FailingDisk failing({.read_error = EIO, .only = ".sst"});
    CHECK(error_of(index->reclaim()) == Errc::corrupt);
  }
  const auto tombstone = manifest_at(owner, key_in(1), 1);
  CHECK(error_of(index->add({.manifest = tombstone, .inline_value = {}, .superseded = {}})) ==
        Errc::corrupt);
}

TEST_CASE("index: one that is open already is busy", "[store]") {
  const TempDir dir;
  const auto index = open_in(dir);
  CHECK(error_of(Index::open(dir / "index")) == Errc::busy);
}

TEST_CASE("tally: sums carry and borrow across 64 bits, and replacing undoes adding", "[store]") {
  Sum128 sum{.high = 1, .low = ~std::uint64_t{0}};
  sum += {.high = 0, .low = 1};
  CHECK(sum.high == 2);
  CHECK(sum.low == 0);
  sum -= {.high = 3, .low = 1};
  CHECK(sum.high == ~std::uint64_t{0} - 1);
  CHECK(sum.low == ~std::uint64_t{0});

  const auto owner = OwnerKeys::generate();
  const auto old = counted(seal_object(owner, {.size = 100, .version = Version::at(1)}).manifest);
  const auto late = counted(sign_tombstone(owner, "a name", Version::at(2)));
  Tally replaced;
  replaced.add(old);
  CHECK(replaced.counts().blob_bytes == 116);
  replaced.replace(&old, late);
  Tally direct;
  direct.add(late);
  CHECK(replaced.digests() == direct.digests());
  CHECK(replaced.counts().objects == 0);
  CHECK(replaced.counts().tombstones == 1);
  CHECK(replaced.counts().blob_bytes == 0);
}

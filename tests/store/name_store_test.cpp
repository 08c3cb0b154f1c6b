#include "store/name_store.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

#include "store/hash.hpp"
#include "tests/store/disk_fixture.hpp"

using namespace zerodb;
using namespace zerodb::test;
namespace fs = std::filesystem;

namespace {

NameRecord record(const std::string& name, std::uint64_t ms, bool deleted = false) {
  return {.hashed_key = hash_to<HashedKey>("test", {as_bytes(name)}),
          .hash = random_id<ManifestHash>(),
          .deleted = deleted,
          .entry = {.name = name, .size = ms, .version = Version::at(ms), .mtime_ms = -5}};
}

void write(NameStore& store, const std::vector<NameRecord>& records, const NameNotes& notes = {}) {
  REQUIRE(store.write(records, notes).has_value());
}

using Names = std::vector<std::string>;

Names names(NameStore& store, const ListQuery& query = {}) {
  const auto page = store.page(query);
  REQUIRE(page.has_value());
  Names names;
  for (const auto& entry : page->entries)
    names.push_back(entry.name);
  return names;
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  return files;
}

struct Kept {
  TempDir dir;
  Secret<32> key = Secret<32>::random();
  fs::path folder() const { return dir / "owner"; }
  std::unique_ptr<NameStore> open() const { return open_name_store(folder(), key).value(); }
};

/// Both kinds of store keep the same contract.
std::vector<std::unique_ptr<NameStore>> both(const Kept& kept) {
  std::vector<std::unique_ptr<NameStore>> stores;
  stores.push_back(kept.open());
  stores.push_back(make_memory_name_store());
  return stores;
}

}  // namespace

TEST_CASE("names: pages are in byte order, within a prefix, after a name", "[store]") {
  const Kept kept;
  for (const auto& store : both(kept)) {
    write(*store, {record("x/3", 1), record("x/1", 1), record("y", 1), record("x/2", 1),
                   record("w", 1), record("x/\xC3\xA9", 1), record("x/1\x01", 1)});
    CHECK(names(*store) == Names{"w", "x/1", "x/1\x01", "x/2", "x/3", "x/\xC3\xA9", "y"});
    CHECK(names(*store, {.prefix = "x/", .limit = 2}) == Names{"x/1", "x/1\x01"});
    CHECK(store->page({.prefix = "x/", .limit = 2})->more);
    CHECK(names(*store, {.prefix = "x/", .after = "x/2"}) == Names{"x/3", "x/\xC3\xA9"});
    CHECK_FALSE(store->page({.prefix = "x/", .after = "x/2"})->more);
    CHECK(names(*store, {.prefix = "x/", .after = "a"}).size() == 5);
    CHECK(names(*store, {.prefix = "x/", .after = "z"}).empty());
    CHECK(names(*store, {.prefix = "nothing"}).empty());
  }
}

TEST_CASE("names: of two versions the later stands, in whatever order they come", "[store]") {
  const Kept kept;
  for (const auto& store : both(kept)) {
    const auto old = record("a", 10);
    const auto later = record("a", 20);
    write(*store, {later});
    write(*store, {old});
    CHECK(store->page({})->entries.at(0) == later.entry);
    const std::vector<HashedKey> keys{random_id<HashedKey>(), later.hashed_key};
    const auto known = store->known(keys);
    REQUIRE(known.has_value());
    CHECK_FALSE(known->at(0).has_value());
    CHECK(known->at(1) == later.known());
    write(*store, {record("b", 1), record("b", 3, true), record("b", 2)});
    CHECK(names(*store) == Names{"a"});
    write(*store, {record("a", 30, true)});
    CHECK(names(*store).empty());
    write(*store, {record("a", 25)});
    CHECK(names(*store).empty());
  }
}

TEST_CASE("names: objects of a partition are told with their deletions", "[store]") {
  const Kept kept;
  for (const auto& store : both(kept)) {
    std::vector<NameRecord> records;
    for (const auto first :
         {0x1e, 0x1f, 0x1f, 0x1f, 0x20}) {  // the second byte counts by its top half
      const auto i = static_cast<std::uint8_t>(records.size());
      auto some = record("name " + std::to_string(i), 10, i == 2);
      Bytes key(HashedKey::size, static_cast<std::uint8_t>(9 - i));
      key[0] = static_cast<std::uint8_t>(first);
      key[1] = static_cast<std::uint8_t>(0x70 | i);
      some.hashed_key = HashedKey::from(key).value();
      records.push_back(some);
    }
    write(*store, records);
    const std::vector in_it{records[1].object(), records[2].object(), records[3].object()};
    CHECK(store->known_in(0x1f7).value() == in_it);
    CHECK(in_it[1].deleted);
    CHECK(store->known_in(0x1f6).value().empty());
    CHECK(store->known_in(0x207).value().size() == 1);
    CHECK(store->known_in(0xfff).value().empty());
  }
}

TEST_CASE("names: entries show what was learnt", "[store]") {
  const Kept kept;
  for (const auto& store : both(kept)) {
    auto timeless = record("b", 7);
    timeless.entry.mtime_ms.reset();
    const auto timed = record("a", 3);
    write(*store, {timeless, timed});
    const auto page = store->page({});
    REQUIRE(page->entries.size() == 2);
    CHECK(page->entries[0] == timed.entry);
    CHECK(page->entries[1] == timeless.entry);
  }
}

TEST_CASE("names: a page of long names stays within a message", "[store]") {
  const Kept kept;
  for (const auto& store : both(kept)) {
    std::vector<NameRecord> records;
    for (int i = 0; i < 1'000; ++i)
      records.push_back(record(std::to_string(1'000 + i) + std::string(1'000, 'n'), 1));
    write(*store, records);
    const auto page = store->page({.limit = 1'000});
    CHECK(page->more);
    CHECK(page->entries.size() > 400);
    CHECK(page->entries.size() < 600);
  }
}

TEST_CASE("names: what was written is there when it is opened again", "[store]") {
  const Kept kept;
  {
    const auto store = kept.open();
    write(*store, {record("a", 1)}, {{"one", Bytes{1}}, {"two", Bytes{2}}});
    write(*store, {record("b", 1)}, {{"two", std::nullopt}});
  }
  const auto store = kept.open();
  CHECK(names(*store) == Names{"a", "b"});
  const auto notes = store->notes();
  REQUIRE(notes.has_value());
  CHECK(notes->size() == 1);
  CHECK(notes->at("one") == Bytes{1});
  REQUIRE(store->clear().has_value());
  CHECK(names(*store).empty());
  CHECK(store->notes()->empty());
  write(*store, {record("c", 1)});
  CHECK(names(*store) == Names{"c"});
}

TEST_CASE("names: no byte of the folder shows a name", "[store]") {
  const Kept kept;
  const std::string secret = "the name that nobody may read";
  {
    const auto store = kept.open();
    std::vector<NameRecord> records;
    for (int i = 0; i < 20'000; ++i)
      records.push_back(record(secret + std::to_string(i), 1));
    write(*store, records, {{secret, Bytes(100, 'n')}});
    write(*store, {record(secret + "0", 2, true)});
  }
  REQUIRE(names(*kept.open(), {.prefix = secret, .limit = 5}).size() == 5);
  const auto files = files_in(kept.folder());
  CHECK(files.size() > 3);
  for (const auto& file : files) {
    INFO(file);
    const auto content = content_of(file);
    CHECK(content.find("nobody") == std::string::npos);
    CHECK(content.find("leveldb") == std::string::npos);  // RocksDB's own plain words
    CHECK(content.find("rocksdb") == std::string::npos);
  }
}

TEST_CASE("names: equal content is encrypted otherwise in every file", "[store]") {
  const Kept one;
  const Kept two{.dir = {}, .key = one.key.clone()};
  for (const auto* kept : {&one, &two})
    write(*kept->open(), {record("a", 1)});
  CHECK(content_of(one.folder() / "CURRENT") != content_of(two.folder() / "CURRENT"));
}

TEST_CASE("names: another key's catalogue is begun again", "[store]") {
  Kept kept;
  write(*kept.open(), {record("a", 1)});
  kept.key = Secret<32>::random();
  const auto store = kept.open();
  CHECK(names(*store).empty());
  write(*store, {record("b", 1)});
  CHECK(names(*store) == Names{"b"});
}

TEST_CASE("names: a folder open elsewhere is left alone", "[store]") {
  const Kept kept;
  const auto store = kept.open();
  write(*store, {record("a", 1)});
  CHECK(error_of(open_name_store(kept.folder(), kept.key)) == Errc::busy);
  CHECK(names(*store) == Names{"a"});
}

TEST_CASE("names: whatever is damaged, a catalogue opens, and works once it is cleared",
          "[store]") {
  const Kept made;
  {
    const auto store = made.open();
    std::vector<NameRecord> records;
    for (int i = 0; i < 3'000; ++i)
      records.push_back(record("name " + std::to_string(i), 1));
    write(*store, records);
  }
  made.open();  // a second life turns the log into tables
  for (const auto& file : files_in(made.folder())) {
    for (const std::string how : {"empty", "gone", "flipped", "cut"}) {
      INFO(file << " " << how);
      const Kept kept{.dir = {}, .key = made.key.clone()};
      fs::copy(made.folder(), kept.folder());
      const auto victim = kept.folder() / file.filename();
      const auto size = fs::file_size(victim);
      if (how == "empty") fs::resize_file(victim, 0);
      if (how == "gone") fs::remove(victim);
      if (how == "cut") fs::resize_file(victim, size / 2);
      if (how == "flipped" && size > 0) {
        std::fstream stream(victim, std::ios::in | std::ios::out | std::ios::binary);
        for (std::uint64_t at = 0; at < size; at += 97) {
          stream.seekp(static_cast<std::streamoff>(at));
          stream.put('\x55');
        }
      }
      const auto store = kept.open();
      const auto page = store->page({.limit = 10'000});
      const bool whole = page && (page->entries.size() == 3'000 || page->entries.empty());
      if (!whole) {
        INFO((page ? std::to_string(page->entries.size()) : page.error().what));
        CHECK_FALSE(page.has_value());  // damage is told of, never half a list
      }
      REQUIRE(store->clear().has_value());
      write(*store, {record("b", 1)});
      CHECK(names(*store) == Names{"b"});
    }
  }
}

#include "store/store.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "store/hash.hpp"
#include "tests/sim/sealed_object.hpp"
#include "tests/store/disk_fixture.hpp"
#include "tests/support/temp_dir.hpp"

using namespace zerodb;
using namespace zerodb::test;
using sim::move_version;
using sim::seal_object;
using sim::sign_tombstone;
using Kind = CommitOutcome::Kind;

TEST_CASE("store: objects of every size come back as they were sealed", "[store]") {
  Disk disk;
  const auto size = GENERATE(as<std::uint64_t>(), 0, 1, 65535, inline_bytes_max, 65537,
                             chunk_bytes_max - 1, chunk_bytes_max, chunk_bytes_max + 1, 3'400'000);
  const auto object = seal_object(disk.owner, {.name = "file", .size = size});
  REQUIRE(disk.put(object).kind == Kind::stored);
  disk.reopen();
  const auto latest = disk->latest(object.id());
  REQUIRE(latest);
  REQUIRE(*latest);
  CHECK((*latest)->wire() == object.manifest.wire());
  check_content(*disk.store, object);
  CHECK(disk.stats().blob_bytes == size + 16 * object.chunks.size());
}

TEST_CASE("store: what was never here is nothing, not an error", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {});
  CHECK_FALSE(*disk->latest(object.id()));
  CHECK_FALSE(*disk->find(object.id(), object.manifest->blob_id));
  CHECK(error_of(disk->read_chunk(object.manifest, 0)) == Errc::not_found);
  CHECK(error_of(disk->read_chunk(object.manifest, 1)) == Errc::invalid);
}

TEST_CASE("store: an inline chunk that is not the manifest's is refused", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.name = "a", .size = 10});
  const auto other = seal_object(disk.owner, {.name = "a", .size = 10});
  CHECK(error_of(disk->commit_inline(object.manifest, other.chunks[0])) == Errc::corrupt);
  CHECK(error_of(disk->commit_inline(object.manifest, {})) == Errc::invalid);
  const auto large = seal_object(disk.owner, {.name = "b", .size = inline_bytes_max + 1});
  CHECK(error_of(disk->commit_inline(large.manifest, large.chunks[0])) == Errc::invalid);
  const auto grave = sign_tombstone(disk.owner, "a", Version::at(9));
  CHECK(error_of(disk->commit_inline(grave, object.chunks[0])) == Errc::invalid);
  CHECK_FALSE(*disk->latest(object.id()));
}

TEST_CASE("store: a small object is not uploaded, and an upload is of what it began as",
          "[store]") {
  Disk disk;
  const auto small = seal_object(disk.owner, {.name = "small", .size = 10});
  auto upload = disk.upload(small);
  CHECK(error_of(disk->commit_upload(*upload, small.manifest)) == Errc::invalid);
  const auto a = seal_object(disk.owner, {.name = "a", .size = 100'000});
  const auto b = seal_object(disk.owner, {.name = "b", .size = 100'000});
  upload = disk.upload(a);
  CHECK(error_of(disk->commit_upload(*upload, b.manifest)) == Errc::invalid);
  CHECK(disk->commit_upload(*upload, a.manifest)->kind == Kind::stored);
}

TEST_CASE("store: the later version stands, whichever comes first", "[store]") {
  Disk disk;
  const auto size = GENERATE(as<std::uint64_t>(), 100, 100'000);
  const auto old = seal_object(disk.owner, {.size = size, .version = Version::at(1)});
  const auto late = seal_object(disk.owner, {.size = size, .version = Version::at(2)});
  REQUIRE(disk.put(late).kind == Kind::stored);
  const auto refused = disk.put(old);
  CHECK(refused.kind == Kind::superseded);
  REQUIRE(refused.standing);
  CHECK(refused.standing->hash() == late.manifest.hash());
  CHECK((*disk->latest(old.id()))->hash() == late.manifest.hash());
  CHECK(disk.stats().objects == 1);
}

TEST_CASE("store: of two versions with one stamp the greater hash stands, either way round",
          "[store]") {
  Disk disk;
  auto low = seal_object(disk.owner, {});
  auto high = seal_object(disk.owner, {});
  if (low.manifest.is_later_than(high.manifest)) std::swap(low, high);
  SECTION("greater first") {
    CHECK(disk.put(high).kind == Kind::stored);
    CHECK(disk.put(low).kind == Kind::superseded);
  }
  SECTION("greater last") {
    CHECK(disk.put(low).kind == Kind::stored);
    CHECK(disk.put(high).kind == Kind::stored);
    check_content(*disk.store, low);
  }
  CHECK((*disk->latest(low.id()))->hash() == high.manifest.hash());
  check_content(*disk.store, high);
}

TEST_CASE("store: a superseded upload is committed again under a later version", "[store]") {
  Disk disk;
  const auto standing = seal_object(disk.owner, {.size = 70'000, .version = Version::at(5)});
  const auto early = seal_object(disk.owner, {.size = 2'000'000, .version = Version::at(4)});
  disk.put(standing);
  auto upload = disk.upload(early);
  CHECK(disk->commit_upload(*upload, early.manifest)->kind == Kind::superseded);
  const auto late = move_version(disk.owner, early, Version::at(6));
  CHECK(disk->commit_upload(*upload, late.manifest)->kind == Kind::stored);
  CHECK(error_of(disk->commit_upload(*upload, late.manifest)) == Errc::invalid);
  check_content(*disk.store, late);
  check_content(*disk.store, standing);  // readers under way finish
}

TEST_CASE("store: a tombstone stands like any version", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.name = "a", .version = Version::at(1)});
  const auto grave = sign_tombstone(disk.owner, "a", Version::at(2));
  disk.put(object);
  CHECK(disk->commit_inline(grave, {})->kind == Kind::stored);
  CHECK((*disk->latest(object.id()))->manifest().is_tombstone());
  CHECK(disk.put(object).kind == Kind::superseded);
  CHECK(error_of(disk->read_chunk(grave, 0)) == Errc::invalid);
  CHECK(disk->read_leaves(grave, 0, 10)->empty());
  CHECK(disk.stats().objects == 0);
  CHECK(disk.stats().tombstones == 1);
  CHECK(disk.stats().blob_bytes == 0);
  disk.put(seal_object(disk.owner, {.name = "a", .size = 5, .version = Version::at(3)}));
  CHECK(disk.stats().objects == 1);
  CHECK(disk.stats().tombstones == 0);
}

TEST_CASE("store: the same commit again changes nothing", "[store]") {
  Disk disk;
  const auto size = GENERATE(as<std::uint64_t>(), 100, 100'000);
  const auto object = seal_object(disk.owner, {.size = size});
  REQUIRE(disk.put(object).kind == Kind::stored);
  const auto digests = disk->digests();
  CHECK(disk.put(object).kind == Kind::stored);
  CHECK(disk->commit_version(object.manifest)->kind == Kind::stored);
  CHECK(disk->digests() == digests);
  CHECK(disk.stats().objects == 1);
  CHECK(disk->sweep(forever)->versions == 0);
  check_content(*disk.store, object);
}

TEST_CASE("store: a conditional commit takes the place of what it expects, and of nothing later",
          "[store]") {
  Disk disk;
  const auto size = GENERATE(as<std::uint64_t>(), 10, 100'000);
  const auto make = [&](std::uint64_t ms) {
    return seal_object(disk.owner, {.name = "a", .size = size, .version = Version::at(ms)});
  };
  const auto commit = [&](const sim::SealedObject& object, std::uint64_t expected_ms) {
    const auto expected = expected_ms == 0 ? Version{} : Version::at(expected_ms);
    if (object.manifest->is_inline()) {
      return disk->commit_inline(object.manifest, object.chunks[0], expected).value().kind;
    }
    const auto upload = disk.upload(object);
    return disk->commit_upload(*upload, object.manifest, expected).value().kind;
  };
  const auto first = make(10);
  const auto second = make(20);
  CHECK(commit(first, 0) == Kind::stored);
  CHECK(commit(make(30), 0) == Kind::superseded);
  CHECK(commit(make(30), 9) == Kind::superseded);
  CHECK(commit(second, 10) == Kind::stored);
  // Again: it came there by itself, or what stood between is still seen.
  CHECK(commit(second, 10) == Kind::stored);
  CHECK(commit(second, 9) == Kind::superseded);
  CHECK(disk->commit_version(second.manifest, Version::at(9)).value().kind == Kind::superseded);
  CHECK(disk->commit_version(second.manifest, Version::at(10)).value().kind == Kind::stored);
  const auto grave = sign_tombstone(disk.owner, "a", Version::at(40));
  CHECK(disk->commit_inline(grave, {}, Version::at(19)).value().kind == Kind::superseded);
  CHECK(disk->commit_inline(grave, {}, Version::at(20)).value().kind == Kind::stored);
}

TEST_CASE("store: commits of a batch are judged one after the other", "[store]") {
  Disk disk;
  const auto first = seal_object(disk.owner, {.name = "a", .version = Version::at(5)});
  const auto older = seal_object(disk.owner, {.name = "a", .version = Version::at(4)});
  const auto later = seal_object(disk.owner, {.name = "a", .version = Version::at(6)});
  const auto other = seal_object(disk.owner, {.name = "b"});
  const auto damaged = seal_object(disk.owner, {.name = "c"});
  const std::vector<InlineCommit> batch{{first.manifest, first.chunks[0]},
                                        {older.manifest, older.chunks[0]},
                                        {other.manifest, other.chunks[0]},
                                        {damaged.manifest, other.chunks[0]},
                                        {later.manifest, later.chunks[0]}};
  const auto outcomes = disk->commit_inline_all(batch);
  REQUIRE(outcomes.size() == batch.size());
  CHECK(outcomes[0]->kind == Kind::stored);
  REQUIRE(outcomes[1]->kind == Kind::superseded);
  CHECK(outcomes[1]->standing->hash() == first.manifest.hash());
  CHECK(outcomes[2]->kind == Kind::stored);
  CHECK(error_of(outcomes[3]) == Errc::corrupt);
  CHECK(outcomes[4]->kind == Kind::stored);
  disk.reopen();
  CHECK((*disk->latest(first.id()))->hash() == later.manifest.hash());
  CHECK((*disk->latest(other.id()))->hash() == other.manifest.hash());
  CHECK(disk.stats().objects == 2);
}

TEST_CASE("store: a kept blob moves to a later version without its bytes", "[store]") {
  Disk disk;
  const auto size = GENERATE(as<std::uint64_t>(), 100, 100'000);
  const auto object = seal_object(disk.owner, {.size = size, .version = Version::at(1)});
  const auto moved = move_version(disk.owner, object, Version::at(2));
  const auto missing = disk->commit_version(moved.manifest);
  CHECK(missing->kind == Kind::blob_missing);
  CHECK_FALSE(missing->standing);
  disk.put(object);
  CHECK(disk->commit_version(moved.manifest)->kind == Kind::stored);
  CHECK((*disk->latest(object.id()))->hash() == moved.manifest.hash());
  CHECK((*disk->find(object.id(), object.manifest->blob_id))->hash() == moved.manifest.hash());
  CHECK(disk->commit_version(object.manifest)->kind == Kind::superseded);
  check_content(*disk.store, moved);
}

TEST_CASE("store: a blob whose content differs, or whose file is gone, is not moved", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000, .version = Version::at(1)});
  disk.put(object);
  SECTION("differs") {
    auto manifest = object.manifest.manifest();
    manifest.version = Version::at(2);
    manifest.root = random_id<Root>();
    const auto forged = SignedManifest::sign(manifest, disk.owner);
    CHECK(disk->commit_version(forged)->kind == Kind::blob_missing);
  }
  SECTION("gone") {
    std::filesystem::remove(disk.blob_files().at(0));
    const auto moved = move_version(disk.owner, object, Version::at(2));
    CHECK(disk->commit_version(moved.manifest)->kind == Kind::blob_missing);
    CHECK(error_of(disk->read_chunk(object.manifest, 0)) == Errc::not_found);
    CHECK(disk.put(object).kind == Kind::stored);  // bytes sent again mend it
    check_content(*disk.store, object);
  }
}

TEST_CASE("store: a restart keeps versions, digests and counts, and clears tmp", "[store]") {
  Disk disk;
  for (int i = 0; i < 20; ++i) {
    disk.put(seal_object(disk.owner, {.name = std::to_string(i % 15),
                                      .size = i % 5 == 0 ? 70'000U : 50U,
                                      .version = Version::at(static_cast<std::uint64_t>(i + 1))}));
  }
  disk->commit_inline(sign_tombstone(disk.owner, "3", Version::at(99)), {}).value();
  const auto digests = disk->digests();
  const auto stats = disk.stats();
  std::ofstream(disk.dir / "tmp/left") << "by a process that was killed";
  disk.reopen();
  CHECK(disk->digests() == digests);
  CHECK(disk.stats().objects == stats.objects);
  CHECK(disk.stats().objects == 14);
  CHECK(disk.stats().tombstones == 1);
  CHECK(disk.stats().blob_bytes == stats.blob_bytes);
  CHECK(std::filesystem::is_empty(disk.dir / "tmp"));
}

TEST_CASE("store: digests are of the set, not of its history", "[store]") {
  Disk one;
  Disk two;
  const auto& owner = one.owner;
  const auto a = seal_object(owner, {.name = "a", .version = Version::at(1)});
  const auto b = seal_object(owner, {.name = "b", .version = Version::at(2)});
  const auto old_b = seal_object(owner, {.name = "b", .version = Version::at(1)});
  for (const auto* object : {&a, &old_b, &b})
    one.put(*object);
  for (const auto* object : {&b, &a})
    two.put(*object);
  CHECK(one->digests().size() == partition_count);
  CHECK(one->digests() == two->digests());
  const auto grave = sign_tombstone(owner, "a", Version::at(3));
  two->commit_inline(grave, {}).value();
  const auto partition = partition_of(a.id().hashed_key);
  CHECK(one->digests()[partition] != two->digests()[partition]);
  one->commit_inline(grave, {}).value();
  CHECK(one->digests() == two->digests());
}

TEST_CASE("store: uploads are refused when the reserve would not stay free", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.name = "a"});
  disk.reserve_bytes = std::uint64_t{1} << 62;
  disk.reopen();
  CHECK(error_of(disk->begin_upload({.binding = object.manifest->binding()})) == Errc::full);
  CHECK(error_of(disk->commit_inline(object.manifest, object.chunks[0])) == Errc::full);
  // Deleting must stay possible: it is how room is made.
  CHECK(disk->commit_inline(sign_tombstone(disk.owner, "a", Version::at(9)), {}));
}

TEST_CASE("store: a folder that is open elsewhere is busy", "[store]") {
  Disk disk;
  const auto second = open_store({.folder = disk.dir.path()});
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::busy);
  CHECK(second.error().what.find(disk.dir.path().string()) != std::string::npos);
}

TEST_CASE("store: a folder of a newer or unknown format is left alone", "[store]") {
  Disk disk;
  disk.store.reset();
  SECTION("newer") {
    std::ofstream(disk.dir / "format") << "zerodb store format 2\n";
    const auto opened = open_store({.folder = disk.dir.path()});
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == Errc::invalid);
    CHECK(opened.error().what.find("newer zerodb (format 2); this one reads up to 1") !=
          std::string::npos);
  }
  SECTION("not a number") {
    std::ofstream(disk.dir / "format") << "zerodb store format one\n";
    CHECK(error_of(open_store({.folder = disk.dir.path()})) == Errc::corrupt);
  }
  SECTION("missing") {
    std::filesystem::remove(disk.dir / "format");
    CHECK(error_of(open_store({.folder = disk.dir.path()})) == Errc::corrupt);
  }
}

TEST_CASE("store: a folder that cannot be made is an error that names it", "[store]") {
  const TempDir dir;
  std::ofstream(dir / "file") << "x";
  const auto opened = open_store({.folder = dir / "file/store"});
  REQUIRE_FALSE(opened);
  CHECK(opened.error().what.find("file/store") != std::string::npos);
}

TEST_CASE("store: many threads commit at once and all is kept", "[store]") {
  Disk disk;
  constexpr int threads = 16;
  constexpr int each = 8;
  std::atomic<int> stored = 0;
  std::vector<std::thread> writers;
  for (int t = 0; t < threads; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        const auto name = std::to_string(t) + "/" + std::to_string(i);
        const auto object = seal_object(disk.owner, {.name = name, .size = 4096});
        const auto outcome = disk->commit_inline(object.manifest, object.chunks[0]);
        if (outcome && outcome->kind == Kind::stored) ++stored;
      }
    });
  }
  for (auto& writer : writers)
    writer.join();
  CHECK(stored == threads * each);
  const auto digests = disk->digests();
  disk.reopen();
  CHECK(disk.stats().objects == threads * each);
  CHECK(disk->digests() == digests);
}

TEST_CASE("store: versions of one object raced by many threads end with the latest", "[store]") {
  Disk disk;
  constexpr std::uint64_t threads = 8;
  std::vector<std::thread> writers;
  for (std::uint64_t t = 0; t < threads; ++t) {
    writers.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 10; ++i) {
        const auto version = Version::at(1 + i * threads + t);
        disk.put(
            seal_object(disk.owner, {.size = t % 2 == 0 ? 100U : 70'000U, .version = version}));
        if (t == 0) (void)disk->sweep(forever);
      }
    });
  }
  for (auto& writer : writers)
    writer.join();
  const ObjectId object{disk.owner.id(), disk.owner.hash_name("a name")};
  CHECK((*disk->latest(object))->manifest().version == Version::at(10 * threads));
  CHECK(disk.stats().objects == 1);
  const auto digests = disk->digests();
  disk->sweep(forever).value();
  CHECK(disk.blob_files().size() == 1);
  disk.reopen();
  CHECK(disk->digests() == digests);
}

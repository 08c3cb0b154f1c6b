// What a store lets go of: superseded versions, and objects that are placed elsewhere.
#include "store/tally.hpp"

#include <algorithm>
#include <cerrno>

#include "tests/store/disk_fixture.hpp"
#include "tests/support/failing_disk.hpp"

using namespace zerodb;
using namespace zerodb::test;
using sim::move_version;
using sim::seal_object;
using sim::sign_tombstone;
namespace fs = std::filesystem;

namespace {

/// Of the index, the oldest first.
std::vector<fs::path> sst_files(const Disk& disk) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(disk.dir / "index")) {
    if (entry.path().extension() == ".sst") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

TEST_CASE("store: a sweep drops what was superseded before, with its bytes", "[store]") {
  Disk disk;
  const auto size = GENERATE(as<std::uint64_t>(), 5'000, 100'000);
  const auto first = seal_object(disk.owner, {.size = size, .version = Version::at(1)});
  const auto second = seal_object(disk.owner, {.size = size, .version = Version::at(2)});
  const auto third = seal_object(disk.owner, {.size = size, .version = Version::at(3)});
  disk.put(first);
  disk.now_ms = 1000;
  disk.put(second);
  disk.now_ms = 2000;
  disk.put(third);
  CHECK(disk->sweep(1000)->versions == 0);
  const auto report = disk->sweep(2000);
  CHECK(report->versions == 1);
  CHECK(report->bytes == size + 16);
  CHECK(error_of(disk->read_chunk(first.manifest, 0)) == Errc::not_found);
  CHECK_FALSE(*disk->find(first.id(), first.manifest->blob_id));
  check_content(*disk.store, second);
  CHECK(disk->sweep(2001)->versions == 1);
  CHECK(disk->sweep(forever)->versions == 0);
  check_content(*disk.store, third);
  CHECK(disk.blob_files().size() == (size > inline_bytes_max ? 1 : 0));
  disk.reopen();
  check_content(*disk.store, third);
}

TEST_CASE("store: a sweep leaves the blob that a later version took over", "[store]") {
  Disk disk;
  const auto size = GENERATE(as<std::uint64_t>(), 5'000, 100'000);
  const auto object = seal_object(disk.owner, {.size = size, .version = Version::at(1)});
  const auto moved = move_version(disk.owner, object, Version::at(2));
  disk.put(object);
  disk->commit_version(moved.manifest).value();
  const auto report = disk->sweep(forever);
  CHECK(report->versions == 1);
  CHECK(report->bytes == 0);
  check_content(*disk.store, moved);
  // Both are let go of in one sweep, and now nothing refers to the blob.
  disk->commit_version(move_version(disk.owner, object, Version::at(3)).manifest).value();
  disk->commit_inline(sign_tombstone(disk.owner, "a name", Version::at(4)), {}).value();
  CHECK(disk->sweep(forever)->bytes == size + 16);
  CHECK(error_of(disk->read_chunk(moved.manifest, 0)) == Errc::not_found);
  CHECK(disk.blob_files().empty());
}

TEST_CASE("store: a file that cannot be removed leaves no other behind", "[store]") {
  Disk disk;
  const auto put = [&](std::uint64_t version) {
    const auto object = seal_object(disk.owner, {.size = 100'000, .version = Version::at(version)});
    disk.put(object);
    return object;
  };
  put(1);
  const auto stuck = disk.blob_files().front();
  put(2);
  put(3);
  const auto latest = put(4);
  fs::remove(stuck);
  fs::create_directories(stuck / "something");
  CHECK_FALSE(disk->sweep(forever));
  CHECK(disk.blob_files().size() == 1);
  check_content(*disk.store, latest);
}

TEST_CASE("store: a long history is swept in batches", "[store]") {
  Disk disk;
  for (std::uint64_t i = 1; i <= 600; ++i) {
    const auto grave = sign_tombstone(disk.owner, i % 2 == 0 ? "a" : "b", Version::at(i));
    disk->commit_inline(grave, {}).value();
  }
  CHECK(disk->sweep(forever)->versions == 598);
  CHECK(disk.stats().tombstones == 2);
}

TEST_CASE("store: a sweep ends soon when the store is about to be closed", "[store]") {
  Disk disk;
  disk.put(seal_object(disk.owner, {.size = 100, .version = Version::at(1)}));
  disk.put(seal_object(disk.owner, {.size = 100, .version = Version::at(2)}));
  disk->cut_sweeps_short();
  CHECK(disk->sweep(forever)->versions == 0);
  disk.reopen();
  CHECK(disk->sweep(forever)->versions == 1);
}

TEST_CASE("store: a version that was dropped and stands again is not swept", "[store]") {
  Disk disk;
  const auto size = GENERATE(as<std::uint64_t>(), 5'000, 100'000);
  const auto first = seal_object(disk.owner, {.size = size, .version = Version::at(1)});
  const auto second = seal_object(disk.owner, {.size = size, .version = Version::at(2)});
  disk.put(first);
  disk.put(second);
  const std::array latest{counted(second.manifest).entry};
  REQUIRE(disk->drop(latest)->versions == 2);
  disk.put(first);
  CHECK(disk->sweep(forever)->versions == 0);
  check_content(*disk.store, first);
  // Superseded again, it goes once.
  disk.put(second);
  CHECK(disk->sweep(forever)->versions == 1);
  CHECK(disk.stats().objects == 1);
  check_content(*disk.store, second);
}

TEST_CASE("store: what is superseded is counted, whatever becomes of it", "[store]") {
  Disk disk;
  const auto check_superseded = [&](std::uint64_t count, std::uint64_t bytes) {
    CHECK(disk.stats().superseded == count);
    CHECK(disk.stats().superseded_bytes == bytes);
  };
  const auto small = seal_object(disk.owner, {.size = 5'000, .version = Version::at(1)});
  const auto large = seal_object(disk.owner, {.size = 100'000, .version = Version::at(2)});
  const auto last = sign_tombstone(disk.owner, "a name", Version::at(3));
  disk.put(small);
  check_superseded(0, 0);
  disk.put(large);
  disk.put(large);
  check_superseded(1, 5'016);
  disk.now_ms = 1'000;
  disk->commit_inline(last, {}).value();
  check_superseded(2, 105'032);
  disk.reopen();
  check_superseded(2, 105'032);
  disk->sweep(1'000).value();
  check_superseded(1, 100'016);
  SECTION("swept") {
    disk->sweep(forever).value();
  }
  SECTION("dropped with the latest, and its line is left") {
    const std::array latest{counted(last).entry};
    disk->drop(latest).value();
    check_superseded(0, 0);
    disk->sweep(forever).value();
  }
  SECTION("dropped, stored and superseded again: two lines, one version") {
    const std::array latest{counted(last).entry};
    disk->drop(latest).value();
    disk.now_ms = 2'000;
    disk.put(large);
    disk->commit_inline(last, {}).value();
    check_superseded(1, 100'016);
    disk.reopen();
    check_superseded(1, 100'016);
    CHECK(disk->sweep(forever)->versions == 1);
  }
  check_superseded(0, 0);
  disk.reopen();
  check_superseded(0, 0);
}

TEST_CASE("store: damage that a sweep meets is noted, and the rest is swept", "[store]") {
  Disk disk;
  const std::array<std::uint8_t, Seed::size> seed{
      1};  // the same keys, which Bloom filters tell apart
  disk.owner = OwnerKeys(Seed::from(seed).value());
  const auto put_twice = [&](const std::string& name) {
    disk.put(seal_object(disk.owner, {.name = name, .version = Version::at(1)}));
    disk.put(seal_object(disk.owner, {.name = name, .version = Version::at(2)}));
  };
  put_twice("before");
  disk.reopen();  // from the log into files, a family each
  const auto files = sst_files(disk);
  SECTION("in the list of what was superseded") {
    const FailingDisk failing({.read_error = EIO, .only = files.back()});
    CHECK(error_of(disk->sweep(forever)) == Errc::corrupt);
  }
  SECTION("in the versions of one object") {
    put_twice("after");
    const FailingDisk failing({.read_error = EIO, .only = files.front()});
    CHECK(disk->sweep(forever).value().versions == 1);
  }
  CHECK(disk.stats().index_damaged);
  CHECK(fs::exists(disk.dir / "index.lost"));
  disk.reopen();
  CHECK(disk.stats().index_rebuilt);
  disk->sweep(forever).value();
  CHECK(disk.stats().superseded == 0);
}

TEST_CASE("store: damage of the index that cannot be noted is noted when it is met again",
          "[store]") {
  Disk disk;
  disk.put(seal_object(disk.owner, {.version = Version::at(1)}));
  disk.put(seal_object(disk.owner, {.version = Version::at(2)}));
  disk.reopen();
  const auto table = sst_files(disk).back();
  {
    const FailingDisk failing({.read_error = EIO, .open_error = EIO, .only = table});
    fs::create_directories(disk.dir / "index.lost.new" / "in the way");
    CHECK(error_of(disk->sweep(forever)) == Errc::corrupt);
    CHECK_FALSE(disk.stats().index_damaged);
    fs::remove_all(disk.dir / "index.lost.new");
    CHECK(error_of(disk->sweep(forever)) == Errc::corrupt);
  }
  CHECK(disk.stats().index_damaged);
  CHECK(fs::exists(disk.dir / "index.lost"));
}

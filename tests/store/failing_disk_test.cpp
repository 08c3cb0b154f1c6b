// What the store does when the disk fails, and in which order it makes things durable.
#include <catch2/catch.hpp>
#include <cerrno>

#include "tests/store/disk_fixture.hpp"
#include "tests/support/failing_disk.hpp"

using namespace zerodb;
using namespace zerodb::test;
using sim::seal_object;
using sim::sign_tombstone;
using Kind = CommitOutcome::Kind;

namespace {

/// Where the first path that contains `part` is in the record; its length if none does.
std::size_t place_of(const std::vector<std::string>& synced, const std::string& part) {
  const auto contains = [&](const auto& path) { return path.find(part) != std::string::npos; };
  return static_cast<std::size_t>(std::ranges::find_if(synced, contains) - synced.begin());
}

void check_suspect(const Disk& disk) {
  CHECK(disk.stats().suspect);
  const auto object = seal_object(disk.owner, {.name = "other", .size = 100'000});
  const auto small = seal_object(disk.owner, {.name = "small"});
  const auto refused = disk->commit_inline(small.manifest, small.chunks[0]);
  CHECK(error_of(refused) == Errc::io);
  CHECK(refused.error().what.find("suspect") != std::string::npos);
  CHECK(error_of(disk->begin_upload({.binding = object.manifest->binding()})) == Errc::io);
  CHECK(error_of(disk->commit_version(small.manifest)) == Errc::io);
  CHECK(error_of(disk->sweep(forever)) == Errc::io);
}

}  // namespace

TEST_CASE("failing disk: a blob and its folders are durable before the index names it", "[store]") {
  Disk disk;
  disk.put(seal_object(disk.owner, {.name = "first"}));  // the log's own folder is synced once
  const auto object = seal_object(disk.owner, {.size = 100'000});
  const auto upload = disk.upload(object);
  const FailingDisk disk_record;
  REQUIRE(disk->commit_upload(*upload, object.manifest)->kind == Kind::stored);
  const auto synced = disk_record.synced();
  const auto folder = disk.blob_files().at(0).parent_path();
  const auto key = object.id().hashed_key.hex();
  REQUIRE(synced.size() == 6);
  CHECK(synced[0].find("/tmp/") != std::string::npos);
  CHECK(synced[1] == (disk.dir / "blobs"));
  CHECK(synced[2] == folder.parent_path().parent_path());
  CHECK(synced[3] == folder.parent_path());
  CHECK(synced[4] == folder);
  CHECK(place_of(synced, "/index/") == 5);
}

TEST_CASE("failing disk: an inline commit is one sync of the index", "[store]") {
  Disk disk;
  disk.put(seal_object(disk.owner, {.name = "first"}));
  const auto object = seal_object(disk.owner, {});
  const FailingDisk disk_record;
  disk.put(object);
  const auto synced = disk_record.synced();
  REQUIRE(synced.size() == 1);
  CHECK(place_of(synced, "/index/") == 0);
}

TEST_CASE("failing disk: after a failed sync of a blob nothing more is accepted", "[store]") {
  Disk disk;
  const auto kept = seal_object(disk.owner, {.name = "kept", .size = 100'000});
  disk.put(kept);
  const auto object = seal_object(disk.owner, {.size = 100'000});
  auto upload = disk.upload(object);
  {
    const FailingDisk failing({.sync_error = EIO});
    CHECK(error_of(disk->commit_upload(*upload, object.manifest)) == Errc::io);
  }
  // The disk syncs again, but what it lost it does not say.
  CHECK(error_of(disk->commit_upload(*upload, object.manifest)) == Errc::io);
  CHECK(std::filesystem::is_empty(disk.dir / "tmp"));
  check_suspect(disk);
  CHECK_FALSE(*disk->latest(object.id()));
  check_content(*disk.store, kept);  // reading goes on
  disk.reopen();
  CHECK_FALSE(disk.stats().suspect);
  CHECK(disk.put(object).kind == Kind::stored);
}

TEST_CASE("failing disk: after a failed sync of the index nothing more is accepted", "[store]") {
  Disk disk;
  const auto kept = seal_object(disk.owner, {.name = "kept"});
  disk.put(kept);
  const auto object = seal_object(disk.owner, {});
  {
    const FailingDisk failing({.sync_error = EIO});
    CHECK(error_of(disk->commit_inline(object.manifest, object.chunks[0])) == Errc::io);
  }
  check_suspect(disk);
  disk.reopen();
  check_content(*disk.store, kept);
}

TEST_CASE("failing disk: a damaged file stays until its replacement has its place", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 2'000'000});
  disk.put(object);
  flip(disk.blob_files().at(0), 1'500'000);
  REQUIRE_FALSE(*disk->check(object.manifest));
  disk.reopen();  // no folder is known to be durable
  {
    const auto upload = disk.upload(object);
    const FailingDisk failing({.sync_error = EIO, .only = disk.dir / "blobs"});
    CHECK(error_of(disk->commit_upload(*upload, object.manifest)) == Errc::io);
  }
  disk.reopen();
  CHECK(disk->is_damaged(object.manifest->binding()));
  const auto whole = disk->read_chunk(object.manifest, 0);
  REQUIRE(whole);
  CHECK(as_text(whole->view()) == as_text(object.chunks[0]));
  CHECK(disk.put(object).kind == Kind::stored);
  check_content(*disk.store, object);
}

TEST_CASE("failing disk: a full disk refuses chunks and is no reason for suspicion", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 2'000'000});
  auto upload = disk->begin_upload({.binding = object.manifest->binding()}).value();
  {
    const FailingDisk failing({.write_error = ENOSPC});
    CHECK(error_of(upload->write(0, object.chunks[0])) == Errc::full);
    CHECK(error_of(disk->begin_upload({.binding = object.manifest->binding()})) == Errc::full);
  }
  CHECK_FALSE(disk.stats().suspect);
  CHECK(upload->write(1, object.chunks[1]));
  CHECK(error_of(disk->commit_upload(*upload, object.manifest)) == Errc::invalid);
  CHECK(upload->write(0, object.chunks[0]));
  CHECK(disk->commit_upload(*upload, object.manifest)->kind == Kind::stored);
  check_content(*disk.store, object);
}

// Every kind of damage to what lies on the disk is found, marked, and mended by a commit.
#include "store/scrub.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "tests/store/disk_fixture.hpp"
#include "tests/support/failing_disk.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using namespace zerodb::test;
using sim::seal_object;
using sim::sign_tombstone;
using Kind = CommitOutcome::Kind;
namespace fs = std::filesystem;

namespace {

/// A whole walk, in steps of about `bytes_max`.
struct Walk {
  explicit Walk(Store& store, std::uint64_t bytes_max = 4 * mib) {
    std::string position;
    do {
      auto step = store.scrub(position, bytes_max);
      REQUIRE(step);
      CHECK(step->done_per_mille >= per_mille);
      per_mille = step->done_per_mille;
      counts += step->counts;
      findings.insert(findings.end(), step->findings.begin(), step->findings.end());
      position = step->next;
      REQUIRE(++steps < 10'000);
    } while (!position.empty());
  }

  ScrubCounts counts;
  std::vector<std::string> findings;
  std::uint32_t per_mille = 0;
  std::size_t steps = 0;
};

void make_old(const fs::path& path) {
  fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(2));
}

std::vector<SignedManifest> marked(const Disk& disk) {
  return disk->damaged({}, 100).value().versions;
}

}  // namespace

TEST_CASE("scrub: what is whole is counted and left alone", "[store]") {
  Disk disk;
  const auto large = seal_object(disk.owner, {.name = "large", .size = 3 * mib + 5});
  disk.put(large);
  disk.put(seal_object(disk.owner, {.name = "small"}));
  disk.put(seal_object(disk.owner, {.name = "gone"}));
  disk->commit_inline(sign_tombstone(disk.owner, "gone", Version::at(2'000)), {}).value();
  const Walk walk(*disk.store);
  CHECK(walk.counts.versions == 3);
  CHECK(walk.counts.bytes > 3 * mib);
  CHECK(walk.counts.damaged == 0);
  CHECK(walk.counts.orphans == 0);
  CHECK(disk.stats().damaged == 0);
  CHECK(*disk->check(large.manifest));
}

TEST_CASE("scrub: a flipped byte anywhere in a blob file is found", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 2 * mib + 1000});
  disk.put(object);
  const auto path = disk.blob_files().at(0);
  const auto size = fs::file_size(path);
  // Header, chunks, leaves, manifest, footer: every kind of byte, and some of each.
  std::vector<std::uint64_t> places{0,   9,   17,      50,        85,           100,
                                    120, 128, 700'000, mib + 200, 2 * mib + 300};
  for (std::uint64_t back = 1; back < size - (2 * mib + 1176); back += 7)
    places.push_back(size - back);
  for (const auto at : places) {
    INFO("byte " << at << " of " << size);
    flip(path, at);
    const Walk walk(*disk.store);
    CHECK(walk.counts.damaged == 1);
    REQUIRE(walk.findings.size() == 1);
    CHECK(walk.findings[0].find(path.string()) != std::string::npos);
    REQUIRE(marked(disk).size() == 1);
    flip(path, at);
    CHECK(Walk(*disk.store).counts.damaged == 0);  // whole again: the mark goes
    CHECK(marked(disk).empty());
  }
}

TEST_CASE("scrub: a large blob that is whole again loses its mark, in small steps too", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 5 * mib});
  disk.put(object);
  const auto path = disk.blob_files().at(0);
  flip(path, 3 * mib + 500);
  CHECK_FALSE(*disk->check(object.manifest));
  CHECK(Walk(*disk.store, mib).counts.damaged == 1);
  CHECK(marked(disk).size() == 1);
  flip(path, 3 * mib + 500);
  const Walk walk(*disk.store, mib);
  CHECK(walk.counts.damaged == 0);
  CHECK(walk.steps > 5);
  CHECK(marked(disk).empty());
}

TEST_CASE("scrub: a mark stays when it came after the walk had passed, or a part is damaged",
          "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 5 * mib});
  disk.put(object);
  const auto path = disk.blob_files().at(0);
  auto step = disk->scrub("", 2 * mib).value();
  flip(path, 500);
  CHECK_FALSE(*disk->check(object.manifest));
  while (!step.next.empty())
    step = disk->scrub(step.next, 2 * mib).value();
  CHECK(marked(disk).size() == 1);
  flip(path, 500);
  flip(path, 4 * mib + 500);  // behind what the first steps find whole
  CHECK(Walk(*disk.store, mib).counts.damaged == 1);
  CHECK(marked(disk).size() == 1);
}

TEST_CASE("scrub: missing and short files are found; the entry stays, the mark is durable",
          "[store]") {
  Disk disk;
  const auto missing = seal_object(disk.owner, {.name = "missing", .size = 100'000});
  disk.put(missing);
  fs::remove(disk.blob_files().at(0));
  const auto cut = seal_object(disk.owner, {.name = "cut", .size = 200'000});
  disk.put(cut);
  fs::resize_file(disk.blob_files().at(0), 150'000);
  const auto digests = disk->digests();
  CHECK(Walk(*disk.store).counts.damaged == 2);
  CHECK(disk.stats().damaged == 2);
  disk.reopen();
  CHECK(disk.stats().damaged == 2);
  CHECK(disk->digests() == digests);
  CHECK((*disk->latest(missing.id()))->hash() == missing.manifest.hash());
  CHECK(error_of(disk->read_chunk(missing.manifest, 0)) == Errc::not_found);
  const auto first = disk->damaged({}, 1).value();
  REQUIRE(first.versions.size() == 1);
  REQUIRE(first.next_after);
  const auto second = disk->damaged(first.next_after, 1).value();
  REQUIRE(second.versions.size() == 1);
  CHECK(second.versions[0]->object != first.versions[0]->object);
}

TEST_CASE("scrub: a commit of the same version mends it and puts the damaged file aside",
          "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 2 * mib});
  disk.put(object);
  flip(disk.blob_files().at(0), mib + 500);
  CHECK_FALSE(*disk->check(object.manifest));
  CHECK(disk->read_chunk(object.manifest, 0));  // what is whole can still be had
  CHECK(disk.put(object).kind == Kind::stored);
  CHECK(marked(disk).empty());
  CHECK(disk.stats().quarantine_files == 1);
  CHECK(disk.stats().quarantine_bytes > 2 * mib);
  check_content(*disk.store, object);
  CHECK(Walk(*disk.store).counts.damaged == 0);
  disk.reopen();
  CHECK(disk.stats().damaged == 0);
  CHECK(disk.stats().quarantine_files == 1);
}

TEST_CASE("scrub: a blob that is marked does not move on to a later version", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  disk.put(object);
  flip(disk.blob_files().at(0), 5'000);
  CHECK_FALSE(*disk->check(object.manifest));
  const auto later = sim::move_version(disk.owner, object, Version::at(2'000));
  CHECK(disk->commit_version(later.manifest)->kind == Kind::blob_missing);
  CHECK(disk.put(later).kind == Kind::stored);
  CHECK(disk.stats().damaged == 0);
  CHECK(disk->check(later.manifest).value());
}

TEST_CASE("scrub: a blob that moved to a later version is whole", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  disk.put(object);
  const auto later = sim::move_version(disk.owner, object, Version::at(2'000));
  CHECK(disk->commit_version(later.manifest)->kind == Kind::stored);
  CHECK(Walk(*disk.store).counts.damaged == 0);
}

TEST_CASE("scrub: another object's file in the place of a blob is damage", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.name = "a", .size = 100'000});
  disk.put(object);
  const auto path = disk.blob_files().at(0);
  disk.put(seal_object(disk.owner, {.name = "b", .size = 100'000}));
  for (const auto& other : disk.blob_files()) {
    if (other != path) fs::copy_file(other, path, fs::copy_options::overwrite_existing);
  }
  const Walk walk(*disk.store);
  CHECK(walk.counts.damaged == 1);
  CHECK(marked(disk).at(0)->object == object.id());
}

TEST_CASE("scrub: damage of what was superseded or deleted is nobody's concern", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  disk.put(object);
  flip(disk.blob_files().at(0), 5'000);
  CHECK_FALSE(*disk->check(object.manifest));
  disk->commit_inline(sign_tombstone(disk.owner, "a name", Version::at(2'000)), {}).value();
  CHECK(disk.stats().damaged == 0);
  CHECK(*disk->check(object.manifest));
  CHECK(marked(disk).empty());
  disk.reopen();
  CHECK(disk.stats().damaged == 0);
  CHECK(Walk(*disk.store).counts.damaged == 0);
}

TEST_CASE("scrub: what is dropped is damaged no more", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  disk.put(object);
  flip(disk.blob_files().at(0), 5'000);
  CHECK_FALSE(*disk->check(object.manifest));
  const std::array latest{counted(object.manifest).entry};
  CHECK(disk->drop(latest)->versions == 1);
  CHECK(disk.stats().damaged == 0);
  disk.reopen();
  CHECK(disk.stats().damaged == 0);
}

TEST_CASE("scrub: files that no version refers to go to the quarantine when they are old",
          "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  disk.put(object);
  const auto path = disk.blob_files().at(0);
  const auto leftover =
      path.parent_path() / (object.id().hashed_key.hex() + "." + std::string(32, 'a'));
  const auto stray = path.parent_path() / "notes.txt";
  fs::copy_file(path, leftover);
  std::ofstream(stray) << "not ours";
  CHECK(Walk(*disk.store).counts.orphans == 0);  // could be a commit under way
  make_old(leftover);
  make_old(stray);
  make_old(path);
  const Walk walk(*disk.store);
  CHECK(walk.counts.orphans == 2);
  CHECK(walk.findings.size() == 2);
  CHECK_FALSE(fs::exists(leftover));
  CHECK_FALSE(fs::exists(stray));
  CHECK(disk.stats().quarantine_files == 2);
  check_content(*disk.store, object);
  CHECK(Walk(*disk.store).counts.orphans == 0);
}

TEST_CASE("scrub: what the disk cannot read is damage, and the walk goes on", "[store]") {
  Disk disk;
  const auto large = seal_object(disk.owner, {.name = "large", .size = 100'000});
  const auto beside = seal_object(disk.owner, {.name = "beside", .size = 5'000});
  for (const auto& object : {large, beside, seal_object(disk.owner, {.name = "small"})})
    disk.put(object);
  disk.reopen();  // from the log into files
  const auto error = GENERATE(EIO, EUCLEAN, EBADMSG);
  DiskFaults faults;
  std::optional<BlobId> damaged = large.manifest->blob_id;
  SECTION("a blob file cannot be opened") {
    faults = {.open_error = error, .only = disk.blob_files().at(0)};
  }
  SECTION("a blob file cannot be read") {
    faults = {.read_error = error, .only = disk.blob_files().at(0)};
  }
  SECTION("an inline value cannot be read") {
    faults = {.read_error = error, .only = ".blob"};
    damaged = beside.manifest->blob_id;
  }
  SECTION("the file of inline values cannot be opened") {
    faults = {.open_error = error, .only = ".blob"};
    damaged = beside.manifest->blob_id;
  }
  {
    const FailingDisk failing(faults);
    const Walk walk(*disk.store);
    CHECK(walk.counts.damaged == 1);
    CHECK(walk.counts.versions == 3);
  }
  REQUIRE(marked(disk).size() == 1);
  CHECK(marked(disk)[0]->blob_id == damaged);
  CHECK_FALSE(disk.stats().index_damaged);
  CHECK(Walk(*disk.store).counts.damaged == 0);
  CHECK(marked(disk).empty());
}

TEST_CASE("scrub: what cannot be read of the index is passed over", "[store]") {
  Disk disk;
  for (int i = 0; i < 3; ++i)
    disk.put(seal_object(disk.owner, {.name = "name " + std::to_string(i), .size = 100'000}));
  disk.reopen();
  {
    const FailingDisk failing({.read_error = EIO, .only = ".sst"});
    const Walk walk(*disk.store);
    CHECK(walk.counts.orphans == 0);
  }
  CHECK(disk.stats().index_damaged);
  CHECK(disk.stats().damaged == 0);
  disk.reopen();
  CHECK(disk.stats().index_rebuilt);
  CHECK(Walk(*disk.store).counts.versions == 3);
}

TEST_CASE("scrub: a mark of what the index cannot read keeps no others from repair", "[store]") {
  Disk disk;
  const auto unreadable = seal_object(disk.owner, {.name = "unreadable", .size = 100'000});
  disk.put(unreadable);
  flip(disk.blob_files().at(0), 5'000);
  REQUIRE_FALSE(disk->check(unreadable.manifest).value());
  disk.reopen();  // from the log into tables
  const FailingDisk failing({.read_error = EIO, .only = ".sst"});
  const auto page = disk->damaged(std::nullopt, 10);
  REQUIRE(page);
  CHECK(page->versions.empty());
  CHECK(disk.stats().damaged == 1);
  CHECK(disk.stats().index_damaged);
}

TEST_CASE("scrub: what the machine lacks says nothing of what is on the disk", "[store]") {
  Disk disk;
  disk.put(seal_object(disk.owner, {.size = 100'000}));
  {
    const auto error = GENERATE(EMFILE, ENFILE, ENOMEM, EACCES);
    const FailingDisk failing({.open_error = error, .only = disk.blob_files().at(0)});
    CHECK(error_of(disk->scrub("", mib)) == Errc::io);
  }
  CHECK(Walk(*disk.store).counts.versions == 1);
  CHECK(disk.stats().damaged == 0);
}

TEST_CASE("scrub: small steps see all, and go on after a restart", "[store]") {
  Disk disk;
  std::vector<sim::SealedObject> objects;
  for (int i = 0; i < 20; ++i) {
    objects.push_back(seal_object(
        disk.owner, {.name = "name " + std::to_string(i), .size = i % 4 == 0 ? 3 * mib : 2'000U}));
    disk.put(objects.back());
  }
  const auto files = disk.blob_files();
  flip(files.at(2), 2 * mib + 9'000);
  const Walk walk(*disk.store, 1);
  CHECK(walk.counts.versions == 20);
  CHECK(walk.counts.damaged == 1);
  CHECK(walk.steps > 30);

  std::string position;
  ScrubCounts counts;
  do {
    disk.reopen();
    const auto step = disk->scrub(position, 2 * mib).value();
    counts += step.counts;
    position = step.next;
  } while (!position.empty());
  CHECK(counts.versions == 20);
  CHECK(counts.damaged == 1);
  for (const auto* odd : {"x", "v", "vshort", "f\xff"})
    CHECK(disk->scrub(odd, mib));
}

TEST_CASE("quarantine: a sweep empties it when the disk is nearly full", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  disk.put(object);
  flip(disk.blob_files().at(0), 5'000);
  CHECK_FALSE(*disk->check(object.manifest));
  disk.put(object);
  disk->sweep(forever).value();
  CHECK(disk.stats().quarantine_files == 1);
  disk.reserve_bytes = std::numeric_limits<std::uint64_t>::max();
  disk.reopen();
  disk->sweep(forever).value();
  CHECK(disk.stats().quarantine_files == 0);
  check_content(*disk.store, object);
}

TEST_CASE("quarantine: the oldest files are dropped for the newest", "[store]") {
  const TempDir dir;
  Quarantine quarantine(dir / "quarantine", {.bytes_max = 100, .files_max = 3});
  REQUIRE(quarantine.prepare());
  const auto take = [&](const std::string& name, std::size_t bytes) {
    std::ofstream(dir / name) << std::string(bytes, 'x');
    REQUIRE(quarantine.take(dir / name));
  };
  for (const auto* name : {"a", "b", "c", "d"})
    take(name, 10);
  CHECK(quarantine.size().files == 3);
  CHECK_FALSE(fs::exists(dir / "quarantine/0-a"));
  CHECK(fs::exists(dir / "quarantine/3-d"));
  take("e", 85);
  CHECK(quarantine.size().files == 2);
  CHECK(quarantine.size().bytes == 95);
  REQUIRE(quarantine.take(dir / "nothing"));
  std::ofstream(dir / "large") << std::string(101, 'x');
  quarantine.keep(dir / "large");  // no room for it, and no reason to drop others
  CHECK(fs::exists(dir / "large"));
  CHECK(quarantine.size().files == 2);
  for (const auto& file : fs::directory_iterator(dir / "quarantine"))
    fs::remove(file);  // by hand
  take("f", 90);
  CHECK(quarantine.size().files == 1);
  take("g", 10);
  CHECK(quarantine.size().files == 2);
  Quarantine again(dir / "quarantine", {});
  REQUIRE(again.prepare());
  CHECK(again.size().files == 2);
  CHECK(again.size().bytes == 100);
}

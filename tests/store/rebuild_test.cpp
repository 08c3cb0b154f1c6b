// An index that was lost or damaged is made anew when the store is opened.
#include "store/rebuild.hpp"

#include <algorithm>
#include <fstream>

#include "tests/store/disk_fixture.hpp"
#include "tests/support/failing_disk.hpp"

using namespace zerodb;
using namespace zerodb::test;
using sim::seal_object;
using sim::sign_tombstone;
namespace fs = std::filesystem;

namespace {

struct Scene : Disk {
  Scene() {
    for (int i = 0; i < 12; ++i) {
      objects.push_back(seal_object(
          owner, {.name = "name " + std::to_string(i), .size = i % 2 == 0 ? 100'000U : 2'000U}));
      put(objects.back());
    }
  }

  void open() {
    store.reset();
    store = open_store({.folder = dir.path(),
                        .now_ms = [this] { return ++now_ms; },
                        .on_index_lost = [this]() -> Status {
                          ++times_lost;
                          return {};
                        }})
                .value();
  }

  bool is_latest(const SignedManifest& manifest) {
    const auto latest = store->latest(manifest->object).value();
    return latest && latest->hash() == manifest.hash();
  }
  bool is_here(const sim::SealedObject& object) { return is_latest(object.manifest); }

  std::vector<fs::path> index_files(const std::string& extension) const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(dir / "index")) {
      if (entry.path().extension() == extension) files.push_back(entry.path());
    }
    return files;
  }

  fs::path log() const {
    const auto logs = index_files(".log");
    REQUIRE(logs.size() == 1);
    return logs[0];
  }

  std::size_t set_aside() const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(dir.path()))
      count += entry.path().filename().string().starts_with("index.damaged-") ? 1 : 0;
    return count;
  }

  std::vector<sim::SealedObject> objects;
  int times_lost = 0;
};

void overwrite(const fs::path& path, std::uint64_t at, const std::string& with) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file << with;
}

}  // namespace

TEST_CASE("rebuild: a missing index is made anew from blob files", "[store]") {
  Scene scene;
  const auto digests_before = scene->digests();
  scene.store.reset();
  fs::remove_all(scene.dir / "index");
  scene.open();
  CHECK(scene.times_lost == 1);
  CHECK(scene.stats().index_rebuilt);
  CHECK(scene.stats().objects == 6);
  for (const auto& object : scene.objects) {
    INFO(object.manifest->size);
    CHECK(scene.is_here(object) == !object.manifest->is_inline());
    if (!object.manifest->is_inline()) check_content(*scene.store, object);
  }
  for (const auto& object : scene.objects)
    scene.put(object);
  CHECK(scene->digests() == digests_before);
  scene.open();
  CHECK(scene.times_lost == 1);
  CHECK_FALSE(scene.stats().index_rebuilt);
}

TEST_CASE("rebuild: a store that is new, or whole, lost nothing", "[store]") {
  Scene scene;
  scene.open();
  CHECK(scene.times_lost == 0);
  scene.store.reset();
  for (const auto& entry : fs::directory_iterator(scene.dir.path()))
    fs::remove_all(entry.path());
  scene.open();
  CHECK(scene.times_lost == 0);
  CHECK(scene.stats().objects == 0);
}

TEST_CASE("rebuild: a refusal to note the loss ends the opening", "[store]") {
  Scene scene;
  scene.store.reset();
  fs::remove_all(scene.dir / "index");
  const auto refused = open_store(
      {.folder = scene.dir.path(), .on_index_lost = [] { return fail(Errc::io, "no"); }});
  CHECK(error_of(refused) == Errc::io);
  scene.open();  // and the next one begins anew
  CHECK(scene.times_lost == 1);
  CHECK(scene.stats().objects == 6);
}

TEST_CASE("rebuild: of several files the later version stands, and the others are swept",
          "[store]") {
  Scene scene;
  const auto later =
      seal_object(scene.owner, {.name = "name 0", .size = 150'000, .version = Version::at(5'000)});
  scene.put(later);
  REQUIRE(scene.blob_files().size() == 7);
  scene.store.reset();
  fs::remove_all(scene.dir / "index");
  scene.open();
  CHECK(scene.is_here(later));
  CHECK(scene.stats().objects == 6);
  CHECK(scene->sweep(forever)->versions == 1);
  CHECK(scene.blob_files().size() == 6);
  check_content(*scene.store, later);
}

TEST_CASE("rebuild: damaged and foreign files are not believed", "[store]") {
  Scene scene;
  scene.store.reset();
  auto files = scene.blob_files();
  overwrite(files.at(0), fs::file_size(files[0]) - 20, "xx");
  fs::rename(files.at(1), files[1].parent_path() / ("0" + files[1].filename().string().substr(1)));
  fs::remove_all(scene.dir / "index");
  scene.open();
  CHECK(scene.stats().objects >= 4);
  CHECK(scene.stats().objects <= 5);  // a renamed file may have begun with that digit anyway
}

TEST_CASE("rebuild: from a damaged index all that can be read is kept", "[store]") {
  Scene scene;
  const auto dead = sign_tombstone(scene.owner, "name 2", Version::at(9'000));
  scene->commit_inline(dead, {}).value();
  SECTION("the list of its files is damaged") {
    scene.store.reset();
    const auto current = scene.dir / "index" / "CURRENT";
    overwrite(current, 0, "garbage!");
  }
  SECTION("a pointer to its files is missing") {
    scene.store.reset();
    fs::remove(scene.dir / "index" / "CURRENT");
  }
  SECTION("a table is damaged") {
    scene.reopen();  // what was logged becomes tables
    scene.store.reset();
    for (const auto& table : scene.index_files(".sst"))
      overwrite(table, 40, "garbage!");
  }
  scene.open();
  CHECK(scene.times_lost >= 1);
  CHECK(scene.stats().index_rebuilt);
  CHECK(scene.set_aside() == 1);
  for (const auto& object : scene.objects) {
    if (!object.manifest->is_inline()) CHECK(scene->latest(object.id()).value());
  }
}

TEST_CASE("rebuild: with a file of an index is lost what it held, and nothing else", "[store]") {
  Scene scene;
  scene.open();  // what was logged becomes tables
  const auto early_tables = scene.index_files(".sst");
  const auto dead = sign_tombstone(scene.owner, "name 1", Version::at(9'000));
  scene->commit_inline(dead, {}).value();
  scene.open();
  const auto late = seal_object(scene.owner, {.name = "late", .size = 2'000});
  scene.put(late);
  scene.store.reset();
  bool early_lost = false;
  bool dead_lost = false;
  SECTION("tables are missing") {
    early_lost = true;
    for (const auto& table : early_tables)
      fs::remove(table);
  }
  SECTION("tables are cut") {
    early_lost = true;
    for (const auto& table : early_tables)
      fs::resize_file(table, fs::file_size(table) / 2);
  }
  SECTION("the last tables are missing") {
    dead_lost = true;
    for (const auto& table : scene.index_files(".sst"))
      if (!std::ranges::count(early_tables, table)) fs::remove(table);
  }
  SECTION("the name of the list of files is damaged") {
    overwrite(scene.dir / "index" / "CURRENT", 0, "garbage!");
  }
  SECTION("the list of files is damaged") {
    for (const auto& list : scene.index_files(""))
      if (list.filename().string().starts_with("MANIFEST")) overwrite(list, 20, "garbage!");
  }
  scene.open();
  CHECK(scene.stats().index_rebuilt);
  CHECK_FALSE(fs::exists(scene.dir / "index.salvage"));
  CHECK(scene.is_latest(dead) != dead_lost);
  CHECK(scene.is_here(late));
  check_content(*scene.store, late);
  for (std::size_t i = 0; i < scene.objects.size(); ++i) {
    if (i == 1) continue;
    const auto& object = scene.objects[i];
    const bool is_lost = early_lost && object.manifest->is_inline();
    CHECK(scene.is_here(object) != is_lost);
    if (!is_lost) check_content(*scene.store, object);
  }
}

TEST_CASE("rebuild: a version that is found without its bytes is marked, and marks are kept",
          "[store]") {
  Scene scene;
  const auto path_of = [&](const sim::SealedObject& object) {
    const auto files = scene.blob_files();
    return *std::ranges::find_if(
        files, [&](const fs::path& file) { return file.stem() == object.id().hashed_key.hex(); });
  };
  const auto valueless = seal_object(scene.owner, {.name = "valueless", .size = 30'000});
  scene.put(valueless);
  const auto& whole = scene.objects[0];
  const auto& fileless = scene.objects[2];
  const auto& marked = scene.objects[4];
  flip(path_of(marked), 5'000);
  REQUIRE_FALSE(scene->check(marked.manifest).value());
  scene.open();  // what was logged becomes tables
  scene.store.reset();
  fs::remove(path_of(fileless));
  for (const auto& values : scene.index_files(".blob"))
    fs::remove(values);
  overwrite(scene.dir / "index" / "CURRENT", 0, "garbage!");
  for (int opened = 0; opened < 2; ++opened) {
    scene.open();
    for (const auto* object : {&valueless, &fileless, &marked}) {
      CHECK(scene.is_here(*object));
      CHECK(scene->is_damaged(object->manifest->binding()));
    }
    CHECK_FALSE(scene->is_damaged(whole.manifest->binding()));
    CHECK(scene.stats().damaged == 3);
  }
  CHECK(scene->damaged(std::nullopt, 10)->versions.size() == 3);
  scene.put(valueless);
  scene.put(fileless);
  CHECK(scene.stats().damaged == 1);
  check_content(*scene.store, valueless);
}

TEST_CASE("rebuild: what tables and the log both have is found without the list of files",
          "[store]") {
  Disk disk;
  std::vector<sim::SealedObject> objects;
  const auto has_tables = [&] {
    const fs::directory_iterator files(disk.dir / "index");
    return std::any_of(begin(files), end(files),
                       [](const auto& file) { return file.path().extension() == ".sst"; });
  };
  while (!has_tables() && objects.size() < 3'000) {
    objects.push_back(seal_object(
        disk.owner, {.name = "name " + std::to_string(objects.size()), .size = 60'000}));
    disk.put(objects.back());
  }
  REQUIRE(has_tables());
  disk.store.reset();
  for (const auto& entry : fs::directory_iterator(disk.dir / "index")) {
    if (entry.path().filename().string().starts_with("MANIFEST"))
      overwrite(entry.path(), 20, "garbage!");
  }
  disk.reopen();
  CHECK(disk.stats().objects == objects.size());
  CHECK(disk.stats().damaged == 0);
  for (const auto& object : objects)
    check_content(*disk.store, object);
}

TEST_CASE("rebuild: values beside the tables are found without a table of versions", "[store]") {
  Scene scene;
  const auto large = seal_object(scene.owner, {.name = "large", .size = 30'000});
  scene.put(large);
  scene.open();  // what was logged becomes tables, and the value lies beside them
  REQUIRE(scene.index_files(".blob").size() == 1);
  const auto early_tables = scene.index_files(".sst");
  scene->commit_inline(sign_tombstone(scene.owner, "name 1", Version::at(9'000)), {}).value();
  scene.open();
  scene.store.reset();
  for (const auto& table : scene.index_files(".sst"))
    if (!std::ranges::count(early_tables, table)) fs::remove(table);
  SECTION("which the list of files tells of") {}
  SECTION("nor the name of the list of files") {
    fs::remove(scene.dir / "index" / "CURRENT");
  }
  scene.open();
  CHECK(scene.stats().index_rebuilt);
  CHECK(scene.stats().damaged == 0);
  CHECK(scene.is_here(large));
  check_content(*scene.store, large);
}

TEST_CASE("rebuild: a table that the disk cannot read is lost, and no start is", "[store]") {
  Scene scene;
  scene.open();  // what was logged becomes tables
  scene.store.reset();
  auto tables = scene.index_files(".sst");
  std::ranges::sort(tables);
  const auto bad = tables.at(GENERATE(0U, 1U));
  std::string where = "index/";
  SECTION("of an index that a start finds so") {}
  SECTION("of an index that was put aside") {
    REQUIRE(note_index_lost(scene.dir.path(), 77));
    fs::rename(scene.dir / "index", scene.dir / "index.damaged-77");
    where = "index.damaged-77/";
  }
  const FailingDisk failing({.read_error = EIO, .only = where + bad.filename().string()});
  scene.open();
  for (const auto& object : scene.objects)
    if (!object.manifest->is_inline()) CHECK(scene.is_here(object));
}

TEST_CASE("rebuild: an index that cannot be synced when it is opened is not damaged", "[store]") {
  Scene scene;
  scene.store.reset();
  {
    const FailingDisk failing({.sync_error = EIO, .only = "index/"});
    CHECK(error_of(open_store({.folder = scene.dir.path()})) == Errc::io);
  }
  scene.open();
  CHECK_FALSE(scene.stats().index_rebuilt);
}

TEST_CASE("rebuild: a blob file that cannot be opened for now is not passed over", "[store]") {
  Scene scene;
  scene.store.reset();
  fs::remove_all(scene.dir / "index");
  {
    const auto error = GENERATE(EMFILE, ENOMEM, EACCES);
    const FailingDisk failing({.open_error = error, .only = scene.blob_files().at(0)});
    CHECK(error_of(open_store({.folder = scene.dir.path()})) == Errc::io);
  }
  scene.open();
  for (const auto& object : scene.objects)
    if (!object.manifest->is_inline()) CHECK(scene.is_here(object));
}

TEST_CASE("rebuild: a log of the old index that cannot be opened for now is not passed over",
          "[store]") {
  Scene scene;
  scene.store.reset();
  REQUIRE(scene.index_files(".sst").empty());
  REQUIRE(note_index_lost(scene.dir.path(), 77));
  const auto aside = scene.dir / "index.damaged-77";
  fs::rename(scene.dir / "index", aside);
  SECTION("all else is whole") {}
  SECTION("the list of files is lost, too") {
    fs::remove(aside / "CURRENT");
  }
  {
    const auto error = GENERATE(EMFILE, ENOMEM, EACCES);
    const auto logs =
        GENERATE("index.damaged-77/000004.log", "listed/000004.log", "whole/000004.log");
    const FailingDisk failing({.open_error = error, .only = logs});
    const auto opened = open_store({.folder = scene.dir.path()});
    if (!opened) CHECK(opened.error().code == Errc::io);
  }
  scene.open();
  for (const auto& object : scene.objects)
    CHECK(scene.is_here(object));
}

TEST_CASE("rebuild: what is in the log alone is found without the list of files", "[store]") {
  Scene scene;
  scene.store.reset();
  REQUIRE(scene.index_files(".sst").empty());
  fs::remove(scene.dir / "index" / "CURRENT");
  for (const auto& list : scene.index_files(""))
    if (list.filename().string().starts_with("MANIFEST")) fs::remove(list);
  scene.open();
  for (const auto& object : scene.objects) {
    CHECK(scene.is_here(object));
    check_content(*scene.store, object);
  }
}

TEST_CASE("rebuild: a disk that refuses to read the old index is asked again", "[store]") {
  Scene scene;
  scene.store.reset();
  REQUIRE(note_index_lost(scene.dir.path(), 77));
  const auto aside = scene.dir / "index.damaged-77";
  fs::rename(scene.dir / "index", aside);
  fs::rename(aside / "CURRENT", aside / "kept");
  fs::create_symlink("CURRENT", aside / "CURRENT");  // too many links to follow
  CHECK(error_of(open_store({.folder = scene.dir.path()})) == Errc::io);
  fs::rename(aside / "kept", aside / "CURRENT");
  scene.open();
  for (const auto& object : scene.objects)
    CHECK(scene.is_here(object));
}

TEST_CASE("rebuild: a log that is damaged in the middle is no reason to forget quietly",
          "[store]") {
  Scene scene;
  scene.store.reset();
  const auto log = scene.log();
  INFO(fs::file_size(log));
  overwrite(log, fs::file_size(log) / 2, "garbage!");
  scene.open();
  CHECK(scene.times_lost == 1);
  for (const auto& object : scene.objects) {
    if (!object.manifest->is_inline()) CHECK(scene.is_here(object));
  }
}

TEST_CASE("rebuild: the recovery from a damaged log, broken off, begins anew", "[store]") {
  Scene scene;
  scene.store.reset();
  overwrite(scene.log(), fs::file_size(scene.log()) / 2, "garbage!");
  const auto blobs = scene.dir / "blobs";
  const auto refused = open_store({.folder = scene.dir.path(), .on_index_lost = [&]() -> Status {
                                     fs::rename(blobs, scene.dir / "kept");
                                     std::ofstream(blobs) << "no folder";
                                     return {};
                                   }});
  CHECK(error_of(refused) == Errc::io);
  fs::remove(blobs);
  fs::rename(scene.dir / "kept", blobs);
  scene.open();
  CHECK(scene.times_lost == 1);
  CHECK(scene.stats().index_rebuilt);
  for (const auto& object : scene.objects)
    if (!object.manifest->is_inline()) CHECK(scene.is_here(object));
  scene.open();
  CHECK(scene.times_lost == 1);
}

TEST_CASE("rebuild: an index that cannot be looked at is neither missing nor made anew",
          "[store]") {
  Scene scene;
  scene.store.reset();
  const auto current = scene.dir / "index" / "CURRENT";
  fs::rename(current, scene.dir / "kept");
  fs::create_symlink("CURRENT", current);  // too many links to follow
  CHECK(error_of(open_store({.folder = scene.dir.path()})) == Errc::io);
  CHECK(scene.set_aside() == 0);
  fs::rename(scene.dir / "kept", current);
  scene.open();
  CHECK(scene.times_lost == 0);
  CHECK(scene.stats().objects == 12);
}

TEST_CASE("rebuild: a write that was broken off is no loss", "[store]") {
  Scene scene;
  const auto before = fs::file_size(scene.log());
  const std::uint64_t size =
      GENERATE(0U, 2'000U, 60'000U);  // the last is longer than a block of the log
  const auto broken_off = seal_object(scene.owner, {.name = "broken off", .size = size});
  scene.put(broken_off);
  const auto log = scene.log();
  scene.store.reset();
  const auto whole = fs::file_size(log) - before;
  const auto left = GENERATE_COPY(from_range(
      std::vector<std::uintmax_t>{0, 1, 6, 7, 8, whole / 3, whole / 2, whole - 7, whole - 1}));
  INFO("of a record of " << whole << " bytes " << left << " are there");
  fs::resize_file(log, before + left);
  scene.open();
  CHECK(scene.times_lost == 0);
  CHECK_FALSE(scene.stats().index_rebuilt);
  CHECK(scene.stats().objects == 12);
  for (const auto& object : scene.objects)
    CHECK(scene.is_here(object));
  scene.put(broken_off);
  scene.open();
  CHECK(scene.is_here(broken_off));
}

TEST_CASE("rebuild: what looks like a write broken off, and is not, is a loss", "[store]") {
  Scene scene;
  const auto before = fs::file_size(scene.log());
  scene.put(seal_object(scene.owner, {.name = "the last", .size = 2'000}));
  const auto log = scene.log();
  scene.store.reset();
  const auto end = fs::file_size(log);
  const auto cut_log = [&] { fs::resize_file(log, end - 100); };
  SECTION("the length of the last record was made greater") {
    overwrite(log, before + 5, "\x7f");
  }
  SECTION("the one before it is damaged") {
    flip(log, before - 1);
    cut_log();
  }
  SECTION("an earlier log is cut, too") {
    fs::copy_file(log, log.parent_path() / "000001.log");
    fs::resize_file(log.parent_path() / "000001.log", before - 10);
    cut_log();
  }
  SECTION("its last record is damaged, and not cut") {
    overwrite(log, end - 50, "garbage!");
  }
  scene.open();
  CHECK(scene.times_lost == 1);
  CHECK(scene.stats().index_rebuilt);
}

TEST_CASE("rebuild: broken off, it begins anew", "[store]") {
  Scene scene;
  scene.store.reset();
  REQUIRE(note_index_lost(scene.dir.path(), 77));
  fs::rename(scene.dir / "index", scene.dir / "index.damaged-77");
  fs::create_directory(scene.dir / "index");  // half made
  std::ofstream(scene.dir / "index" / "CURRENT") << "half";
  scene.open();
  CHECK(scene.times_lost == 1);
  for (const auto& object : scene.objects) {
    CHECK(scene.is_here(object));
    check_content(*scene.store, object);
  }
  CHECK_FALSE(is_index_lost(scene.dir.path()));
  CHECK(scene.stats().objects == 12);
}

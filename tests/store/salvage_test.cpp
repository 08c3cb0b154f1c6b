// What can be read of a damaged index is kept.
#include "store/salvage.hpp"

#include "tests/store/index_scene.hpp"

using namespace zerodb;
using namespace zerodb::test;

TEST_CASE("salvage: from a damaged index all that can be read is kept", "[store]") {
  IndexScene scene;
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

TEST_CASE("salvage: with a file of an index is lost what it held, and nothing else", "[store]") {
  IndexScene scene;
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

TEST_CASE("salvage: a version that is found without its bytes is marked, and marks are kept",
          "[store]") {
  IndexScene scene;
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

TEST_CASE("salvage: what tables and the log both have is found without the list of files",
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

TEST_CASE("salvage: values beside the tables are found without a table of versions", "[store]") {
  IndexScene scene;
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

TEST_CASE("salvage: a table that the disk cannot read is lost, and no start is", "[store]") {
  IndexScene scene;
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

TEST_CASE("salvage: a log of the old index that cannot be opened for now is not passed over",
          "[store]") {
  IndexScene scene;
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

TEST_CASE("salvage: what is in the log alone is found without the list of files", "[store]") {
  IndexScene scene;
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

TEST_CASE("salvage: a disk that refuses to read the old index is asked again", "[store]") {
  IndexScene scene;
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

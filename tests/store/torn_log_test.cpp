// A log that ends amid a write is no loss; one that is damaged elsewhere is.
#include "store/torn_log.hpp"

#include "tests/store/index_scene.hpp"

using namespace zerodb;
using namespace zerodb::test;

TEST_CASE("torn log: a log that is damaged in the middle is no reason to forget quietly",
          "[store]") {
  IndexScene scene;
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

TEST_CASE("torn log: what was dropped and is back with a damaged log is marked", "[store]") {
  IndexScene scene;
  const auto& dropped = scene.objects.at(0);
  const std::array latest{counted(dropped.manifest).entry};
  const auto until_dropped = fs::file_size(scene.log());
  scene->drop(latest).value();
  scene.store.reset();
  overwrite(scene.log(), until_dropped + 8, "garbage!");
  scene.open();
  CHECK(scene.is_here(dropped));
  CHECK(scene.stats().damaged == 1);
  CHECK(scene->damaged(std::nullopt, 10)->versions.at(0).hash() == dropped.manifest.hash());
}

TEST_CASE("torn log: the recovery from a damaged log, broken off, begins anew", "[store]") {
  IndexScene scene;
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

TEST_CASE("torn log: a write that was broken off is no loss", "[store]") {
  IndexScene scene;
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

TEST_CASE("torn log: what looks like a write broken off, and is not, is a loss", "[store]") {
  IndexScene scene;
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

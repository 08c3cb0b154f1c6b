// An index that was lost or damaged is made anew when the store is opened.
#include "store/rebuild.hpp"

#include "tests/store/index_scene.hpp"

using namespace zerodb;
using namespace zerodb::test;

TEST_CASE("rebuild: a missing index is made anew from blob files", "[store]") {
  IndexScene scene;
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
  IndexScene scene;
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
  IndexScene scene;
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
  IndexScene scene;
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
  IndexScene scene;
  scene.store.reset();
  auto files = scene.blob_files();
  overwrite(files.at(0), fs::file_size(files[0]) - 20, "xx");
  fs::rename(files.at(1), files[1].parent_path() / ("0" + files[1].filename().string().substr(1)));
  fs::remove_all(scene.dir / "index");
  scene.open();
  CHECK(scene.stats().objects >= 4);
  CHECK(scene.stats().objects <= 5);  // a renamed file may have begun with that digit anyway
}

TEST_CASE("rebuild: an index that cannot be synced when it is opened is not damaged", "[store]") {
  IndexScene scene;
  scene.store.reset();
  {
    const FailingDisk failing({.sync_error = EIO, .only = "index/"});
    CHECK(error_of(open_store({.folder = scene.dir.path()})) == Errc::io);
  }
  scene.open();
  CHECK_FALSE(scene.stats().index_rebuilt);
}

TEST_CASE("rebuild: a blob file that cannot be opened for now is not passed over", "[store]") {
  IndexScene scene;
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

TEST_CASE("rebuild: an index that cannot be looked at is neither missing nor made anew",
          "[store]") {
  IndexScene scene;
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

TEST_CASE("rebuild: broken off, it begins anew", "[store]") {
  IndexScene scene;
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

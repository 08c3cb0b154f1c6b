#pragma once
// A store of a dozen objects whose index is about to be lost or damaged.

#include <algorithm>
#include <fstream>

#include "tests/store/disk_fixture.hpp"
#include "tests/support/failing_disk.hpp"

namespace zerodb::test {

namespace fs = std::filesystem;
using sim::seal_object;
using sim::sign_tombstone;

struct IndexScene : Disk {
  IndexScene() {
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

inline void overwrite(const fs::path& path, std::uint64_t at, const std::string& with) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file << with;
}

}  // namespace zerodb::test

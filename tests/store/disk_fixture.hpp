#pragma once
// A store in a temporary folder, and shorthands for tests that fill it. One thread, but for the
// store itself.

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <limits>

#include "store/store.hpp"
#include "tests/sim/sealed_object.hpp"
#include "tests/support/temp_dir.hpp"

namespace zerodb::test {

inline constexpr auto forever = std::numeric_limits<std::uint64_t>::max();

template <class T>
std::optional<Errc> error_of(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error().code;
}

/// Flips a bit of the byte at `offset`; twice, and the file is as it was.
inline void flip(const std::filesystem::path& path, std::uint64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  const auto byte = static_cast<char>(file.get() ^ 0x10);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(byte);
}

struct Disk {
  TempDir dir;
  OwnerKeys owner = OwnerKeys::generate();
  std::uint64_t now_ms = 500;
  std::uint64_t reserve_bytes = 0;
  std::unique_ptr<Store> store;

  Disk() { reopen(); }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  Store* operator->() const { return store.get(); }
  StoreStats stats() const { return store->stats(); }

  void reopen() {
    store.reset();
    store = open_store({.folder = dir.path(),
                        .reserve_bytes = reserve_bytes,
                        .now_ms = [this] { return now_ms; }})
                .value();
  }

  /// An upload with all chunks of `object`.
  std::unique_ptr<Upload> upload(const sim::SealedObject& object) const {
    auto made = store->begin_upload({.binding = object.manifest->binding()}).value();
    for (std::uint64_t i = 0; i < object.chunks.size(); ++i)
      made->write(i, object.chunks[i]).value();
    return made;
  }

  CommitOutcome put(const sim::SealedObject& object) const {
    if (object.manifest->is_inline()) {
      return store->commit_inline(object.manifest, object.chunks.at(0)).value();
    }
    return store->commit_upload(*upload(object), object.manifest).value();
  }

  std::vector<std::filesystem::path> blob_files() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir / "blobs")) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    return files;
  }
};

/// Chunks and leaves are those that were sealed.
inline void check_content(Store& store, const sim::SealedObject& object) {
  const auto leaves = store.read_leaves(object.manifest, 0, object.chunks.size() + 5);
  REQUIRE(leaves);
  REQUIRE(leaves->size() == object.chunks.size());
  for (std::uint64_t i = 0; i < object.chunks.size(); ++i) {
    const auto chunk = store.read_chunk(object.manifest, i);
    REQUIRE(chunk);
    REQUIRE(as_text(chunk->view()) == as_text(object.chunks[i]));
    REQUIRE(leaves->at(i) == leaf_of(object.chunks[i]));
  }
}

}  // namespace zerodb::test

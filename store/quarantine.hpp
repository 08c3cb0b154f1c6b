#pragma once
// Where files go that were found damaged, or that no version refers to: out of the way, but not
// lost at once. Bounded: the oldest are dropped for the newest, and all when a trim finds the disk
// nearly full. Nothing reads them but people. Thread-safe.

#include <mutex>

#include "store/file.hpp"

namespace zerodb {

struct QuarantineOptions {
  std::uint64_t bytes_max = 1ULL << 30;
  std::uint64_t files_max = 1000;
  std::uint64_t keep_free_bytes = 0;  ///< of the disk; with less, the quarantine is emptied
};

class Quarantine {
 public:
  Quarantine(std::filesystem::path folder, QuarantineOptions options)
      : folder_(std::move(folder)), options_(options) {}

  /// Makes the folder, counts what is in it, and drops what is too much.
  Status prepare();

  /// Moves `path` here under its own name and a number. Its folder is not synced: after a crash the
  /// file may be back in its place.
  Status take(const std::filesystem::path& path);

  /// Gives `path`, which another file is about to replace, a second name here. It does without if
  /// there is no room for it, or the file system has no second names. To be followed by trim().
  void keep(const std::filesystem::path& path);

  /// Drops files until the rest is within bounds.
  Status trim();

  struct Size {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
  };
  Size size() const;

 private:
  bool is_disk_full() const;
  std::filesystem::path place_for(const std::filesystem::path& path) const;
  void note_taken(std::uint64_t bytes);
  void count();
  Status trim_locked();

  const std::filesystem::path folder_;
  const QuarantineOptions options_;
  mutable std::mutex mutex_;
  Size size_;
  std::uint64_t next_ = 0;  ///< numbers ascend, so that names tell which came first
};

}  // namespace zerodb

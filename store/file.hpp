#pragma once
// Files and folders of the operating system, with errors as values. A File is open from its making
// to its end; positions are always given, so that several threads may use one at once.

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>

#include "store/bytes.hpp"

namespace zerodb {

/// The errno of a disk that cannot give back what it holds. All others say nothing of that.
inline constexpr std::array damage_errnos{EIO, EUCLEAN, EBADMSG};

class File {
 public:
  /// `not_found`, `corrupt` when the disk cannot read it, or `io`.
  static Result<File> open_for_reading(const std::filesystem::path& path);
  /// Refuses (`io`) a file that exists.
  static Result<File> create(const std::filesystem::path& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  /// Writes all of `bytes`; `full` or `io`.
  Status write_at(std::uint64_t offset, ByteView bytes);
  /// Reads until `to` is full or the file ends; answers how many bytes that gave. `corrupt` when
  /// the disk cannot read them, or `io`.
  Result<std::size_t> read_at(std::uint64_t offset, MutableBytes to) const;
  Result<std::uint64_t> size() const;
  Status truncate(std::uint64_t size);

  /// Lets the kernel begin to write what is dirty, so that sync_data() has less to wait for. Proves
  /// nothing about durability.
  void start_writeback();
  /// Lets the kernel forget what it holds of the file: what is read next comes from the disk.
  void drop_cached() const;
  /// fdatasync. After a failure the kernel calls the lost pages clean: never call it again.
  Status sync_data();

  const std::filesystem::path& path() const { return path_; }

 private:
  File(int descriptor, std::filesystem::path path);

  int descriptor_ = -1;
  std::filesystem::path path_;
};

/// Makes the names in `folder` durable.
Status sync_folder(const std::filesystem::path& folder);

/// Makes `folder` and its parents if missing; does not make them durable.
Status make_folders(const std::filesystem::path& folder);

struct DiskSpace {
  std::uint64_t free_bytes = 0;  ///< for us, without what is kept for root
  std::uint64_t total_bytes = 0;
};
Result<DiskSpace> disk_space(const std::filesystem::path& folder);

/// Holds a lock file for as long as it lives; the kernel lets go of it if the process dies.
class FolderLock {
 public:
  /// `busy` when another holder, in this process or another, has it.
  static Result<FolderLock> take(const std::filesystem::path& path);

  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}

  int descriptor_ = -1;
};

}  // namespace zerodb

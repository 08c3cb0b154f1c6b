#pragma once
// A blob file in the making: chunks are written at their places, in any order and on any thread;
// sealing adds the trailer and makes the file durable under its temporary name.

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <shared_mutex>

#include "store/file.hpp"
#include "store/store.hpp"

namespace zerodb {

/// What uploads and the blobs they become share; it outlives both.
struct BlobsState {
  std::filesystem::path folder;  ///< holds blobs/ and tmp/
  std::uint64_t reserve_bytes = 0;
  std::atomic<std::uint64_t> uploads = 0;
  /// An fsync or a write of the index failed, or a folder could not be opened for its fsync: what
  /// was told to be on disk may not be there.
  std::atomic<bool> suspect = false;

  /// `io` once suspect.
  Status check_trusted() const;
  /// `full` when less than the reserve is free.
  Status check_space() const { return check_free(reserve_bytes); }
  /// `full` when less than `least_bytes` are free.
  Status check_free(std::uint64_t least_bytes) const;
  /// Passes the outcome of an fsync on; any failure but a full disk makes the store suspect.
  Status note_sync(Status synced);
};

class BlobUpload final : public Upload {
 public:
  static Result<std::unique_ptr<BlobUpload>> begin(std::shared_ptr<BlobsState> state,
                                                   const UploadSpec& spec);
  ~BlobUpload() override;
  BlobUpload(const BlobUpload&) = delete;
  BlobUpload& operator=(const BlobUpload&) = delete;

  Result<Leaf> write(std::uint64_t index, ByteView sealed) override;
  const BlobId& blob_id() const override { return spec_.binding.blob_id; }

  /// Keeps writers out for as long as it is held. The calls below need it.
  std::unique_lock<std::shared_mutex> stop_writes() { return std::unique_lock(use_mutex_); }

  /// `invalid` if the manifest is of other content or chunks are missing; `corrupt` if their root
  /// differs.
  Status check(const SignedManifest& manifest) const;
  /// Adds the trailer and makes the file durable. May be repeated with a later manifest. If the
  /// disk fails, the upload is used up.
  Status seal(const SignedManifest& manifest);
  /// The file has its final name (or is given up): nothing is left to write or to remove.
  void finish() { used_up_ = true; }

  const std::filesystem::path& path() const { return file_.path(); }
  const ChunkBinding& binding() const { return spec_.binding; }

 private:
  struct Short {
    std::uint64_t index = 0;
    std::size_t bytes = 0;
    bool operator==(const Short&) const = default;
  };

  BlobUpload(std::shared_ptr<BlobsState> state, const UploadSpec& spec, File file);

  std::size_t full_bytes() const { return spec_.chunk_bytes + chunk_overhead_bytes; }
  Status check_size(std::size_t bytes) const;
  Status check_place(std::uint64_t index, std::size_t bytes) const;
  Result<bool> admit(std::uint64_t index, std::size_t bytes, const Leaf& leaf);
  void note_written(std::uint64_t index, const Leaf& leaf);
  Status pace(std::size_t bytes);
  void give_up();

  const std::shared_ptr<BlobsState> state_;
  const UploadSpec spec_;
  File file_;
  std::shared_mutex use_mutex_;  ///< shared by writers, alone for a commit
  bool used_up_ = false;
  std::array<std::mutex, 16> chunk_mutexes_;  ///< one writer a chunk, so leaf and bytes agree

  mutable std::mutex table_mutex_;  ///< guards what follows
  std::vector<Leaf> leaves_;        ///< zero where no chunk is yet
  std::uint64_t present_ = 0;
  std::optional<Short> last_;  ///< the short chunk, once seen
  std::uint64_t bytes_since_writeback_ = 0;
};

}  // namespace zerodb

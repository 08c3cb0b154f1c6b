#pragma once
// The blob files of one store: one a version above the inline size, written once and never
// changed. Thread-safe. Layout: FORMAT.md.

#include <unordered_set>

#include "store/blob_upload.hpp"
#include "store/open_files.hpp"

namespace zerodb {

class Blobs {
 public:
  Blobs(std::filesystem::path folder, std::uint64_t reserve_bytes);

  /// Makes the folders and removes what earlier runs left in tmp/.
  Status prepare();

  Result<std::unique_ptr<BlobUpload>> begin(const UploadSpec& spec);

  /// Gives a sealed upload its final name, durably. It replaces a file of that name, whose content
  /// is the same or was damaged.
  Status place(BlobUpload& upload);

  bool holds(const ChunkBinding& binding) const;

  /// `not_found` if the file is missing, `corrupt` if it is too short.
  Result<Payload> read_chunk(const Manifest& manifest, std::uint64_t index);
  /// Both within the blob.
  Result<std::vector<Leaf>> read_leaves(const Manifest& manifest, std::uint64_t first,
                                        std::size_t count);
  /// It is no error if the file is gone already.
  Status remove(const ChunkBinding& binding);

  std::filesystem::path path_of(const ChunkBinding& binding) const;
  /// Where all of them are.
  std::filesystem::path folder() const { return state_->folder / "blobs"; }
  /// The file was moved away.
  void forget(const std::filesystem::path& path) { open_files_.drop(path); }

  Status check_trusted() const { return state_->check_trusted(); }
  Status check_space() const { return state_->check_space(); }
  Status check_free(std::uint64_t least_bytes) const { return state_->check_free(least_bytes); }
  /// Passes the outcome of an fsync on; see BlobsState.
  Status note_sync(Status synced) { return state_->note_sync(std::move(synced)); }
  std::uint64_t uploads() const { return state_->uploads; }

 private:
  Result<std::shared_ptr<const File>> open(const ChunkBinding& binding);
  Status read_exactly(const ChunkBinding& binding, std::uint64_t offset, MutableBytes to);
  Status make_durable_folder(const std::filesystem::path& folder);

  const std::shared_ptr<BlobsState> state_;
  OpenFiles open_files_;
  std::mutex folders_mutex_;
  std::unordered_set<std::string> durable_folders_;  ///< made and synced by this process
};

/// What a blob file says of itself: enough to rebuild an index from files alone.
struct BlobFileContent {
  ChunkBinding binding;
  SignedManifest manifest;  ///< form checked, signature not
  std::vector<Leaf> leaves;
};
/// `corrupt` if header, trailer or their agreement is damaged. Chunks are not read.
Result<BlobFileContent> inspect_blob_file(const std::filesystem::path& path);
Result<BlobFileContent> inspect_blob_file(const File& file);

}  // namespace zerodb

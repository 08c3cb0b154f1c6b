#pragma once
// Verifies one blob file against the manifest that the index has for it: header, trailer, leaves
// against the signed root, then every chunk against its leaf. One thread.

#include "store/blobs.hpp"

namespace zerodb {

class BlobCheck {
 public:
  /// Verifies all but the chunks. `not_found` if the file is missing, `corrupt` if it is damaged or
  /// the disk cannot read it; any other error, as of too many open files, says nothing about it.
  static Result<BlobCheck> begin(const std::filesystem::path& path, const Manifest& manifest);

  /// Verifies one chunk, which exists. Errors as above.
  Status check_chunk(std::uint64_t index);

  /// What was read is not kept in memory instead of what others read.
  void end() const { file_.drop_cached(); }

 private:
  BlobCheck(File file, const Manifest& manifest, std::vector<Leaf> leaves)
      : file_(std::move(file)), manifest_(manifest), leaves_(std::move(leaves)) {}

  File file_;
  Manifest manifest_;
  std::vector<Leaf> leaves_;
  Bytes buffer_;
};

}  // namespace zerodb

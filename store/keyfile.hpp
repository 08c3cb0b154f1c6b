#pragma once
// Secrets on disk: small files of mode 0600, written whole or not at all, optionally sealed under
// a passphrase (Argon2id, RFC 9106; bounds checked before any memory is spent). Layout: FORMAT.md.
// Blocking; thread-safe.

#include <filesystem>
#include <optional>
#include <string>

#include "store/keys.hpp"

namespace zerodb {

/// Creates `path` with mode 0600 through a temporary file, fsync, rename and directory fsync.
/// Replaces an existing file only if `replace`; otherwise `invalid`.
struct WriteFileOptions {
  bool replace = false;
};
Status write_secret_file(const std::filesystem::path& path, ByteView content,
                         WriteFileOptions options = {});

/// `not_found`, `io`, or `denied` when others may read the file (mode other than 0600/0400).
Result<Bytes> read_secret_file(const std::filesystem::path& path, std::size_t bytes_max = 65536);

struct NodeKeyFile {
  static Status save(const std::filesystem::path& path, const NodeKeys& keys);
  static Result<NodeKeys> load(const std::filesystem::path& path);
};

/// The owner's seed and the mesh's seed are kept the same way.
struct SeedFile {
  /// Under a passphrase when one is given.
  static Status save(const std::filesystem::path& path, const Seed& seed,
                     std::optional<std::string_view> passphrase, WriteFileOptions options = {});
  /// True if the file needs a passphrase.
  static Result<bool> is_locked(const std::filesystem::path& path);
  /// `denied` on a wrong passphrase; `invalid` when one is needed and missing.
  static Result<Seed> load(const std::filesystem::path& path,
                           std::optional<std::string_view> passphrase);
};

}  // namespace zerodb

#pragma once
// Keys on disk: secret files with a checksum, a seed optionally sealed under a passphrase
// (Argon2id, RFC 9106; bounds checked before any memory is spent). Layout: FORMAT.md.
// Blocking; thread-safe.

#include <filesystem>
#include <optional>
#include <string_view>

#include "store/keys.hpp"

namespace zerodb {

struct WriteFileOptions {
  bool replace = false;
};
/// Creates `path` with mode 0600 through a temporary file, fsync, rename and directory fsync.
/// Replaces an existing file only if `replace`; otherwise `invalid`.
Status write_secret_file(const std::filesystem::path& path, ByteView content,
                         WriteFileOptions options = {});

/// `not_found`, `io`, `denied` when others may read the file (any permission for group or others),
/// `corrupt` when it is longer than any secret file. The caller wipes what it gets.
Result<Bytes> read_secret_file(const std::filesystem::path& path, std::size_t bytes_max = 65536);

/// Both files: `corrupt` when damaged or no such file at all, `invalid` when of a newer format.
struct NodeKeyFile {
  static Status save(const std::filesystem::path& path, const NodeKeys& keys);
  static Result<NodeKeys> load(const std::filesystem::path& path);
};

/// What one guess of the passphrase costs (libsodium's two levels of Argon2id).
enum class PassphraseCost : std::uint8_t {
  interactive,  ///< 64 MiB, under 0.1 s
  moderate,     ///< 256 MiB, about 0.5 s
};

/// The owner's seed and the mesh's seed are kept the same way.
struct SeedFile {
  /// Under a passphrase when one is given.
  static Status save(const std::filesystem::path& path, const Seed& seed,
                     std::optional<std::string_view> passphrase, WriteFileOptions options = {},
                     PassphraseCost cost = PassphraseCost::moderate);
  /// True if the file needs a passphrase.
  static Result<bool> is_locked(const std::filesystem::path& path);
  /// `denied` on a wrong passphrase; `invalid` when one is needed and missing.
  static Result<Seed> load(const std::filesystem::path& path,
                           std::optional<std::string_view> passphrase);
};

}  // namespace zerodb

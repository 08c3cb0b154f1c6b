#pragma once
// An environment for RocksDB whose files are encrypted: each begins with a random nonce and a
// proof of the key, and is XChaCha20 from there on. Private to store/. Layout: FORMAT.md.
// Thread-safe.

#include <filesystem>
#include <memory>

#include "store/keys.hpp"

namespace rocksdb {
class Env;
}

namespace zerodb {

/// For a folder whose files look_at_head() has looked at: RocksDB ends the process over some that
/// are damaged at their beginning.
std::unique_ptr<rocksdb::Env> make_encrypted_env(const Secret<32>& key);

enum class FileHead {
  own,    ///< begins as a file of this key does
  cut,    ///< ends before one could tell: nothing was ever synced in it, or it is damaged
  other,  ///< of another key, or damaged
};
/// `not_found`, `corrupt` when the disk cannot read it, or `io`.
Result<FileHead> look_at_head(const std::filesystem::path& file, const Secret<32>& key);

}  // namespace zerodb

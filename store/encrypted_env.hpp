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

/// For a folder whose files is_of_key() has looked at: RocksDB ends the process over some that are
/// damaged at their beginning.
std::unique_ptr<rocksdb::Env> make_encrypted_env(const Secret<32>& key);

/// Whether the file begins as one of this key does.
bool is_of_key(const std::filesystem::path& file, const Secret<32>& key);

}  // namespace zerodb

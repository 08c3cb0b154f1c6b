#pragma once
// The keys and values of the index. RocksDB compares keys as unsigned bytes, so all numbers are
// big-endian, and those that should sort downwards are complemented. Pure functions.

#include <optional>

#include "store/tally.hpp"

namespace zerodb::index_key {

// partition ‖ owner ‖ hashed key is the object; ~version ‖ ~manifest hash picks one version, the
// latest first.
inline constexpr std::size_t owner_prefix_bytes = 2 + OwnerId::size;
inline constexpr std::size_t object_bytes = owner_prefix_bytes + HashedKey::size;
inline constexpr std::size_t key_bytes = object_bytes + 8 + ManifestHash::size;

std::string of_partition(Partition partition);
std::string of_owner(Partition partition, const OwnerId& owner);
std::string of_object(const ObjectId& object);
std::string of_entry(const Entry& entry);

/// Greater than every key that begins with `prefix`, less than all others after them.
std::string after_all(std::string prefix);

inline std::string_view object_part(std::string_view key) {
  return key.substr(0, object_bytes);
}

/// `corrupt` if it is no index key.
Result<Entry> decode(std::string_view key);

/// Of an inline value: not of a version, as a later version may share it.
std::string of_blob(const ChunkBinding& binding);
Result<ChunkBinding> decode_blob(std::string_view key);

/// The line of a version that was superseded at `ms`.
std::string of_superseded(std::uint64_t ms, std::string_view key);
/// Everything superseded before `ms` sorts before this.
std::string superseded_bound(std::uint64_t ms);
/// The index key within such a line; `corrupt` if it is none.
Result<std::string_view> superseded_key(std::string_view line);

/// The head of an index value. The manifest's wire follows it. It holds what scans need, so that
/// they do not parse manifests.
struct ValueHead {
  ObjectKind kind = ObjectKind::object;
  BlobId blob_id;
  std::uint64_t sealed_bytes = 0;
};
inline constexpr std::size_t value_head_bytes = 2 + BlobId::size + 8;
std::string encode_value(const SignedManifest& manifest);
/// These two: `corrupt` if it is none.
Result<ValueHead> decode_head(std::string_view value);
Result<SignedManifest> decode_manifest(std::string_view value);

}  // namespace zerodb::index_key

#pragma once
// Entries and digests as they travel in the payloads of get_entries and get_digests: records of a
// fixed size, one after the other. Decoding is for bytes from outside. Thread-safe: pure functions.

#include "store/store.hpp"

namespace zerodb {

/// owner (32) ‖ hashed key (32) ‖ version (8) ‖ manifest hash (32)
inline constexpr std::size_t entry_bytes = 104;
/// owner (32) ‖ hashed key (32)
inline constexpr std::size_t position_bytes = 64;
inline constexpr std::size_t entries_payload_bytes_max = 1 << 20;

void append_entry(Bytes& out, const Entry& entry);

/// `invalid` unless the payload is a whole number of entries and no larger than a page may be.
Result<std::vector<Entry>> decode_entries(ByteView payload);

Bytes encode_digests(const std::vector<PartitionDigest>& digests);
/// `invalid` unless there is exactly one digest per partition.
Result<std::vector<PartitionDigest>> decode_digests(ByteView payload);

/// Digests, and behind them the bytes kept of each partition.
Bytes encode_sized_digests(const std::vector<PartitionDigest>& digests,
                           const std::vector<PartitionSize>& sizes);
struct SizedDigests {
  std::vector<PartitionDigest> digests;
  std::vector<std::uint64_t> bytes;
};
Result<SizedDigests> decode_sized_digests(ByteView payload);

/// Where a listing goes on: `after` of get_entries.
Bytes encode_position(const ObjectId& object);
Result<ObjectId> decode_position(ByteView bytes);

}  // namespace zerodb

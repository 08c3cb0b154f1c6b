#pragma once
// Digests told only where they differ. Partitions go in groups of 64 in a row, and the digests of a
// group add up to a sum. Who asks says the sums of what it thinks the other has, and is answered
// with the digests of those groups whose sum is another: 1 KiB for each, instead of 64 KiB. A sum
// is as good a witness as a digest, being one itself of all the group's entries. Thread-safe: pure
// functions.

#include "store/store.hpp"

namespace zerodb {

inline constexpr std::size_t digest_groups = 64;
inline constexpr std::size_t group_sums_bytes = digest_groups * sizeof(PartitionDigest);

/// For each group in order, the sum of its digests modulo 2^128, 16 bytes big-endian.
Bytes sum_groups(const std::vector<PartitionDigest>& digests);

/// A mask of 8 bytes, big-endian, in which bit i stands for group i, and the digests of each group
/// that it names, in order: those whose sum is not the one in `known_sums`, of group_sums_bytes.
Bytes encode_differing(const std::vector<PartitionDigest>& digests, ByteView known_sums);

/// All digests of a node of which `known` was thought, and that answered so. `invalid` unless the
/// payload is as long as its mask says.
Result<std::vector<PartitionDigest>> apply_differing(std::vector<PartitionDigest> known,
                                                     ByteView payload);

}  // namespace zerodb

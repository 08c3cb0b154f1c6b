#pragma once
// Comparing one partition more finely than by its digest: sixteen parts, by the next bits of the
// hashed key, with a digest of eight bytes each. Who lists a partition says what it has of each
// part, and is answered with the parts that differ. Blocking where a store is passed.

#include "node/entry_codec.hpp"

namespace zerodb {

inline constexpr std::size_t parts_of_partition = 16;
/// Of one partition: the sums, modulo 2^64, of a hash of each entry, in order of part.
inline constexpr std::size_t parts_bytes = parts_of_partition * 8;

/// What is kept here of each partition, parts_bytes each.
Result<Bytes> digest_parts(Store& store, const std::vector<std::uint32_t>& partitions);

/// What Store::entries would answer, without the parts of which `known` says the same.
Result<EntryPage> page_of_differing_parts(Store& store, const EntryQuery& query, ByteView known);

}  // namespace zerodb

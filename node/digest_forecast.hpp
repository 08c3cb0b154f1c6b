#pragma once
// What partition digests become by versions that are known to be on their way to all holders, so
// that a gateway need not list what it has stored or heard of itself. A forecast that does not come
// true costs one listing of its partition, nothing else. Any thread.

#include <span>

#include "store/name_store.hpp"
#include "store/store.hpp"

namespace zerodb {

/// A version put by this gateway, or announced by another.
struct Announced {
  HashedKey hashed_key;
  KnownVersion version;
};

struct DigestChange {
  Partition partition = 0;
  PartitionDigest difference{};  ///< to be added, see FORMAT.md
};

/// One for each object of which `announced` has a later version than `names` knows.
Result<std::vector<DigestChange>> forecast(NameStore& names, const OwnerId& owner,
                                           std::span<const Announced> announced);

/// The digest after the change.
PartitionDigest changed_by(const DigestChange& change, const PartitionDigest& digest);

}  // namespace zerodb

#pragma once
// What nodes hold of what a catalogue knows. A version that was never acknowledged may be on one
// node only, and go with its disk or with the node: known for ever, it would hide what stands, or
// be listed although there is nothing. Private to the catalogue. Plain values and functions.

#include <map>
#include <span>
#include <vector>

#include "store/name_store.hpp"
#include "store/store.hpp"

namespace zerodb {

/// The latest version of each object that any node has.
using LatestHeld = std::map<HashedKey, KnownVersion>;

void note_held(LatestHeld& held, std::span<const Entry> entries);

/// Those of which nobody has the version that is known, nor a later one. A deletion of which nobody
/// knows the object any more was swept.
std::vector<KnownObject> not_held(std::span<const KnownObject> known, const LatestHeld& held);

std::vector<Partition> partitions_of(std::span<const KnownObject> objects);

}  // namespace zerodb

#include "node/catalogue_held.hpp"

#include <algorithm>
#include <set>

namespace zerodb {

void note_held(LatestHeld& held, std::span<const Entry> entries) {
  for (const auto& entry : entries) {
    const KnownVersion version{.version = entry.version, .hash = entry.hash};
    const auto [at, is_new] = held.emplace(entry.object.hashed_key, version);
    if (!is_new) at->second = std::max(at->second, version);
  }
}

std::vector<KnownObject> not_held(std::span<const KnownObject> known, const LatestHeld& held) {
  std::vector<KnownObject> missing;
  for (const auto& object : known) {
    const auto found = held.find(object.hashed_key);
    const bool is_held = found == held.end() ? object.deleted : found->second >= object.latest;
    if (!is_held) missing.push_back(object);
  }
  return missing;
}

std::vector<Partition> partitions_of(std::span<const KnownObject> objects) {
  std::set<Partition> partitions;
  for (const auto& object : objects)
    partitions.insert(partition_of(object.hashed_key));
  return {partitions.begin(), partitions.end()};
}

}  // namespace zerodb

#include "node/recent_versions.hpp"

#include "store/hash.hpp"

namespace zerodb {

RecentVersions::Hash RecentVersions::hash_of(ByteView manifest) {
  return blake2b_256("zdb recent", {manifest});
}

void RecentVersions::add(ByteView manifest) {
  const auto hash = hash_of(manifest);
  if (!known_.insert(hash).second) return;
  by_age_.push_back(hash);
  if (by_age_.size() <= versions_max_) return;
  known_.erase(by_age_.front());
  by_age_.pop_front();
}

bool RecentVersions::contains(ByteView manifest) const {
  return known_.contains(hash_of(manifest));
}

}  // namespace zerodb

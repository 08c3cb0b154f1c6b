#include "node/digest_forecast.hpp"

#include <map>

#include "store/tally.hpp"

namespace zerodb {

namespace {

Sum128 digest_of(const OwnerId& owner, const HashedKey& hashed_key, const KnownVersion& version) {
  return zerodb::digest_of(Entry{.object = {.owner = owner, .hashed_key = hashed_key},
                                 .version = version.version,
                                 .hash = version.hash});
}

}  // namespace

Result<std::vector<DigestChange>> forecast(NameStore& names, const OwnerId& owner,
                                           std::span<const Announced> announced) {
  std::map<HashedKey, KnownVersion> latest;
  for (const auto& [hashed_key, version] : announced) {
    const auto [at, is_new] = latest.emplace(hashed_key, version);
    if (!is_new) at->second = std::max(at->second, version);
  }
  std::vector<HashedKey> objects;
  objects.reserve(latest.size());
  for (const auto& [hashed_key, version] : latest)
    objects.push_back(hashed_key);
  const auto known = names.known(objects);
  if (!known) return fail(known.error());
  std::vector<DigestChange> changes;
  auto before = known->begin();
  for (const auto& [hashed_key, version] : latest) {
    const auto& standing = *before++;
    if (standing && !(version > *standing)) continue;
    auto difference = digest_of(owner, hashed_key, version);
    if (standing) difference -= digest_of(owner, hashed_key, *standing);
    changes.push_back({.partition = partition_of(hashed_key), .difference = difference.bytes()});
  }
  return changes;
}

PartitionDigest changed_by(const DigestChange& change, const PartitionDigest& digest) {
  auto sum = Sum128::from(digest);
  sum += Sum128::from(change.difference);
  return sum.bytes();
}

}  // namespace zerodb

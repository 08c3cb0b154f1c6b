#include "node/name_index.hpp"

namespace zerodb {
namespace {

constexpr std::size_t page_entries_max = 10'000;
constexpr std::size_t page_bytes_max = 512 * 1024;  // of names, so that a page fits one header

}  // namespace

Result<Described> describe_for_listing(const SignedManifest& manifest, const OwnerKeys& keys) {
  auto part = open_private_part(keys, manifest.manifest());
  if (!part) return fail(std::move(part.error()));
  return Described{.hashed_key = manifest->object.hashed_key,
                   .hash = manifest.hash(),
                   .deleted = manifest->is_tombstone(),
                   .entry = {.name = std::move(part->name),
                             .size = manifest->size,
                             .version = manifest->version,
                             .mtime_ms = part->mtime_ms}};
}

bool NameIndex::is_news(const HashedKey& key, Version version, const ManifestHash& hash) const {
  const auto known = known_.find(key);
  if (known == known_.end()) return true;
  return std::tie(version, hash) > std::tie(known->second.version, known->second.hash);
}

bool NameIndex::is_news(const Entry& entry) const {
  return is_news(entry.object.hashed_key, entry.version, entry.hash);
}

void NameIndex::learn(Described described) {
  auto& entry = described.entry;
  if (!is_news(described.hashed_key, entry.version, described.hash)) return;
  known_[described.hashed_key] = {.version = entry.version, .hash = described.hash};
  if (described.deleted) {
    names_.erase(entry.name);
  } else {
    names_.insert_or_assign(entry.name, entry);
  }
}

ListPage NameIndex::page(const ListQuery& query) const {
  const auto limit = std::min(query.limit, page_entries_max);
  const auto from_prefix = names_.lower_bound(query.prefix);
  const auto from_after = query.after.empty() ? names_.begin() : names_.upper_bound(query.after);
  auto at = query.after < query.prefix ? from_prefix : from_after;
  ListPage page;
  std::size_t bytes = 0;
  for (; at != names_.end() && at->first.starts_with(query.prefix); ++at) {
    if (page.entries.size() >= limit || bytes > page_bytes_max) {
      page.more = true;
      break;
    }
    bytes += at->first.size();
    page.entries.push_back(at->second);
  }
  return page;
}

}  // namespace zerodb

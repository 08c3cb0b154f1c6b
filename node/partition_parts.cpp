#include "node/partition_parts.hpp"

#include "store/tally.hpp"

namespace zerodb {

namespace {

using Parts = std::array<std::uint64_t, parts_of_partition>;

/// The four bits of the hashed key behind those that choose the partition.
std::size_t part_of(const Entry& entry) {
  return entry.object.hashed_key.view()[1] % parts_of_partition;
}

Parts parts_of(const std::vector<Entry>& entries) {
  Parts parts{};
  for (const auto& entry : entries)
    parts[part_of(entry)] += digest_of(entry).low;
  return parts;
}

}  // namespace

Result<Bytes> digest_parts(Store& store, const std::vector<std::uint32_t>& partitions) {
  Bytes out(partitions.size() * parts_bytes);
  auto to = MutableBytes(out);
  for (const auto partition : partitions) {
    const auto entries = all_entries(store, {.partition = static_cast<Partition>(partition)});
    if (!entries) return fail(entries.error());
    for (const auto part : parts_of(*entries)) {
      put_u64(to.first(8), part);
      to = to.subspan(8);
    }
  }
  return out;
}

Result<EntryPage> page_of_differing_parts(Store& store, const EntryQuery& query, ByteView known) {
  const auto all = all_entries(store, {.partition = query.partition});
  if (!all) return fail(all.error());
  const auto parts = parts_of(*all);
  EntryPage page;
  for (const auto& entry : *all) {
    const auto part = part_of(entry);
    const bool same = get_u64(known.subspan(part * 8, 8)) == parts[part];
    if (same || (query.owner && entry.object.owner != *query.owner)) continue;
    if (query.after && entry.object <= *query.after) continue;
    if (page.entries.size() == query.limit) {
      page.next_after = page.entries.back().object;
      break;
    }
    page.entries.push_back(entry);
  }
  return page;
}

}  // namespace zerodb

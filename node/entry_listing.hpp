#pragma once
// Asking another node what it keeps: its partition digests, and the entries of some partitions,
// page by page. What it answers is checked for form and range, not believed. One thread: the
// node's executor.

#include "node/node_context.hpp"
#include "node/partition_parts.hpp"

namespace zerodb {

inline constexpr Milliseconds listing_timeout{15'000};

/// `known`: what it is thought to have, zeros if nothing is known. The less it differs, the less is
/// sent.
Task<Result<std::vector<PartitionDigest>>> ask_digests(Links& links, NodeId node,
                                                       std::vector<PartitionDigest> known);
Task<Result<SizedDigests>> ask_sized_digests(Links& links, NodeId node);

/// `EntryListing listing(context, node, partitions);
///  while (!listing.is_done()) { auto page = co_await listing.next(); ... }`
class EntryListing {
 public:
  /// `partitions` ascending. Of one owner all entries are listed; without an owner, those of the
  /// parts that differ from what is here.
  EntryListing(NodeContext context, NodeId node, std::vector<Partition> partitions,
               std::optional<OwnerId> owner = {});

  bool is_done() const { return partitions_.empty(); }

  /// The next page: entries of the partitions asked for only. `invalid` if the node answers
  /// nonsense or makes no progress. The listing outlives the call.
  Task<Result<std::vector<Entry>>> next();

 private:
  Task<Result<Bytes>> known(std::vector<std::uint32_t> partitions);
  Status go_on_from(const peer::GetEntries::Reply& reply, bool is_empty);
  Status check(const std::vector<Entry>& entries) const;

  NodeContext context_;
  NodeId node_;
  std::vector<std::uint32_t> partitions_;  ///< still to be listed
  std::optional<OwnerId> owner_;
  std::optional<ObjectId> after_;  ///< within the first partition
};

}  // namespace zerodb

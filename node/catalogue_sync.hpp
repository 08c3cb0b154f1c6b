#pragma once
// One round of a catalogue catching up with the mesh: every node is asked what changed since the
// last round; versions not known yet are fetched, checked and learnt. One thread: the node's
// executor.

#include <set>

#include "node/name_index.hpp"

namespace zerodb {

/// What rounds leave behind for the next.
struct CatalogueState {
  CatalogueState(NodeContext of, std::shared_ptr<const OwnerKeys> owner)
      : context(of), keys(std::move(owner)) {}

  NodeContext context;
  std::shared_ptr<const OwnerKeys> keys;
  NameIndex index;
  std::vector<Bytes> news;  ///< broadcast manifests, not yet verified
  std::map<NodeId, std::vector<PartitionDigest>> digests;  ///< of nodes, when all was learnt
};

/// `no_quorum` if too few nodes answered to have seen every acknowledged write.
Task<Status> sync_catalogue(std::shared_ptr<CatalogueState> state);

}  // namespace zerodb

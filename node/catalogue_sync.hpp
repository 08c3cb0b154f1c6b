#pragma once
// One round of a catalogue catching up with the mesh: every node is asked what changed since the
// last round; versions not known yet are fetched, checked and learnt. One thread: the node's
// executor.

#include "node/catalogue.hpp"
#include "node/stragglers.hpp"

namespace zerodb {

/// A name whose tombstone was swept before it was seen would be listed for ever.
inline Milliseconds unseen_max(const NodeContext& context) {
  return context.tombstone_keep * 5 / 6;
}

/// What rounds leave behind for the next.
struct CatalogueState {
  CatalogueState(NodeContext of, std::shared_ptr<const OwnerKeys> owner, OpenNames open,
                 EventBounds bounds)
      : context(of),
        keys(std::move(owner)),
        names(std::make_shared<KnownNames>(
            of.runtime, keys->id(),
            [&mesh = of.mesh](Partition partition) {
              const auto targets = mesh.targets(partition);
              return targets.nodes();
            },
            std::move(open), unseen_max(of), bounds)),
        stragglers(of.runtime),
        latecomers(of.runtime, {.first = Milliseconds(1'000), .doublings_max = 0}) {}

  NodeContext context;
  std::shared_ptr<const OwnerKeys> keys;
  std::shared_ptr<KnownNames> names;
  Stragglers stragglers;
  Stragglers latecomers;    ///< at digests, by however little: a list does well without the slowest
  std::vector<Bytes> news;  ///< broadcast manifests, not yet verified
};

/// `no_quorum` if too few nodes answered to have seen every acknowledged write.
Task<Status> sync_catalogue(std::shared_ptr<CatalogueState> state);

}  // namespace zerodb

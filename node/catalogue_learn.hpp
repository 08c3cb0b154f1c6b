#pragma once
// How a catalogue learns versions that it does not know: the manifests of the own store, those of
// the nodes that listed them, and those that broadcasts brought. Private to the catalogue. One
// thread: the node's executor.

#include "node/catalogue_round.hpp"

namespace zerodb {

/// A version not known yet, which a node says it has.
struct Offer {
  Entry entry;
  NodeId node;
};

/// Of each object all that is offered: the latest may not be had any more, or be a lie, and then an
/// earlier one is what stands.
using Wanted = std::map<ObjectId, std::vector<Offer>>;

/// Learns what broadcasts told.
Task<void> learn_news(StatePtr state);

/// Learns of each object the latest version that holds, from the own store first.
Task<void> fetch_wanted(SyncRoundPtr round, Wanted wanted);

}  // namespace zerodb

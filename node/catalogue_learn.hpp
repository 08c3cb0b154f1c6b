#pragma once
// How a catalogue learns versions that it does not know: the manifests of the own store, those of
// the nodes that listed them, and those that broadcasts brought. Private to the catalogue. One
// thread: the node's executor.

#include "node/catalogue_round.hpp"

namespace zerodb {

/// A version not known yet, and who listed it.
struct Wanted {
  Entry entry;
  std::vector<NodeId> sources;
  bool told = false;
};

/// Asks each wanted version of a node that listed it, the own store first.
Task<void> fetch_wanted(SyncRoundPtr round, std::map<ObjectId, Wanted> wanted);

}  // namespace zerodb

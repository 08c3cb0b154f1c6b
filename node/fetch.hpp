#pragma once
// Brings one version of an object into the own store from nodes that hold it: leaves first,
// checked against the signed root, then chunks, each checked against its leaf, from whichever
// holder is good for it. One thread: the node's executor.

#include "node/node_context.hpp"

namespace zerodb {

/// Fetches the version `manifest` describes and commits it. `holders` are tried in order, per
/// chunk. Done at once if it, or a later one, is already here. A tombstone needs no holder.
Task<Status> fetch_version(NodeContext context, SignedManifest manifest,
                           std::vector<NodeId> holders);

/// Asks `holder` for the latest version of `object` and fetches it if it is later than what is
/// here.
Task<Status> fetch_latest(NodeContext context, ObjectId object, NodeId holder);

}  // namespace zerodb

#pragma once
// Receipts for what was committed: made by whoever keeps it, verified by the gateway. One thread:
// the node's executor; signing and verifying go to the thread pool.

#include "node/node_context.hpp"
#include "store/receipt.hpp"

namespace zerodb {

/// Signs that the version with this manifest, verified before, is durable here now. Nothing if this
/// node has no key to sign with.
Task<std::optional<peer::Receipt>> make_receipt(NodeContext context, Bytes manifest);

/// `node`'s receipt for `version`, if it is one: signed with the key that the roster names.
Task<std::optional<Receipt>> check_receipt(NodeContext context, NodeId node, ManifestHash version,
                                           std::optional<peer::Receipt> receipt);

}  // namespace zerodb

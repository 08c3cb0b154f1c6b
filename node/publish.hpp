#pragma once
// Telling the mesh of a version: by broadcast, which may be missed. One thread: the node's
// executor.

#include "node/gateway_core.hpp"

namespace zerodb {

/// Publishes a version, so that replicas that missed it fetch it and other gateways know.
void announce(GatewayCore& core, const SignedManifest& version);

/// Has the nodes that lack a version come for it, this one included: in a while, as it may be on
/// its way to them. False: it was published just now, or too many others were.
bool spread(const CorePtr& core, const SignedManifest& version, const std::vector<NodeId>& holders);

}  // namespace zerodb

#pragma once
// What users read of nodes that did not help. One thread: the node's executor.

#include <string>
#include <vector>

#include "node/gateway_core.hpp"

namespace zerodb {

/// A node, and why it did not help.
struct Failure {
  NodeId node;
  std::optional<Error> error;  ///< nothing: it is down
};

/// "only 1 of 3 replicas ...": the error of a write that cannot succeed any more. `can` counts the
/// nodes that took it or still may, in the placement that has too few of them.
Error too_few_replicas(const GatewayCore& core, std::string doing, const Targets::Count& can,
                       const std::vector<Failure>& failures);

/// "node2 (1a2b3c4d) is down; node3 (...): disk full"
std::string describe(const GatewayCore& core, const std::vector<Failure>& failures);

}  // namespace zerodb

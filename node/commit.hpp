#pragma once
// Acknowledging a write: one signed version to all placed nodes, until W of each placement in force
// have made it durable. If a later version stands somewhere, the version is raised above it, signed
// again and committed again. The others complete behind. One thread: the node's executor.

#include <functional>

#include "node/gateway_core.hpp"

namespace zerodb {

using CommitResult = Result<peer::Committed>;

/// What a commit is held to beside being durable.
struct CommitTerms {
  Expected expected{};   ///< refuse if anything later than this version stands
  bool receipt = false;  ///< the node signs that it has it; only such a copy counts
};
/// Commits at one node. What it refers to is held by it: it may end after the write is
/// acknowledged.
using CommitAt = std::function<Task<CommitResult>(NodeId, SignedPtr)>;

struct CommitPlan {
  std::string_view verb;  ///< "put" or "delete"; a literal
  std::string name;
  std::optional<std::int64_t> mtime_ms;
  Targets targets;
  CommitAt commit_at;
  CommitTerms terms{};  ///< commit_at() holds to them, too
  /// Until a commit could go out to the node, or to it no more; at once if this is empty.
  std::function<Task<void>(NodeId)> ready_at{};
};

/// `first` is the version to begin with; with `terms.expected` the only one tried: `conflict` if a
/// node holds anything later than expected. `no_quorum`, or `full` if space is what was missing, or
/// `invalid` if this node's clock is ahead of the others'.
Task<Result<WriteReceipt>> commit_on_quorum(CorePtr core, SignedPtr first, CommitPlan plan);

/// What the own store answered, as a replica would say it.
CommitResult to_committed(Result<CommitOutcome> outcome);

/// Publishes a version, so that replicas that missed it fetch it and other gateways know.
void announce(GatewayCore& core, const SignedManifest& version);

/// Has the nodes that lack a version come for it, this one included: in a while, as it may be on
/// its way to them. False: it was published just now, or too many others were.
bool spread(const CorePtr& core, const SignedManifest& version, const std::vector<NodeId>& holders);

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

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

}  // namespace zerodb

#pragma once
// Which version of an object stands, and who has it: the nodes of all placements in force are
// asked; if too few of them can say, everybody is. One thread: the node's executor.

#include "node/gateway_core.hpp"

namespace zerodb {

struct Located {
  SignedPtr version;            ///< the newest; it may be a tombstone
  Payload sealed;               ///< of an inline object, if it came along; unchecked
  std::vector<NodeId> holders;  ///< who answered with it, this node first
  /// `no_quorum`: too few nodes answer, so what exists may have been replaced or deleted meanwhile.
  /// Nothing: no later version was acknowledged by then.
  std::optional<Error> doubt;
};

/// Nothing, or a tombstone: there is no such object, for certain. `no_quorum` when that cannot be
/// told. What exists comes with `doubt` if it is not certain that it stands. `purpose` is for
/// messages, see about(). Placed nodes found stale are repaired behind.
Task<Result<std::optional<Located>>> locate(CorePtr core, ObjectId object, std::string purpose);

/// A member's answer to a broadcast `get` of ours.
void on_have(GatewayCore& core, const NodeId& from, const peer::Have& answer);

}  // namespace zerodb

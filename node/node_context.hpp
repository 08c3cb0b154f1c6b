#pragma once
// What every part of a node works with. One of each per node, owned by Node (node.hpp) or by a
// simulation; all outlive the parts. One thread: the node's executor.

#include "bus/links.hpp"
#include "node/mesh.hpp"
#include "node/runtime.hpp"
#include "store/keys.hpp"
#include "store/store.hpp"

namespace zerodb {

struct NodeContext {
  Runtime& runtime;
  Links& links;
  Store& store;  ///< blocking: always through offload()
  Mesh& mesh;
  const SigningKey* sign_key = nullptr;  ///< signs receipts; without it this node gives none
  Milliseconds tombstone_keep{
      std::chrono::hours(24)};  ///< deletions are remembered at least so long
};

/// A node whose store was lost cannot say that nothing later than expected stands.
inline Status check_can_judge(const NodeContext& context, const Expected& expected) {
  if (!expected || context.mesh.is_whole()) return {};
  return fail(Errc::busy, "its store was lost and fills up again");
}

}  // namespace zerodb

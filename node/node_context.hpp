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
  Store& store;  ///< blocking, but for its digests: through offload()
  Mesh& mesh;
  const SigningKey* sign_key = nullptr;  ///< signs receipts; without it this node gives none
  Milliseconds tombstone_keep{
      std::chrono::hours(24)};  ///< deletions are remembered at least so long
};

/// Asks for sealed chunk `index` of the version.
inline peer::GetChunk chunk_request(const Manifest& version, std::uint64_t index) {
  return {.owner = version.object.owner,
          .hashed_key = version.object.hashed_key,
          .blob_id = version.blob_id,
          .index = index};
}

/// Whether this node may count among those that make a write durable. One whose store was lost may
/// not, until it is whole again: a later version may have been acknowledged by it before, of which
/// it knows nothing, and which the write would not be told of. Nor may one that has just joined say
/// that nothing later than expected stands.
inline Status check_may_commit(const NodeContext& context, const Expected& expected) {
  const auto& mesh = context.mesh;
  if (mesh.is_whole() || (!expected && !mesh.has_lost_store())) return {};
  return fail(Errc::busy, "its store was lost and fills up again");
}

}  // namespace zerodb

#pragma once
// Brings one version of an object into the own store, from nodes that hold it and from what is here
// already: a small one whole, a large one by BlobFetch. One thread: the node's executor.

#include "node/node_context.hpp"

namespace zerodb {

/// Fetches the version `manifest` describes and commits it; answers how many bytes came. `holders`
/// are tried in order, per chunk; `not_found` only if each of them said that it has it not. Done at
/// once if it, or a later one, is already here, or if it is a forgotten deletion (below). A
/// tombstone needs no holder.
Task<Result<std::uint64_t>> fetch_version(NodeContext context, SignedManifest manifest,
                                          std::vector<NodeId> holders);

/// Fetches the bytes of a version that is here, but damaged, and commits them in place of what is
/// here, of which the whole chunks are used.
Task<Status> refetch_version(NodeContext context, SignedManifest manifest,
                             std::vector<NodeId> holders);

/// Asks `holder` for the latest version of `object` and fetches it if it is later than what is
/// here. `not_found` if `holder` itself says that it has it no more, and nobody else may; `denied`
/// if what it answers is no manifest of the object that an owner signed.
Task<Result<std::uint64_t>> fetch_latest(NodeContext context, ObjectId object, NodeId holder);

/// `first`, then whoever else may hold the object.
std::vector<NodeId> likely_holders(const Mesh& mesh, const ObjectId& object, const NodeId& first);

/// A tombstone older than this (UTC), of an object of which nothing is held here, needs no keeping:
/// the others are about to sweep it, and no node is left that could hold anything older. 0: none.
std::uint64_t forget_before_ms(const NodeContext& context);

}  // namespace zerodb

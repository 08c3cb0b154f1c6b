#pragma once
// Proving to another node that a version is held here: hashes of chunks that the asker names, each
// mixed with a nonce of the asker's and the prover's id, so that nobody can work one out in
// advance, or have another node answer in its place. DESIGN.md says what that proves and what not.
// One thread: the node's executor, but for prove_chunk().

#include "node/node_context.hpp"

namespace zerodb {

/// Of one question: at most 16 MiB to read and hash.
inline constexpr std::size_t prove_chunks_max = 16;

struct ChunkProofTag {
  static constexpr std::string_view name = "proof";
};
using ChunkProof = Id<ChunkProofTag, 32>;

/// What `prover` must answer for sealed chunk `index`. Any thread.
ChunkProof prove_chunk(const peer::ProofNonce& nonce, const NodeId& prover, std::uint64_t index,
                       ByteView sealed);

/// The answer of this node, read from its own disk, a chunk a visit. `invalid` if what is asked for
/// cannot be; `corrupt` if the version is here and its bytes are not.
Task<Result<PeerAnswer>> prove_here(NodeContext context, peer::Prove request);

}  // namespace zerodb

#pragma once
// Having every placed node prove that it holds a version: each is asked about the same chunks,
// chosen at random now, under a nonce of its own; what it must answer is worked out from chunks
// that were checked against the owner's signature. One thread: the node's executor.

#include "node/locate.hpp"

namespace zerodb {

/// `located` is no tombstone. `no_quorum` if nodes prove something and nobody who can be reached
/// hands out bytes to compare with; `busy` if too many objects are being verified.
Task<Result<Verification>> verify_version(CorePtr core, Located located, std::string name);

}  // namespace zerodb

#pragma once
// Writes that travel in one message: small objects and deletions. One thread: the node's executor.

#include "node/commit.hpp"
#include "node/draft.hpp"

namespace zerodb {

/// A whole object of at most inline_bytes_max.
Task<Result<WriteReceipt>> put_small(CorePtr core, PutSpec spec, Payload plain);

Task<Result<WriteReceipt>> put_tombstone(CorePtr core, std::string name, Version later_than,
                                         CommitTerms terms = {});

}  // namespace zerodb

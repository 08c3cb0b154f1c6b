#pragma once
// One comparison with one other node: digests first, entries of the partitions that differ, and a
// fetch of each that is later there. One thread: the node's executor.

#include "node/fetch_queue.hpp"

namespace zerodb {

/// Done when all that was later at `node` is here; an error if any of it is not.
Task<Status> run_round(NodeContext context, std::shared_ptr<FetchQueue> queue, NodeId node);

}  // namespace zerodb

#pragma once
// One comparison with one other node: digests first, entries of the partitions that differ, and a
// fetch of each that is later there. One thread: the node's executor.

#include "node/fetch_queue.hpp"

namespace zerodb {

/// How much other nodes have of the partitions that this node still has to take over.
struct TakeOver {
  std::vector<std::uint64_t> bytes_there = std::vector<std::uint64_t>(partition_count);
};

/// Done when all that was later at `node` is here; an error if any of it is not. `take_over` is
/// brought up to date, if this node has not settled.
Task<Status> run_round(NodeContext context, std::shared_ptr<FetchQueue> queue, NodeId node,
                       std::shared_ptr<TakeOver> take_over);

}  // namespace zerodb

#pragma once
// Drops what this node keeps of partitions that are placed elsewhere, version by version, once
// every node that should hold it says that it does. Begins when all members have settled under the
// roster that stands, so that nobody looks for anything here any more; looks again every few
// seconds, so that a restart or a failed call costs nothing but time. One thread: the node's
// executor.

#include <memory>

#include "node/node_context.hpp"

namespace zerodb {

struct HandOverOptions {
  Milliseconds interval{5'000};    ///< between two looks
  Milliseconds pause_max{60'000};  ///< between two that led to nothing
};

class HandOver {
 public:
  HandOver(NodeContext context, HandOverOptions options);
  ~HandOver();

  void start();
  void stop();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

/// What is kept here of partitions placed elsewhere.
struct Misplaced {
  std::vector<Partition> partitions;
  std::uint64_t bytes = 0;
};
/// By `sizes`, which Store::sizes() gave.
Misplaced misplaced_in(const std::vector<PartitionSize>& sizes, const Mesh& mesh);

}  // namespace zerodb

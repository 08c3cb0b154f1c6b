#pragma once
// Which nodes should hold a partition: weighted rendezvous hashing (Thaler and Ravishankar, "Using
// Name-Based Mappings to Increase Hit Rates", 1998; weights after Schindelhauer and Schomaker,
// 2005), distinct zones first. Members that are draining hold nothing. Every node computes the same
// answer from the same roster. Immutable once made; thread-safe.

#include <vector>

#include "node/roster.hpp"

namespace zerodb {

inline constexpr std::uint32_t replicas_wanted = 3;

/// W: how many of `replicas` nodes must have made a write durable before it is acknowledged.
constexpr std::uint32_t write_quorum(std::uint32_t replicas) {
  return replicas / 2 + 1;
}

/// How many of `replicas` nodes must say "no" before an object counts as absent, or answer before
/// the newest answer counts as the newest: every such set shares a node with every write quorum.
constexpr std::uint32_t read_quorum(std::uint32_t replicas) {
  return replicas - write_quorum(replicas) + 1;
}

class Placement {
 public:
  Placement() = default;
  explicit Placement(const Roster& roster);

  /// R = min(replicas_wanted, members that are not draining). Were all of them draining, all would
  /// count, as data must be somewhere.
  std::uint32_t replicas() const { return replicas_; }

  /// The R nodes for a partition, best first.
  const std::vector<NodeId>& nodes_for(Partition partition) const { return nodes_[partition]; }
  bool is_placed(const NodeId& node, Partition partition) const;

 private:
  std::uint32_t replicas_ = 0;
  std::vector<std::vector<NodeId>> nodes_{partition_count};
};

}  // namespace zerodb

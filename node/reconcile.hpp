#pragma once
// Compares this node with the others, partition by partition, and fetches what is missing here:
// when a link comes up, every reconcile_interval, after a roster change, and at once for a single
// object when a broadcast tells of it. Pull only: each node cares for what is placed on itself.
// One thread: the node's executor.

#include <memory>

#include "node/fetch_queue.hpp"
#include "node/node_context.hpp"

namespace zerodb {

struct ReconcileOptions {
  Milliseconds interval{600'000};
  FetchQueueOptions fetches{};
};

/// What this node still has to take over under the roster that stands, as far as known.
struct MoveLeft {
  std::uint64_t partitions = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_per_s = 0;  ///< fetched, lately
};

class Reconcile {
 public:
  /// `remember` keeps the roster under which this node is settled, across restarts.
  Reconcile(NodeContext context, ReconcileOptions options,
            std::function<void(const SignedRoster&)> remember);
  ~Reconcile();

  void start();                  ///< the periodic rounds
  void on_link_up(NodeId node);  ///< one round with that node
  void on_roster_change();       ///< one round with every node that is up
  void on_missed_writes();       ///< the same, after a moment, and not too often
  /// A broadcast `store` or `delete`, or what the own gateway found at a node, not yet verified.
  /// Ignored if not placed here or not news.
  void on_news(NodeId from, Bytes manifest);
  /// Says what is held of a page of entries, and fetches from `from` what should be.
  Task<Result<PeerAnswer>> on_confirm(NodeId from, Payload entries);
  /// Against what is kept here of each partition.
  MoveLeft left(const std::vector<PartitionSize>& sizes) const;
  bool is_idle() const;  ///< nothing under way or waiting
  void stop();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace zerodb

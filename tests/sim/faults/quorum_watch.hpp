#pragma once
// Tells whether a read had to be fresh: a get that heard from too few placed nodes may hand out an
// older version, and nothing it answers says so (node/DESIGN.md, "A get"). So the watch listens to
// what each read's questions came to, and counts by itself. One thread.

#include <map>
#include <set>

#include "tests/sim/faults/cluster.hpp"

namespace zerodb::sim {

class QuorumWatch {
 public:
  using Number = std::uint64_t;

  explicit QuorumWatch(Cluster& cluster) : cluster_(cluster) {}

  /// A read of `object` begins at `reader`, now.
  Number begin(Machine& reader, const ObjectId& object);
  /// Whether enough placed nodes answered it for certain. The read is over.
  bool end(Number number);

  // What the network tells.
  void on_outcome(const NodeId& asker, const NodeId& asked, const peer::Request& request,
                  const Result<PeerAnswer>& answer);
  void on_link_down(const NodeId& at, const NodeId& node);

  std::optional<NodeId> liar;  ///< its answers count for nothing

 private:
  struct Read {
    NodeId reader;
    ObjectId object;
    Targets targets;
    std::set<NodeId> answered;
    std::set<NodeId> failed;
  };

  Cluster& cluster_;
  std::map<Number, Read> reads_;
  Number next_ = 1;
};

}  // namespace zerodb::sim

#pragma once
// What this node knows of its mesh: the roster that stands, the placement that follows from it,
// and which partitions this node still has to take over. One thread: the node's executor.

#include <functional>

#include "node/placement.hpp"
#include "node/roster.hpp"

namespace zerodb {

class Mesh {
 public:
  /// `settled` is the roster under which this node last held everything placed on it (see
  /// settle()); a founding node's is its first roster, a joining node has none.
  Mesh(NodeId self, SignedRoster roster, std::optional<SignedRoster> settled);

  const NodeId& self() const { return self_; }
  const Roster& roster() const { return roster_.roster(); }
  const SignedRoster& signed_roster() const { return roster_; }
  const Placement& placement() const { return placement_; }

  /// True if `roster` is of the same mesh, stands_over() the one known, and stands from now on.
  /// Observers are told.
  bool adopt(SignedRoster roster);
  void on_change(std::function<void()> observer) { observers_.push_back(std::move(observer)); }

  bool is_placed_here(Partition partition) const { return placement_.is_placed(self_, partition); }

  /// Whether "I do not have it" from this node means anything for `partition`: not while the
  /// partition is being taken over from the nodes that held it before a roster change, and not for
  /// a partition placed elsewhere.
  bool is_settled(Partition partition) const;

  /// Called when every partition placed here has been taken over under that roster. Answers the
  /// roster to remember across restarts, or nothing if another stands by now.
  std::optional<SignedRoster> settle(const RosterHash& roster);

  /// "node2 (1a2b3c4d)" for messages and logs.
  std::string describe(const NodeId& node) const;

 private:
  NodeId self_;
  SignedRoster roster_;
  Placement placement_;
  std::vector<bool> settled_;  ///< per partition: placed here and held here, ever since settle()
  std::vector<std::function<void()>> observers_;
};

}  // namespace zerodb

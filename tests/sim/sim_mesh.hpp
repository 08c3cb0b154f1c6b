#pragma once
// A whole mesh in one thread, in virtual time, from one seed. One thread.

#include <deque>

#include "tests/sim/seeded_world.hpp"
#include "tests/sim/sim_node.hpp"

namespace zerodb::sim {

struct SimMeshOptions {
  NetworkOptions network;
  SimNodeOptions node;
  std::vector<std::string> zones;           ///< of the first nodes, in order; empty beyond
  std::uint64_t clock_skew_max_ms = 2'000;  ///< each node's clock is off by up to this
};

class SimMesh {
 public:
  /// A mesh of `nodes` founding members, named node1, node2 and so on; their links are up.
  explicit SimMesh(std::size_t nodes, SimMeshOptions options = {});
  ~SimMesh();

  World& world() { return world_; }
  SimNetwork& network() { return network_; }
  SimNode& operator[](std::size_t index) { return nodes_[index]; }
  std::size_t size() const { return nodes_.size(); }
  SimNode* find(const NodeId& id);

  /// A new member joins: it and all who are up adopt the new roster.
  SimNode& join(const std::string& zone = {});
  /// Changes the roster; all who are up adopt it, those who are no members any more as well.
  void change_roster(const std::function<void(Roster&)>& change);
  void remove(std::size_t index);
  Roster roster() const { return roster_; }
  /// Runs until all nodes that are members are settled and clean under the roster that stands.
  bool run_until_moved(Milliseconds limit = std::chrono::minutes(30));

  void down(std::size_t index) { network_.down(nodes_[index].id()); }
  /// Comes back, and learns the roster that stands.
  void up(std::size_t index);
  void cut(std::size_t a, std::size_t b) { network_.cut(nodes_[a].id(), nodes_[b].id()); }
  void heal(std::size_t a, std::size_t b) { network_.heal(nodes_[a].id(), nodes_[b].id()); }

  /// Runs until every node that is not down sees every other such node, or `limit` has passed.
  bool run_until_linked(Milliseconds limit = std::chrono::seconds(30));
  /// Runs until every node's reconcile has had nothing to do for a while.
  bool run_until_quiet(Milliseconds limit = std::chrono::minutes(10));

  template <class T>
  T run(Task<T> coroutine) {
    return world_.run(std::move(coroutine));
  }

 private:
  void add_member(const NodeKeys& keys, const std::string& zone);
  void spread_to(SimNode& node);
  SimNode& add_node(NodeKeys keys, std::optional<SignedRoster> settled);

  SeededWorld world_;
  SimMeshOptions options_;
  SimNetwork network_;
  SigningKey mesh_key_;
  Roster roster_;
  std::vector<SignedRoster> rosters_;  ///< all that ever stood
  std::deque<SimNode> nodes_;
};

}  // namespace zerodb::sim

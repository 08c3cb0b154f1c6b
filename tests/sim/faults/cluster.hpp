#pragma once
// The machines of a run, and what changes who they are: they join by tickets and are administered
// by whichever of them holds the mesh key, as `zdb` would do it. One thread.

#include <deque>

#include "tests/sim/faults/scenario.hpp"
#include "tests/sim/faults/trace.hpp"

namespace zerodb::sim {

class Cluster {
 public:
  Cluster(World& world, Trace& trace, const Scenario& scenario);

  SimNetwork& network() { return network_; }
  const OwnerKeys& owner() const { return owner_; }
  ObjectId object(std::string_view name) const {
    return {.owner = owner_.id(), .hashed_key = owner_.hash_name(name)};
  }

  std::deque<Machine>& machines() { return machines_; }
  Machine* find(const NodeId& id);
  const std::string& name_of(const NodeId& id);

  /// Whether the mesh hears of its roster: it is of the largest group of machines that list each
  /// other, directly or by way of others. One that was removed by force and could not be told goes
  /// by a roster of its own, with those that have joined by it, and the mesh never hears of that.
  bool is_heard(const Machine& machine) const;
  /// Whether the others would still hear of each other: who joined while some were away may be
  /// known to them through `gone` only.
  bool is_one_without(const Machine& gone) const;
  /// The latest that any machine has adopted that is heard.
  const Roster& roster() const;
  bool is_member(const Machine& machine) const { return roster().find(machine.id()) != nullptr; }
  /// Members that run, as of now.
  std::vector<Machine*> running();
  /// How many disks may be lost at once under every roster that stood since mark_converged().
  std::uint32_t losses_allowed();
  void mark_converged();

  // Each asks an administrator that runs, if there is one, and leaves it to itself.

  /// The new machine starts `later`, if at all.
  void join(const std::string& zone, Milliseconds later);
  void set(const Machine& machine, client::NodeSet change);
  void remove(const Machine& machine, bool force);

 private:
  std::vector<const Machine*> heard() const;
  Machine* administrator();
  void found(const Scenario& scenario);
  Machine& add(NodeKeys keys, Folder folder, bool gateway);
  void note_replicas();
  Task<void> admit(Machine& at, NodeKeys keys, std::string zone, Milliseconds later);
  static Task<void> do_set(Cluster& cluster, Machine& at, client::NodeSet change);
  static Task<void> do_remove(Cluster& cluster, Machine& at, client::NodeRemove change);

  World& world_;
  Trace& trace_;
  MachineOptions options_;
  SimNetwork network_;
  SigningKey mesh_key_;
  OwnerKeys owner_;
  std::uint32_t replicas_least_ = 0;
  std::deque<Machine> machines_;
};

}  // namespace zerodb::sim

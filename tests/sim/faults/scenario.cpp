#include "tests/sim/faults/scenario.hpp"

#include <fmt/format.h>

namespace zerodb::sim {

namespace {

using std::chrono::hours;
using std::chrono::minutes;

Milliseconds between(World& world, Milliseconds low, Milliseconds high) {
  return Milliseconds(static_cast<std::int64_t>(world.random_between(
      static_cast<std::uint64_t>(low.count()), static_cast<std::uint64_t>(high.count()))));
}

/// Three to five mostly: there quorums and placements matter most for the time they take.
std::size_t draw_nodes(World& world) {
  constexpr std::array<std::size_t, 20> sizes{1, 2, 2, 3, 3, 3, 3, 3, 3, 3,
                                              4, 4, 4, 4, 5, 5, 5, 6, 7, 9};
  return sizes.at(world.random_between(0, sizes.size() - 1));
}

FaultPlan draw_faults(World& world, std::size_t nodes) {
  FaultPlan plan{.pause_mean = between(world, Milliseconds(2'000), Milliseconds(20'000)),
                 .network = {},
                 .crashes = world.chance(700),
                 .cuts = nodes > 1 && world.chance(500),
                 .bad_disks = world.chance(300),
                 .lost_disks = nodes > 1 && world.chance(500),
                 .membership = world.chance(300),
                 .liar = nodes > 2 && world.chance(200),
                 .clocks = nodes > 2 && world.chance(150),
                 .all_clocks = false};
  plan.all_clocks = plan.clocks && world.chance(150);
  auto& network = plan.network;
  network.delay_max_us = world.random_between(500, 20'000);
  if (world.chance(600)) {
    network.drop_per_mille = static_cast<unsigned>(world.random_between(1, 300));
    network.broadcast_drop_per_mille = static_cast<unsigned>(world.random_between(1, 500));
  }
  if (world.chance(500)) {
    network.late_per_mille = static_cast<unsigned>(world.random_between(1, 200));
    network.late_max_us = world.random_between(10'000, 20'000'000);
  }
  if (world.chance(500)) {
    network.double_per_mille = static_cast<unsigned>(world.random_between(1, 200));
  }
  return plan;
}

MachineOptions draw_machine(World& world) {
  MachineOptions machine;
  auto& node = machine.node;
  node.reconcile.interval = between(world, minutes(2), minutes(10));
  node.tombstones.interval = between(world, minutes(5), minutes(60));
  node.superseded_keep = minutes(10);
  node.scrub.period = between(world, hours(1), hours(24));
  machine.tombstone_keep = between(world, minutes(10), hours(2));
  machine.ping_interval = between(world, Milliseconds(2'000), Milliseconds(20'000));
  return machine;
}

std::vector<Phase> draw_phases(World& world, const MachineOptions& machine) {
  std::vector<Phase> phases(world.chance(600) ? 1 : world.random_between(2, 3));
  for (auto& phase : phases) {
    phase.faults = between(world, minutes(1), minutes(5));
    phase.rest = between(world, minutes(3), minutes(30));  // silent uploads are dropped after two
    // By then the others could have forgotten what it does not know to be deleted.
    if (world.chance(250))
      phase.absence = machine.tombstone_keep + 3 * machine.node.tombstones.interval;
  }
  // Once, deletions are given the time to be forgotten.
  phases.back().rest = machine.tombstone_keep + 3 * machine.node.tombstones.interval;
  return phases;
}

}  // namespace

Scenario Scenario::draw(World& world) {
  Scenario scenario;
  scenario.nodes = draw_nodes(world);
  const auto zones = world.random_between(1, 4);
  for (std::size_t i = 0; i < scenario.nodes; ++i) {
    scenario.zones.push_back("zone" + std::to_string(world.random_between(1, zones)));
    scenario.blind.push_back(i > 0 && world.chance(200));
  }
  scenario.administrators = world.chance(300) ? 2 : 1;
  scenario.keys = world.random_between(1, 12);
  scenario.client_pause_mean = between(world, Milliseconds(20), Milliseconds(2'000));
  scenario.conditional = world.chance(300);
  scenario.large = world.chance(300);
  scenario.machine = draw_machine(world);
  scenario.faults = draw_faults(world, scenario.nodes);
  scenario.phases = draw_phases(world, scenario.machine);
  // Tombstones may be of the hour to come.
  if (scenario.faults.clocks) scenario.phases.back().rest += hours(1);
  return scenario;
}

/// Rounds of reconcile, the slowest of retries, and, where clocks were ahead, until versions that
/// were taken then are in the future no more.
Milliseconds Scenario::convergence_bound() const {
  const auto clocks = faults.clocks ? hours(2) : hours(0);
  return minutes(30) + 4 * machine.node.reconcile.interval + clocks;
}

std::string Scenario::describe() const {
  std::string faults_text;
  const auto add = [&](bool is_on, const char* name) {
    if (is_on) faults_text += std::string(" ") + name;
  };
  add(faults.crashes, "crashes");
  add(faults.cuts, "cuts");
  add(faults.bad_disks, "bad-disks");
  add(faults.lost_disks, "lost-disks");
  add(faults.membership, "membership");
  add(faults.liar, "liar");
  add(faults.clocks, "clocks");
  return fmt::format("{} nodes, {} keys, {} phases, loss {:.1f}%, late {:.1f}%, doubled {:.1f}%,{}",
                     nodes, keys, phases.size(), faults.network.drop_per_mille / 10.0,
                     faults.network.late_per_mille / 10.0, faults.network.double_per_mille / 10.0,
                     faults_text);
}

}  // namespace zerodb::sim

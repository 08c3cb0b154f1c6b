#pragma once
// All that a seed decides before its run begins: how large the mesh is, what clients do, which
// faults there are and how often. Values.

#include <string>
#include <vector>

#include "tests/sim/faults/machine.hpp"

namespace zerodb::sim {

/// Faults for a while, then none until all has converged, then a long time of nothing. Where
/// `absence` is set, one member is off for so long before that, and misses what happens.
struct Phase {
  Milliseconds faults{};
  Milliseconds absence{};
  Milliseconds rest{};
};

/// What the nemesis may do. Rates are of the moments at which it does something.
struct FaultPlan {
  Milliseconds pause_mean{5'000};  ///< between two faults
  NetworkOptions network;          ///< as bad as it gets
  bool crashes = false;
  bool cuts = false;
  bool bad_disks = false;   ///< writes fail, disks are full
  bool lost_disks = false;  ///< and bits flip, and members leave without a word
  bool membership = false;  ///< members join, drain, leave
  bool liar = false;        ///< one member answers with forged manifests
  bool clocks = false;      ///< one member's clock is off by up to an hour
  bool all_clocks = false;  ///< and so are the others'
};

struct Scenario {
  static Scenario draw(World& world);
  std::string describe() const;

  std::size_t nodes = 3;
  std::vector<std::string> zones;       ///< one each
  std::vector<bool> blind;              ///< holds no owner's key; never the first
  std::size_t administrators = 1;       ///< hold the mesh key
  std::size_t keys = 4;                 ///< few, so that clients race
  Milliseconds client_pause_mean{500};  ///< between two operations
  bool conditional = false;             ///< some writes expect a version
  bool large = false;                   ///< some objects take several messages
  MachineOptions machine;
  FaultPlan faults;
  std::vector<Phase> phases;

  /// Longer than any convergence takes that is not stuck.
  Milliseconds convergence_bound() const;
};

}  // namespace zerodb::sim

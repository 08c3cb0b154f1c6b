#pragma once
// A mesh on paper: objects drawn from a seed, placed by the product's own placement. What it says
// of balance and of bytes moved holds for real meshes, as placement knows nothing else of a node
// than its entry in the roster. One thread.

#include <vector>

#include "node/placement.hpp"

namespace zerodb::scale {

/// How the objects fall into partitions, and what they weigh.
struct Load {
  struct Share {
    std::uint64_t objects = 0;
    std::uint64_t bytes = 0;
  };
  std::vector<Share> partitions{partition_count};
  Share total;
};

/// Sizes are log-normal with a median of 64 KiB: many small ones, a few that hold most bytes.
Load draw_load(std::uint64_t objects, std::uint64_t seed);

struct MeshSpec {
  std::size_t nodes = 0;
  std::size_t zones = 0;  ///< 0: nobody says which nodes fail together
  std::uint64_t seed = 1;
};

/// Members of equal weight with random ids. The same seed makes the same first members, so that
/// one more node is a join.
Roster make_roster(const MeshSpec& spec);

/// How far the fullest node is above the mean.
struct Balance {
  double objects_max_to_mean = 0;
  double bytes_max_to_mean = 0;
};
Balance measure_balance(const Load& load, const Roster& roster, const Placement& placement);

/// Bytes that nodes take over because one came or went.
struct Movement {
  double bytes = 0;
  double least_bytes = 0;  ///< what is placed on that one node: it has to move
  double ideal_bytes = 0;  ///< the same in a mesh of perfect balance
};
Movement measure_join(const Load& load, const MeshSpec& before);
Movement measure_leave(const Load& load, const MeshSpec& before);

/// Partitions with two of their nodes in one zone.
std::size_t count_zone_conflicts(const Roster& roster, const Placement& placement);

}  // namespace zerodb::scale

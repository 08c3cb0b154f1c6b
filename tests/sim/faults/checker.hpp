#pragma once
// Looks at all disks at once, as nobody in the mesh can: whether they are what the roster and the
// ledger say they should be. One thread.

#include "tests/sim/faults/cluster.hpp"
#include "tests/sim/faults/findings.hpp"

namespace zerodb::sim {

class Checker {
 public:
  Checker(Cluster& cluster, const Ledger& ledger) : cluster_(cluster), ledger_(ledger) {}

  /// Every placed node holds the latest version, whole, and no other holds anything; all are
  /// settled and clean. Nothing: they have converged. Else what is missing yet.
  Complaint not_converged();
  /// The latest version of `key` and whether it is a tombstone; nothing if no node holds any.
  struct Latest {
    Version version;
    bool is_tombstone = false;
  };
  std::optional<Latest> latest(const std::string& key);
  /// Of a mesh that has converged: what was acknowledged is there, and nothing that must not be.
  Complaint check_standing(const std::string& key);
  /// What is bounded is within its bounds, at any time.
  Complaint check_bounds();
  /// Of a mesh with nothing to do: nothing is left of uploads.
  Complaint check_idle();
  /// Of a mesh that had the time to forget its deletions: they are, and digests agree.
  Complaint check_forgotten();

 private:
  Complaint members_differ();
  Complaint misheld(const std::string& key);
  Complaint misheld_at(Machine& machine, const std::string& key, const SignedManifest& latest);
  Complaint strays();
  Complaint digests_differ();
  std::optional<SignedManifest> latest_anywhere(const std::string& key);
  std::vector<Machine*> members();

  Cluster& cluster_;
  const Ledger& ledger_;
};

}  // namespace zerodb::sim

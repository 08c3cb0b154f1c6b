#pragma once
// One machine of a simulated mesh: a disk that outlives crashes, and the daemon's own Node and
// Membership over it, wired as node/daemon.cpp does. Can be killed between any two steps. One
// thread.

#include <optional>
#include <string>

#include "node/node.hpp"
#include "tests/sim/memory_store.hpp"
#include "tests/sim/sim_network.hpp"

namespace zerodb::sim {

/// What a data folder holds: each write is durable at once, as its fsync is part of it.
struct Folder {
  std::optional<SignedRoster> roster;
  std::optional<SignedRoster> settled;
  std::vector<SignedRoster> older;
  std::uint64_t over_before = 0;
  MembershipState membership;
  std::optional<Seed> mesh_key;
  std::string scrub;
};

struct MachineOptions {
  NodeOptions node;
  Milliseconds tombstone_keep{std::chrono::hours(24)};
  Milliseconds ping_interval{1'000};
};

class Machine {
 public:
  /// `owner` makes it a gateway.
  Machine(SimNetwork& network, std::string name, NodeKeys keys, Folder folder,
          std::optional<Seed> owner, MachineOptions options);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  const NodeId& id() const { return keys_.curve.public_key; }
  const std::string& name() const { return name_; }

  void start();
  void crash();
  bool is_running() const { return process_ != nullptr; }
  /// A new, empty disk in place of the store; the machine does not run.
  void lose_store();
  void set_clock_skew(std::int64_t ms);
  std::int64_t clock_skew_ms() const { return clock_skew_ms_; }
  /// Whether a tombstone of that version is old enough to be swept, by this machine's clock.
  bool may_forget(Version tombstone);

  // Of a running machine.
  Life& life();
  Node& node();
  Mesh& mesh();
  Membership& membership();
  SimLinks& links();
  bool is_gateway() const { return owner_.has_value(); }
  /// Which stands as far as this machine knows, running or not.
  const SignedRoster& known_roster() const { return *folder_.roster; }

  MemoryStore store;

 private:
  class Process;

  SimNetwork& network_;
  std::string name_;
  NodeKeys keys_;
  Folder folder_;
  std::optional<Seed> owner_;
  MachineOptions options_;
  std::int64_t clock_skew_ms_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace zerodb::sim

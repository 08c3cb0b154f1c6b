#pragma once
// What happened in a run, as one hash: two runs of a seed are the same run if their hashes are.
// Keeps the last lines for whoever reads of a failure. One thread.

#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "tests/sim/sim_world.hpp"

namespace zerodb::sim {

class Trace {
 public:
  /// With `echo` every line goes to stdout at once.
  Trace(const World& world, bool echo) : world_(world), echo_(echo) {}

  /// An event worth a line.
  void say(const std::string& line);
  /// An event too small for a line, such as a message: counts for the hash alone.
  void note(std::string_view what, std::uint64_t detail);
  /// For people alone: what nodes log.
  void comment(const std::string& line);

  /// A fault was made; they are counted by kind.
  void fault(const std::string& kind, const std::string& line) {
    ++faults_[kind];
    say(kind + ": " + line);
  }

  std::uint64_t hash() const { return hash_; }
  const std::map<std::string, std::uint64_t>& faults() const { return faults_; }
  const std::deque<std::string>& last_lines() const { return lines_; }

 private:
  void mix(std::string_view bytes);
  void mix(std::uint64_t number);
  void keep(std::string line);

  const World& world_;
  bool echo_;
  std::uint64_t hash_ = 0xcbf29ce484222325;  // FNV-1a
  std::deque<std::string> lines_;
  std::map<std::string, std::uint64_t> faults_;
};

}  // namespace zerodb::sim

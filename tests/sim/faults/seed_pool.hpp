#pragma once
// Work on many seeds in many processes: each seed has a process of its own, so that one that
// crashes or hangs is a failed seed and nothing more. One thread.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace zerodb::sim {

struct SeedResult {
  std::uint64_t seed = 0;
  std::string output;  ///< what the work answered; as far as it got, if it failed
  std::string death;   ///< "killed by signal 11"; empty if it ended as it should
};

/// Runs `work` on each seed, `processes` at a time, and tells `done` of each as it ends. One that
/// takes more than `seconds_max` of a processor is killed.
void run_in_processes(const std::vector<std::uint64_t>& seeds, unsigned processes,
                      unsigned seconds_max,
                      const std::function<std::string(std::uint64_t seed)>& work,
                      const std::function<void(const SeedResult&)>& done);

}  // namespace zerodb::sim

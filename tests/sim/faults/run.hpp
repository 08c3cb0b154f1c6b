#pragma once
// One seed from beginning to end: a mesh is founded, suffers its scenario, and is checked. One
// thread; one run at a time in a process.

#include "tests/sim/faults/findings.hpp"
#include "tests/sim/faults/workload.hpp"

namespace zerodb::sim {

struct RunReport {
  std::uint64_t seed = 0;
  std::string scenario;
  std::optional<Finding> finding;       ///< none: the seed passed
  std::vector<std::string> last_lines;  ///< of the trace, if it did not
  std::uint64_t trace_hash = 0;
  std::uint64_t virtual_ms = 0;
  WorkloadCounts counts;
  std::map<std::string, std::uint64_t> faults;  ///< injected, by kind
};

struct RunOptions {
  bool echo = false;  ///< the trace goes to stdout as it happens
};

RunReport run_seed(std::uint64_t seed, RunOptions options);

}  // namespace zerodb::sim

#pragma once
// The workloads: what clients do to a mesh while the clock runs.

#include <optional>
#include <string>
#include <vector>

#include "tools/zbench_mesh.hpp"

namespace zerodb::bench {

enum class Workload { put, get, small_put, small_get, remove, client_cost };

struct WorkOptions {
  Workload workload = Workload::put;
  std::uint64_t size = 0;    ///< bytes an object
  std::uint64_t count = 0;   ///< objects
  unsigned concurrency = 1;  ///< clients at once
  unsigned replicas = 3;     ///< nodes in the mesh: 1 or 3
};

struct ProcessUse {
  std::string name;
  double cpu_s = 0;  ///< while the clock ran
  std::uint64_t peak_bytes = 0;
};

struct WorkResult {
  double wall_s = 0;
  std::uint64_t operations = 0;
  std::uint64_t bytes = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  std::optional<double> node_p50_ms;  ///< of the same puts as the node itself measured them
  std::optional<double> ipc_cost_ms;  ///< what bare libzmq adds to an answer that takes as long
  std::vector<ProcessUse> processes;  ///< each node, then this program
};

/// Puts what the workload needs first, off the clock. Every object read is compared in full.
Result<WorkResult> run_workload(const WorkOptions& options, BenchMesh& mesh);

}  // namespace zerodb::bench

#pragma once
// What this machine allows: each step a byte must go through on its way, measured alone in this
// run, and from those the rates that no put or get on this machine can exceed.

#include <cstddef>
#include <filesystem>

#include "store/result.hpp"

namespace zerodb::bench {

/// A step, per gigabyte (10^9 bytes) that goes through it.
struct Step {
  double cpu_s = 0;   ///< of all threads and both ends
  double wall_s = 0;  ///< alone on the machine
};

struct Roofline {
  Step seal;
  Step open;
  Step leaf;
  Step curve_hop;   ///< DEALER to ROUTER over loopback TCP with CURVE, 1 MiB frames
  Step ipc_hop;     ///< the same over ipc, without CURVE
  Step write_sync;  ///< write to a file, then fdatasync
  Step read_back;   ///< read a file that was just written
  unsigned cores = 1;

  /// Bytes a second of one large put or get when every core is busy with nothing but these steps
  /// and the disk takes every copy: the lower of the two bounds.
  double put_bytes_per_s(unsigned replicas) const;
  double get_bytes_per_s(unsigned replicas) const;
};

/// Milliseconds (p50) that two bare libzmq sockets over ipc add to a request of `bytes` bytes whose
/// small answer takes `work_ms`, one at a time: what any service that waits for a disk costs here
/// at the end of such a socket. Makes a socket below `folder`.
double measure_ipc_cost_ms(const std::filesystem::path& folder, std::size_t bytes, double work_ms);

/// Takes a few seconds; writes a temporary file below `folder`.
Result<Roofline> measure_roofline(const std::filesystem::path& folder);

}  // namespace zerodb::bench

#pragma once
// A disk that fails on demand, and a record of what was synced. The program's own fsync, fdatasync,
// pwrite, pread and open stand before libc's, for us and for the libraries we link. One disk at a
// time; the record is for one thread.

#include <string>
#include <vector>

namespace zerodb::test {

/// An errno for each call that fails; 0 for one that works.
struct DiskFaults {
  int sync_error = 0;   ///< of fsync and fdatasync
  int write_error = 0;  ///< of pwrite
  int read_error = 0;   ///< of pread
  int open_error = 0;   ///< of open
  std::string only{};   ///< files whose path contains this; empty: all
};

/// While it lives, the disk has these faults.
class FailingDisk {
 public:
  explicit FailingDisk(DiskFaults faults = {});
  ~FailingDisk();
  FailingDisk(const FailingDisk&) = delete;
  FailingDisk& operator=(const FailingDisk&) = delete;

  /// Paths of what was synced since, in order.
  std::vector<std::string> synced() const;
};

}  // namespace zerodb::test

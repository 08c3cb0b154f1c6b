#pragma once
// A disk that fails on demand, and a record of what was synced. The program's own fsync, fdatasync
// and pwrite stand before libc's, for us and for the libraries we link. One disk at a time; the
// record is for one thread.

#include <string>
#include <vector>

namespace zerodb::test {

struct DiskFaults {
  int sync_error = 0;   ///< errno of every fsync and fdatasync; 0 if they work
  int write_error = 0;  ///< errno of every pwrite; 0 if they work
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

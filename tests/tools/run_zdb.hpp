#pragma once
// The real zdb, run as a person would run it: arguments and stdin in, stdout, stderr and exit code
// out. One thread.

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/support/temp_dir.hpp"

namespace zerodb::test {

struct Outcome {
  int exit_code = -1;  ///< negative: the signal that ended it
  std::string out;
  std::string err;
};

class RunningZdb {
 public:
  /// Starts in folder `where`.
  RunningZdb(std::vector<std::string> arguments, const std::filesystem::path& where,
             const std::string& input);
  void signal(int number) const;
  Outcome wait();

 private:
  TempDir files_;
  pid_t pid_ = -1;
};

}  // namespace zerodb::test

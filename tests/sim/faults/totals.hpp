#pragma once
// What many runs came to. A run in a process of its own tells it as text: a line "count NAME N" for
// each thing counted, then, if it failed, what there is to say of that. Values.

#include <map>
#include <string>

#include "tests/sim/faults/run.hpp"

namespace zerodb::sim {

std::string to_text(const RunReport& report);

class Totals {
 public:
  /// Takes the counts of one run in; answers what it says of its failure, empty if it passed.
  std::string add(const std::string& text);
  void add_failure() { ++failed_; }
  std::uint64_t failed() const { return failed_; }
  /// One line.
  std::string summary(double wall_s) const;

 private:
  std::uint64_t get(const std::string& name) const;

  std::map<std::string, std::uint64_t> counts_;
  std::uint64_t runs_ = 0;
  std::uint64_t failed_ = 0;
};

}  // namespace zerodb::sim

#pragma once
// What a run was found guilty of: the first of it ends the run. One thread.

#include <optional>
#include <string>

#include "tests/sim/faults/ledger.hpp"

namespace zerodb::sim {

struct Finding {
  std::string check;     ///< its short name
  std::string sentence;  ///< what is wrong
};

class Findings {
 public:
  void report(std::string check, std::string sentence) {
    if (!first_) first_ = Finding{std::move(check), std::move(sentence)};
  }
  void weigh(std::string check, Complaint complaint) {
    if (complaint) report(std::move(check), std::move(*complaint));
  }
  const std::optional<Finding>& first() const { return first_; }

 private:
  std::optional<Finding> first_;
};

}  // namespace zerodb::sim

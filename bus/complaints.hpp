#pragma once
// What peers did wrong, counted and logged without flooding the log: the first time, the tenth,
// the hundredth. One thread.

#include <map>
#include <string>
#include <utility>

#include "store/ids.hpp"

namespace zerodb {

class Complaints {
 public:
  /// `kind` names the offence; `detail` is logged with it when it is this one's turn.
  void about(const NodeId& node, const std::string& kind, const std::string& detail);

 private:
  std::map<std::pair<NodeId, std::string>, std::uint64_t> counts_;
};

}  // namespace zerodb

#pragma once
// Says in the log, once each time, when another member becomes suspect, goes down or comes back.
// One thread: the node's executor.

#include <map>

#include "node/node_context.hpp"

namespace zerodb {

/// "alive", "suspect" or "down".
std::string_view to_string(Health health);

class HealthLog {
 public:
  explicit HealthLog(NodeContext context) : context_(context) {}

  /// Called every now and then.
  void look();
  void look_at(const NodeId& node);

 private:
  NodeContext context_;
  std::map<NodeId, Health> known_;
};

}  // namespace zerodb

#include "node/targets.hpp"

namespace zerodb {

namespace {

bool is_same_set(std::span<const NodeId> one, std::span<const NodeId> other) {
  return one.size() == other.size() && std::ranges::all_of(one, [&](const NodeId& node) {
           return std::ranges::find(other, node) != other.end();
         });
}

}  // namespace

void Targets::add(std::vector<NodeId> nodes, std::uint32_t replicas) {
  const bool is_known =
      (replicas == replicas_ && is_same_set(latest(), nodes)) ||
      std::ranges::any_of(older_, [&](const Older& placement) {
        return placement.replicas == replicas && is_same_set(placement.nodes, nodes);
      });
  if (nodes.empty() || is_known) return;
  if (nodes_.empty()) {
    latest_ = nodes.size();
    replicas_ = replicas;
    nodes_ = std::move(nodes);
    return;
  }
  for (const auto& node : nodes) {
    if (std::ranges::find(nodes_, node) == nodes_.end()) nodes_.push_back(node);
  }
  older_.push_back({.nodes = std::move(nodes), .replicas = replicas});
}

}  // namespace zerodb

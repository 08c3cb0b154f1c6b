#include "node/health.hpp"

#include <spdlog/spdlog.h>

namespace zerodb {

std::string_view to_string(Health health) {
  if (health == Health::alive) return "alive";
  return health == Health::suspect ? "suspect" : "down";
}

void HealthLog::look() {
  const auto& roster = context_.mesh.roster();
  std::erase_if(known_, [&](const auto& entry) { return roster.find(entry.first) == nullptr; });
  for (const auto& member : roster.members) {
    if (member.node != context_.mesh.self()) look_at(member.node);
  }
}

/// Members begin as down: one that never answered is no news.
void HealthLog::look_at(const NodeId& node) {
  const auto state = context_.links.state(node);
  auto& known = known_[node];
  if (state.health == known) return;
  known = state.health;
  const auto level = known == Health::down ? spdlog::level::warn : spdlog::level::info;
  spdlog::log(level, "health: {} is {}; heard {} ms ago", context_.mesh.describe(node),
              to_string(known), state.heard_ms_ago.value_or(0));
}

}  // namespace zerodb

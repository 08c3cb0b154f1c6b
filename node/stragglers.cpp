#include "node/stragglers.hpp"

#include <algorithm>

namespace zerodb {

namespace {

constexpr std::uint64_t forgiven_after_ms = 300'000;
constexpr std::size_t nodes_max = 4'096;

}  // namespace

void Stragglers::note(const NodeId& node) {
  const auto now = runtime_.steady_ms();
  if (has(node)) return;
  std::erase_if(lapses_,
                [&](const auto& l) { return now > l.second.until_ms + forgiven_after_ms; });
  if (lapses_.size() >= nodes_max) lapses_.clear();
  auto& lapse = lapses_[node];
  const auto first_ms = static_cast<std::uint64_t>(pause_.first.count());
  lapse.until_ms = now + (first_ms << std::min(lapse.in_a_row, pause_.doublings_max));
  lapse.in_a_row += 1;
}

bool Stragglers::has(const NodeId& node) const {
  const auto lapse = lapses_.find(node);
  return lapse != lapses_.end() && runtime_.steady_ms() < lapse->second.until_ms;
}

}  // namespace zerodb

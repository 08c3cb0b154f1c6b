#include "bus/complaints.hpp"

#include <spdlog/spdlog.h>

namespace zerodb {
namespace {

constexpr std::size_t kinds_max = 4096;

bool is_power_of_ten(std::uint64_t count) {
  while (count % 10 == 0)
    count /= 10;
  return count == 1;
}

}  // namespace

void Complaints::about(const NodeId& node, const std::string& kind, const std::string& detail) {
  if (counts_.size() >= kinds_max) counts_.clear();
  const auto count = ++counts_[{node, kind}];
  if (!is_power_of_ten(count)) return;
  spdlog::warn("node {}: {} ({} so far): {}", node.short_hex(), kind, count, detail);
}

}  // namespace zerodb

#include "tools/zscale_model.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

namespace zerodb::scale {

namespace {

constexpr double size_median_bytes = 64.0 * 1024;
constexpr double size_sigma = 2.0;

Partition partition_at(std::size_t index) {
  return static_cast<Partition>(index);
}

bool contains(const std::vector<NodeId>& nodes, const NodeId& node) {
  return std::ranges::find(nodes, node) != nodes.end();
}

/// What nodes placed under `after` must fetch, as they were not placed under `before`.
double bytes_to_fetch(const Load& load, const Placement& before, const Placement& after) {
  double bytes = 0;
  for (std::size_t i = 0; i < partition_count; ++i) {
    const auto& held = before.nodes_for(partition_at(i));
    const auto arriving =
        std::ranges::count_if(after.nodes_for(partition_at(i)),
                              [&](const NodeId& node) { return !contains(held, node); });
    bytes += static_cast<double>(arriving) * static_cast<double>(load.partitions[i].bytes);
  }
  return bytes;
}

double bytes_held(const Load& load, const Placement& placement, const NodeId& node) {
  double bytes = 0;
  for (std::size_t i = 0; i < partition_count; ++i) {
    if (placement.is_placed(node, partition_at(i)))
      bytes += static_cast<double>(load.partitions[i].bytes);
  }
  return bytes;
}

double share_of_one(const Load& load, std::size_t nodes) {
  const auto copies = std::min<std::size_t>(replicas_wanted, nodes);
  return static_cast<double>(load.total.bytes) * static_cast<double>(copies) /
         static_cast<double>(nodes);
}

}  // namespace

Load draw_load(std::uint64_t objects, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::size_t> partition(0, partition_count - 1);
  std::lognormal_distribution<double> size(std::log(size_median_bytes), size_sigma);
  Load load;
  for (std::uint64_t i = 0; i < objects; ++i) {
    const auto bytes = static_cast<std::uint64_t>(size(random));
    for (auto* share : {&load.partitions[partition(random)], &load.total}) {
      share->objects += 1;
      share->bytes += bytes;
    }
  }
  return load;
}

Roster make_roster(const MeshSpec& spec) {
  std::mt19937_64 random(spec.seed);
  Roster roster{.version = 1};
  for (std::size_t i = 0; i < spec.nodes; ++i) {
    RosterMember member;
    for (auto& byte : member.node.mutable_view())
      byte = static_cast<std::uint8_t>(random());
    member.name = "node" + std::to_string(i + 1);
    if (spec.zones > 0) member.zone = "zone" + std::to_string(i % spec.zones + 1);
    roster.members.push_back(std::move(member));
  }
  return roster;
}

Balance measure_balance(const Load& load, const Roster& roster, const Placement& placement) {
  std::map<NodeId, Load::Share> held;
  for (std::size_t i = 0; i < partition_count; ++i) {
    for (const auto& node : placement.nodes_for(partition_at(i))) {
      held[node].objects += load.partitions[i].objects;
      held[node].bytes += load.partitions[i].bytes;
    }
  }
  Load::Share most;
  for (const auto& [node, share] : held) {
    most.objects = std::max(most.objects, share.objects);
    most.bytes = std::max(most.bytes, share.bytes);
  }
  const double copies_a_node =
      static_cast<double>(placement.replicas()) / static_cast<double>(roster.members.size());
  const auto to_mean = [&](std::uint64_t max, std::uint64_t total) {
    return static_cast<double>(max) / (static_cast<double>(total) * copies_a_node);
  };
  return {.objects_max_to_mean = to_mean(most.objects, load.total.objects),
          .bytes_max_to_mean = to_mean(most.bytes, load.total.bytes)};
}

Movement measure_join(const Load& load, const MeshSpec& before) {
  auto after = before;
  ++after.nodes;
  const auto roster = make_roster(after);
  const Placement placement(roster);
  return {.bytes = bytes_to_fetch(load, Placement(make_roster(before)), placement),
          .least_bytes = bytes_held(load, placement, roster.members.back().node),
          .ideal_bytes = share_of_one(load, after.nodes)};
}

Movement measure_leave(const Load& load, const MeshSpec& before) {
  auto after = before;
  --after.nodes;
  const auto roster = make_roster(before);
  const Placement placement(roster);
  return {.bytes = bytes_to_fetch(load, placement, Placement(make_roster(after))),
          .least_bytes = bytes_held(load, placement, roster.members.back().node),
          .ideal_bytes = share_of_one(load, before.nodes)};
}

std::size_t count_zone_conflicts(const Roster& roster, const Placement& placement) {
  std::size_t conflicts = 0;
  for (std::size_t i = 0; i < partition_count; ++i) {
    std::set<std::string> zones;
    for (const auto& node : placement.nodes_for(partition_at(i)))
      zones.insert(roster.find(node)->zone);
    conflicts += zones.size() < placement.replicas() ? 1 : 0;
  }
  return conflicts;
}

}  // namespace zerodb::scale

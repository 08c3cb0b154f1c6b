#include "node/placement.hpp"

#include <algorithm>
#include <cmath>

#include "store/hash.hpp"

namespace zerodb {

namespace {

struct Candidate {
  const RosterMember* member = nullptr;
  double score = 0;
};

/// Uniform in (0, 1), never either end: the top 53 bits, in the middle of their step.
double unit_interval(std::uint64_t hash) {
  return (static_cast<double>(hash >> 11) + 0.5) * 0x1p-53;
}

/// The largest of w independent draws grows like this, so a node's share follows its weight.
double score_of(const RosterMember& member, Partition partition) {
  std::array<std::uint8_t, 2> number{};
  put_u16(number, partition);
  const auto hash = placement_hash({number, member.node.view()});
  return -static_cast<double>(member.weight) / std::log(unit_interval(hash));
}

using Chosen = std::vector<const RosterMember*>;

bool shares_zone(const RosterMember& member, const Chosen& chosen) {
  if (member.zone.empty()) return false;  // nothing is known to fail together with it
  return std::ranges::any_of(chosen,
                             [&](const RosterMember* other) { return other->zone == member.zone; });
}

/// The best candidate not chosen yet, of a new zone if `new_zone`; nullptr if there is none.
const RosterMember* best_of(const std::vector<Candidate>& candidates, const Chosen& chosen,
                            bool new_zone) {
  const Candidate* best = nullptr;
  for (const auto& candidate : candidates) {
    if (best != nullptr && candidate.score <= best->score) continue;
    if (new_zone && shares_zone(*candidate.member, chosen)) continue;
    if (std::ranges::find(chosen, candidate.member) != chosen.end()) continue;
    best = &candidate;
  }
  return best == nullptr ? nullptr : best->member;
}

std::vector<NodeId> choose(std::vector<Candidate>& candidates, Partition partition,
                           std::uint32_t replicas) {
  for (auto& candidate : candidates)
    candidate.score = score_of(*candidate.member, partition);
  Chosen chosen;
  while (chosen.size() < replicas) {
    const auto* best = best_of(candidates, chosen, true);
    chosen.push_back(best != nullptr ? best : best_of(candidates, chosen, false));
  }
  std::vector<NodeId> nodes;
  for (const auto* member : chosen)
    nodes.push_back(member->node);
  return nodes;
}

/// In order of id: on a tie of scores the roster's order must not matter.
std::vector<Candidate> candidates_of(const Roster& roster) {
  const bool all_drain = std::ranges::all_of(roster.members, &RosterMember::draining);
  std::vector<Candidate> candidates;
  for (const auto& member : roster.members) {
    if (all_drain || !member.draining) candidates.push_back({.member = &member});
  }
  std::ranges::sort(candidates, {}, [](const Candidate& c) { return c.member->node; });
  return candidates;
}

}  // namespace

Placement::Placement(const Roster& roster) {
  auto candidates = candidates_of(roster);
  replicas_ = static_cast<std::uint32_t>(std::min<std::size_t>(replicas_wanted, candidates.size()));
  for (std::size_t partition = 0; partition < partition_count; ++partition) {
    nodes_[partition] = choose(candidates, static_cast<Partition>(partition), replicas_);
  }
}

bool Placement::is_placed(const NodeId& node, Partition partition) const {
  return std::ranges::find(nodes_[partition], node) != nodes_[partition].end();
}

}  // namespace zerodb

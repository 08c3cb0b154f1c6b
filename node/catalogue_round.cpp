#include "node/catalogue_round.hpp"

namespace zerodb {

bool covers(const SyncRound& round, const std::set<NodeId>& answered, Partition partition) {
  const auto said = [&](const NodeId& node) { return counts(round, answered, node); };
  return round.state->context.mesh.targets(partition).count_for_read(said).is_enough();
}

bool counts(const SyncRound& round, const std::set<NodeId>& answered, const NodeId& node) {
  return answered.contains(node) && round.whole.contains(node);
}

bool covers_all(const SyncRound& round, const std::set<NodeId>& answered) {
  const auto& mesh = round.state->context.mesh;
  const auto missing = std::ranges::count_if(mesh.roster().members, [&](const auto& member) {
    return !counts(round, answered, member.node);
  });
  // Fewer than it takes to acknowledge a write: no need to look at each partition.
  const auto few = static_cast<std::ptrdiff_t>(write_quorum(mesh.placement().replicas()));
  if (missing < few && mesh.is_one_in_force()) return true;
  for (std::size_t partition = 0; partition < partition_count; ++partition) {
    if (!covers(round, answered, static_cast<Partition>(partition))) return false;
  }
  return true;
}

std::set<NodeId> not_failed(const SyncRound& round) {
  std::set<NodeId> nodes;
  for (const auto& [node, digests] : round.digests) {
    if (!round.failed.contains(node)) nodes.insert(node);
  }
  return nodes;
}

std::set<NodeId> without_stragglers(const SyncRound& round, std::set<NodeId> nodes) {
  std::erase_if(nodes, [&](const NodeId& node) { return round.state->stragglers.has(node); });
  return nodes;
}

namespace {

/// Whether those that have answered suffice. Stragglers do not count among them `early`, while
/// somebody better may still answer.
bool suffices(const SyncRound& round, const Heard& heard, bool early) {
  const bool better_may_come = early && !without_stragglers(round, heard.silent).empty();
  return covers_all(round,
                    better_may_come ? without_stragglers(round, heard.answered) : heard.answered);
}

/// Whether all of `silent` are known to keep others waiting.
bool are_stragglers(const SyncRound& round, const std::set<NodeId>& silent, Patience patience) {
  return std::ranges::all_of(silent, [&](const NodeId& node) {
    const bool was_late = patience == Patience::even && round.state->latecomers.has(node);
    return was_late || round.state->stragglers.has(node);
  });
}

}  // namespace

Waiting how_to_wait(const SyncRound& round, const Heard& heard, Patience patience, bool alarmed,
                    bool last_call) {
  const bool early = patience == Patience::even && !last_call;
  if (!suffices(round, heard, early && !alarmed)) {
    // Those that were left out in haste may answer sooner than these: the next round asks them.
    return round.hurried && alarmed ? Waiting::over : Waiting::as_before;
  }
  if (last_call && alarmed) return Waiting::over;
  if (are_stragglers(round, heard.silent, patience)) return Waiting::over;
  return early || alarmed ? Waiting::last_call : Waiting::as_before;
}

void leave_out(SyncRound& round, std::set<NodeId> silent, Milliseconds waited) {
  const bool hurried = waited < straggler_patience;
  round.hurried = round.hurried || hurried;
  auto& list = hurried ? round.state->latecomers : round.state->stragglers;
  for (const auto& node : silent)
    list.note(node);
  round.failed.merge(silent);
}

}  // namespace zerodb

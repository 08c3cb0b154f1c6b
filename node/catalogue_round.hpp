#pragma once
// What one round of a catalogue knows of its mesh, and how long it waits for whom: a node that
// answers late or never delays a round only as long as the others do not suffice. Private to the
// catalogue. One thread: the node's executor.

#include <map>
#include <set>

#include "node/catalogue_sync.hpp"
#include "node/fan_out.hpp"

namespace zerodb {

using StatePtr = std::shared_ptr<CatalogueState>;

/// Before it matters whether those that have answered suffice.
inline constexpr Milliseconds straggler_patience{500};

/// One round: what the nodes have, and which of them answered to the end.
struct SyncRound {
  explicit SyncRound(StatePtr of)
      : state(std::move(of)), life(state->names->life()), whole(state->context.mesh) {}

  StatePtr state;
  std::uint64_t life;  ///< of the names, in which all is learnt
  WholeThroughout whole;
  std::map<NodeId, Digests> digests;
  std::set<NodeId> failed;   ///< stopped answering, or were not waited for
  std::set<NodeId> as_here;  ///< have in some partitions what is here, and so were not asked
  std::size_t wanted = 0;    ///< objects of which versions were not known before
  std::map<NodeId, std::size_t> fruitless;  ///< partitions that differed, less what was new in them
};
using SyncRoundPtr = std::shared_ptr<SyncRound>;

/// Whether `node` is one of `answered`, and had all that it should have when it was asked.
bool counts(const SyncRound& round, const std::set<NodeId>& answered, const NodeId& node);

/// Whether among `answered` there is a holder of every acknowledged write.
bool covers_all(const SyncRound& round, const std::set<NodeId>& answered);

/// Nodes of whom something was learnt, and that have not failed since.
std::set<NodeId> not_failed(const SyncRound& round);

/// `silent` have kept the round waiting for nothing.
void give_up_on(SyncRound& round, std::set<NodeId> silent);

template <class Answer>
bool is_good(const Answer& answer) {
  return static_cast<bool>(answer);
}

/// Until every node asked has answered; or until, after some patience, those that have suffice
/// without the others, which then had as much time again. The others count as failed.
template <class Answer>
Task<void> await_answers(SyncRoundPtr round, FanOut<Answer>& asked) {
  bool is_last_call = false;
  asked.set_alarm(straggler_patience);
  while (!asked.all_answered()) {
    auto answered = not_failed(*round);
    std::set<NodeId> silent;
    for (const auto& slot : asked.slots()) {
      answered.erase(slot.node);
      if (!slot.answer) silent.insert(slot.node);
      const bool good = slot.answer && is_good(*slot.answer) && !round->failed.contains(slot.node);
      if (good) answered.insert(slot.node);
    }
    const bool expected = std::ranges::all_of(
        silent, [&](const NodeId& node) { return round->state->stragglers.has(node); });
    if ((expected || asked.alarmed()) && covers_all(*round, answered)) {
      if (expected || is_last_call) {
        give_up_on(*round, std::move(silent));
        co_return;
      }
      is_last_call = true;
      asked.set_alarm(straggler_patience);
    }
    co_await asked.changed();
  }
}

}  // namespace zerodb

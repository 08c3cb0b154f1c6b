#pragma once
// What one round of a catalogue knows of its mesh, and how long it waits for whom: a node that
// answers late or never delays a round only as long as the others do not suffice. Private to the
// catalogue. One thread: the node's executor.

#include <map>
#include <set>

#include "node/catalogue_held.hpp"
#include "node/catalogue_sync.hpp"
#include "node/fan_out.hpp"

namespace zerodb {

using StatePtr = std::shared_ptr<CatalogueState>;

/// Before it matters whether those that have answered suffice.
inline constexpr Milliseconds straggler_patience{500};

/// How long the others are waited for, once those that have answered suffice without them.
enum class Patience {
  usual,  ///< nodes may have more or less to do: some time, and then as much again
  even,   ///< the question costs each the same: half as long as those took that suffice
};

/// One round: what the nodes have, and which of them answered to the end.
struct SyncRound {
  SyncRound(StatePtr of, Patience with_digests)
      : state(std::move(of)),
        patience(with_digests),
        life(state->names->life()),
        whole(state->context.mesh) {}

  StatePtr state;
  Patience patience;   ///< with digests
  std::uint64_t life;  ///< of the names, in which all is learnt
  WholeThroughout whole;
  std::map<NodeId, Digests> digests;
  std::set<NodeId> failed;     ///< stopped answering, or were not waited for
  bool hurried = false;        ///< some were left out that might have answered soon
  bool doubtful = false;       ///< those may have what nobody else has any more
  std::set<NodeId> as_here;    ///< have in some partitions what is here, and so were not asked
  std::size_t wanted = 0;      ///< objects of which versions were not known before
  LatestHeld held;             ///< by those that listed some partitions
  std::set<Partition> unsure;  ///< something that is known in them is held by nobody that answered
  std::map<NodeId, std::size_t> fruitless;  ///< partitions that differed, less what was new in them
};
using SyncRoundPtr = std::shared_ptr<SyncRound>;

/// Whether `node` is one of `answered`, and had all that it should have when it was asked.
bool counts(const SyncRound& round, const std::set<NodeId>& answered, const NodeId& node);

/// Whether among `answered` there is a holder of every acknowledged write to the partition.
bool covers(const SyncRound& round, const std::set<NodeId>& answered, Partition partition);

/// Whether among `answered` there is a holder of every acknowledged write.
bool covers_all(const SyncRound& round, const std::set<NodeId>& answered);

/// Nodes of whom something was learnt, and that have not failed since.
std::set<NodeId> not_failed(const SyncRound& round);

/// Those of `nodes` that lately kept nobody waiting.
std::set<NodeId> without_stragglers(const SyncRound& round, std::set<NodeId> nodes);

/// `silent` were waited for in vain for so long.
void leave_out(SyncRound& round, std::set<NodeId> silent, Milliseconds waited);

template <class Answer>
bool is_good(const Answer& answer) {
  return static_cast<bool>(answer);
}

/// Who of those asked has given a good answer, besides those of whom something was learnt before,
/// and who none yet.
struct Heard {
  std::set<NodeId> answered;
  std::set<NodeId> silent;
};

template <class Answer>
Heard heard_so_far(const SyncRound& round, const FanOut<Answer>& asked) {
  Heard heard{.answered = not_failed(round)};
  for (const auto& slot : asked.slots()) {
    heard.answered.erase(slot.node);
    if (!slot.answer) heard.silent.insert(slot.node);
    const bool good = slot.answer && is_good(*slot.answer) && !round.failed.contains(slot.node);
    if (good) heard.answered.insert(slot.node);
  }
  return heard;
}

/// How a round goes on that waits for answers.
enum class Waiting {
  as_before,
  last_call,  ///< those that have answered suffice: a moment more for the others
  over,       ///< the others are left out
};

/// `alarmed`: the others have been waited for as long as was meant. `last_call`: for the last time.
Waiting how_to_wait(const SyncRound& round, const Heard& heard, Patience patience, bool alarmed,
                    bool last_call);

/// Until every node asked has answered, or patience with the others, which count as failed, is at
/// an end.
template <class Answer>
Task<void> await_answers(SyncRoundPtr round, FanOut<Answer>& asked, Patience patience) {
  auto& runtime = round->state->context.runtime;
  const auto begin_ms = runtime.steady_ms();
  const auto took = [&] { return Milliseconds(runtime.steady_ms() - begin_ms); };
  bool last_call = false;
  asked.set_alarm(straggler_patience);
  while (!asked.all_answered()) {
    auto heard = heard_so_far(*round, asked);
    const auto waiting = how_to_wait(*round, heard, patience, asked.alarmed(), last_call);
    if (waiting == Waiting::over) {
      leave_out(*round, std::move(heard.silent), took());
      co_return;
    }
    if (waiting == Waiting::last_call) {
      last_call = true;
      const auto half = took() / 2 + Milliseconds(1);
      const bool even = patience == Patience::even;
      asked.set_alarm(even ? std::min(half, straggler_patience) : straggler_patience);
    }
    co_await asked.changed();
  }
}

}  // namespace zerodb

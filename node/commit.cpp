#include "node/commit.hpp"

#include "node/failures.hpp"
#include "node/fan_out.hpp"
#include "node/publish.hpp"
#include "node/receipts.hpp"

namespace zerodb {
namespace {

constexpr int rounds_max = 8;
constexpr std::uint64_t clock_confirmed_for_ms = 60'000;
constexpr std::int64_t clock_set_by_max_ms = 20'000;
constexpr Milliseconds clock_wait{50};
constexpr Milliseconds clock_wait_max{3'000};
constexpr Milliseconds turn_patience{1'000};
constexpr std::uint64_t turn_bytes_per_ms = 100'000;  // on top: a large blob is synced meanwhile

/// What one node made of one version.
struct Outcome {
  bool stored = false;
  SignedPtr standing;  ///< refused for this one
  std::optional<Error> error;
  std::optional<Receipt> receipt;  ///< verified; if one was asked for
};
using CommitRound = FanOut<Outcome>;

/// Takes a "later version stands" at its word only if the owner signed that version.
Outcome judge_standing(const SignedManifest& ours, const Expected& expected, ByteView wire) {
  auto standing = SignedManifest::verify(wire);
  if (!standing) return {.error = std::move(standing.error())};
  const bool later =
      standing->is_later_than(ours) || (expected && (*standing)->version > *expected);
  if ((*standing)->object != ours->object || !later) {
    return {.error = Error{Errc::corrupt, "refused for a version that is not later"}};
  }
  return {.standing = std::make_shared<const SignedManifest>(std::move(*standing))};
}

Outcome judge(const SignedManifest& ours, const Expected& expected, CommitResult answer) {
  if (!answer) return {.error = std::move(answer.error())};
  if (answer->stored) return {.stored = true};
  if (answer->standing) return judge_standing(ours, expected, *answer->standing);
  return {.error = Error{Errc::io, "it lost the sealed bytes it had been sent"}};
}

/// A copy that its node does not sign for is none, when receipts are what was asked for.
Task<Outcome> with_receipt(CorePtr core, NodeId node, SignedPtr version,
                           std::optional<peer::Receipt> said) {
  auto receipt = co_await check_receipt(core->context, node, version->hash(), std::move(said));
  if (receipt) {
    co_return Outcome{.stored = true, .receipt = std::move(receipt)};
  }
  const std::string what = "its receipt is missing or forged";
  if (!core->is_self(node)) core->complaints.about(node, "bad receipt", what);
  co_return Outcome{.error = Error{Errc::corrupt, what}};
}

Task<Outcome> ask(CorePtr core, NodeId node, SignedPtr version, CommitTerms terms,
                  Task<CommitResult> call) {
  const auto asked = core->moment();
  auto answer = co_await std::move(call);
  std::optional<peer::Receipt> receipt;
  if (answer) receipt = std::move(answer->receipt);
  auto outcome = judge(*version, terms.expected, std::move(answer));
  const bool confirms = outcome.stored || outcome.standing;
  if (confirms && !core->is_self(node)) core->confirm_clock(asked);
  if (terms.receipt && outcome.stored) {
    co_return co_await with_receipt(core, node, std::move(version), std::move(receipt));
  }
  co_return outcome;
}

struct Tally {
  std::size_t stored = 0;
  std::size_t waiting = 0;  ///< for nodes that are up
  std::size_t full = 0;
  std::size_t refused = 0;  ///< as invalid: with a manifest of ours, that is the clock
  SignedPtr standing;       ///< the latest one
};

bool is_later(const SignedPtr& one, const SignedPtr& other) {
  return one && (!other || one->is_later_than(*other));
}

Tally count(const GatewayCore& core, const CommitRound& round) {
  Tally tally;
  for (const auto& [node, answer, taken] : round.slots()) {
    if (!answer) {
      tally.waiting += core.is_up(node) ? 1 : 0;
      continue;
    }
    tally.stored += answer->stored ? 1 : 0;
    if (is_later(answer->standing, tally.standing)) tally.standing = answer->standing;
    if (!answer->error) continue;
    tally.full += answer->error->code == Errc::full ? 1 : 0;
    tally.refused += answer->error->code == Errc::invalid ? 1 : 0;
  }
  return tally;
}

/// Not if it was set since.
bool is_clock_confirmed(const GatewayCore& core) {
  if (!core.clock_confirmed) return false;
  const auto [steady_ms, now_ms] = *core.clock_confirmed;
  const auto passed = core.context.runtime.steady_ms() - steady_ms;
  const auto by_clock = core.context.runtime.now_ms() - now_ms;
  const auto set_by = static_cast<std::int64_t>(by_clock - passed);
  return passed < clock_confirmed_for_ms && std::abs(set_by) < clock_set_by_max_ms;
}

/// The own store cannot tell that the own clock is ahead; a replica can. So a version goes into
/// the own store only after one of them took one: otherwise it would stand there, acknowledged by
/// nobody, until the others' clocks get to it. One that follows another in the future may be right
/// only if it is this clock that is behind. False: they all refused it.
Task<bool> clock_is_right(const CorePtr& core, CommitRound& round, Version version) {
  while (true) {
    const auto tally = count(*core, round);
    const bool confirmed = !core->is_ahead(version) && is_clock_confirmed(*core);
    if (confirmed || tally.stored > 0) co_return true;
    if (tally.waiting == 0) co_return tally.refused == 0;
    co_await round.changed();
  }
}

bool was_asked(const CommitRound& round, const NodeId& node) {
  return round.find(node) != nullptr;
}

void ask_one(const CorePtr& core, CommitRound& round, const NodeId& node, const SignedPtr& version,
             const CommitPlan& plan) {
  round.ask(node, ask(core, node, version, plan.terms, plan.commit_at(node, version)));
}

/// All that were not asked yet.
Task<void> ask_all(const CorePtr& core, CommitRound& round, SignedPtr version,
                   const CommitPlan& plan) {
  bool asks_here = false;
  for (const auto& node : plan.targets.nodes()) {
    if (was_asked(round, node)) continue;
    asks_here = asks_here || core->is_self(node);
    if (!core->is_self(node)) ask_one(core, round, node, version, plan);
  }
  if (!asks_here) co_return;
  const bool right = co_await clock_is_right(core, round, version->manifest().version);
  if (right) ask_one(core, round, core->context.mesh.self(), version, plan);
}

/// Pings confirm it within moments of the start.
Task<void> wait_for_clock(const CorePtr& core) {
  for (auto waited = Milliseconds(0); waited < clock_wait_max; waited += clock_wait) {
    if (is_clock_confirmed(*core)) co_return;
    co_await core->context.runtime.sleep(clock_wait);
  }
}

bool has_answered(const CommitRound& round, const NodeId& node) {
  const auto* slot = round.find(node);
  return slot != nullptr && slot->answer.has_value();
}

/// Until `node`, which was asked, has answered, or the next one's turn has come without that.
Task<void> await_turn(const CorePtr& core, CommitRound& round, NodeId node, std::uint64_t size) {
  if (core->slow_at_commits.has(node)) co_return;
  round.set_alarm(turn_patience + Milliseconds(size / turn_bytes_per_ms));
  while (!has_answered(round, node) && !round.alarmed() && core->is_up(node))
    co_await round.changed();
  if (!has_answered(round, node)) core->slow_at_commits.note(node);
}

/// One after the other, until one took it or refused it for another version. All gateways begin at
/// the same node, so that of those who write at once all but one are refused before anything of
/// theirs is kept anywhere. True if one took it.
Task<bool> ask_in_turn(const CorePtr& core, CommitRound& round, SignedPtr version,
                       const CommitPlan& plan) {
  const auto& nodes = plan.targets.nodes();
  for (const auto& node : nodes) {
    if (core->is_self(node) && nodes.size() > 1) {
      co_await wait_for_clock(core);
      const bool ahead = core->is_ahead(version->manifest().version);
      if (ahead || !is_clock_confirmed(*core)) continue;  // not tried on the own store
    }
    // What is on its way to it takes its time, which says nothing about its answers.
    if (plan.ready_at && !core->slow_at_commits.has(node)) co_await plan.ready_at(node);
    ask_one(core, round, node, version, plan);
    co_await await_turn(core, round, node, version->manifest().size);
    const auto tally = count(*core, round);
    if (tally.stored > 0 || tally.standing) co_return tally.stored > 0;
  }
  // None of those that answered: one that is late may still take it, and decide.
  auto tally = count(*core, round);
  while (!round.all_answered() && tally.stored == 0 && !tally.standing) {
    co_await round.changed();
    tally = count(*core, round);
  }
  co_return tally.stored > 0;
}

/// In the placement that is furthest from its quorum, nodes that stored the version; with `or_may`
/// also those that still may.
Targets::Count count_stored(const GatewayCore& core, const CommitRound& round,
                            const Targets& targets, bool or_may) {
  return targets.count_for_write([&](const NodeId& node) {
    const auto* slot = round.find(node);
    if (slot == nullptr) return false;
    return slot->answer ? slot->answer->stored : or_may && core.is_up(node);
  });
}

/// Until the round is decided: enough stored it, a later version stands, or too few are left.
Task<void> decide(const CorePtr& core, CommitRound& round, const SignedManifest& version,
                  const Targets& targets) {
  while (true) {
    const auto standing = count(*core, round).standing;
    if (standing && standing->is_later_than(version)) co_return;
    if (count_stored(*core, round, targets, false).is_enough()) co_return;
    if (!count_stored(*core, round, targets, true).is_enough()) co_return;
    co_await round.changed();
  }
}

Task<SignedPtr> sign_again(const CorePtr& core, SignedPtr old, SignedPtr standing) {
  core->counters.versions_retried += 1;
  auto manifest = old->manifest();
  manifest.version = core->next_version(standing->manifest().version);
  auto sign = [&] {
    return std::make_shared<const SignedManifest>(SignedManifest::sign(manifest, *core->keys));
  };
  co_return co_await offload(core->context.runtime, sign);
}

std::vector<Failure> failures_of(const GatewayCore& core, const CommitRound& round) {
  std::vector<Failure> failures;
  for (const auto& [node, answer, taken] : round.slots()) {
    if (!answer && !core.is_up(node)) failures.push_back({.node = node});
    if (answer && answer->error) failures.push_back({.node = node, .error = answer->error});
  }
  return failures;
}

/// Whether some node may keep the version, in spite of all.
bool may_be_kept(const CommitRound& round, const SignedManifest& version) {
  return std::ranges::any_of(round.slots(), [&](const CommitRound::Slot& slot) {
    if (!slot.answer || slot.answer->stored) return true;
    if (slot.answer->standing) return slot.answer->standing->hash() == version.hash();
    const auto code = slot.answer->error->code;
    return code == Errc::timeout || code == Errc::io;
  });
}

Error explain(GatewayCore& core, const CommitPlan& plan, const CommitRound& round,
              const SignedManifest& version, const Tally& tally) {
  const auto failures = failures_of(core, round);
  const auto doing = about(plan.verb, plan.name);
  if (tally.refused > 0) {
    // It has run ahead with the wall clock; a later version that stands is told us.
    core.clock = {};
    core.clock_confirmed.reset();
  }
  const bool clock_is_wrong = tally.refused > 0 && tally.stored == 0;
  // Where a node may keep it, what was there before need not stand: `invalid` would promise that.
  if (!clock_is_wrong || may_be_kept(round, version)) {
    const auto can = count_stored(core, round, plan.targets, true);
    return too_few_replicas(core, doing, can, failures);
  }
  return {Errc::invalid, doing + ": this node's clock is ahead of the others', which refuse its " +
                             "version: " + describe(core, failures) +
                             "; set the clock (NTP) and try again"};
}

/// Who is down is compared with when it is back, and who is full would only try again.
void note_missed(GatewayCore& core, const CommitRound& round) {
  for (const auto& [node, error] : failures_of(core, round)) {
    core.counters.replicas_missed += 1;
    if (error && error->code != Errc::full) core.context.mesh.note_missed_write(node);
  }
}

/// Publishes when no replica is still about to take the version in: one that hears of it before
/// would fetch what is on its way to it.
Task<void> announce_behind(CorePtr core, CommitRound round, SignedPtr version) {
  while (count(*core, round).waiting > 0)
    co_await round.changed();
  note_missed(*core, round);
  announce(*core, *version);
}

WriteReceipt acknowledge(const CorePtr& core, CommitRound round, SignedPtr version,
                         const CommitPlan& plan) {
  const auto tally = count(*core, round);
  WriteReceipt receipt{.version = version->manifest().version,
                       .size = version->manifest().size,
                       .copies = static_cast<std::uint32_t>(tally.stored),
                       .wanted = plan.targets.replicas()};
  for (auto& failure : failures_of(*core, round))
    receipt.missing.push_back(failure.node);
  if (plan.terms.receipt) receipt.manifest = version->wire();
  for (const auto& slot : round.slots()) {
    if (slot.answer && slot.answer->receipt) receipt.receipts.push_back(*slot.answer->receipt);
  }
  core->own_writes.note(version->manifest().object, receipt.version);
  core->catalogue.learn(*version, plan.name, plan.mtime_ms);
  if (tally.waiting == 0) {
    note_missed(*core, round);
    announce(*core, *version);
  } else {
    spawn(core->context.runtime, announce_behind(core, std::move(round), std::move(version)));
  }
  return receipt;
}

Error explain_conflict(const CommitRound& round, const SignedManifest& version,
                       const SignedManifest& standing, const CommitPlan& plan) {
  auto what = about(plan.verb, plan.name) + ": version " + std::to_string(standing->version.value) +
              " stands, which was not expected";
  if (!may_be_kept(round, version)) return {Errc::conflict, std::move(what)};
  return {Errc::no_quorum, std::move(what) +
                               "; but a node may have kept this write, which may "
                               "still appear: look at the object again"};
}

std::vector<NodeId> refused_for(const CommitRound& round, const SignedManifest& standing) {
  std::vector<NodeId> nodes;
  for (const auto& slot : round.slots()) {
    const bool holds =
        slot.answer && slot.answer->standing && slot.answer->standing->hash() == standing.hash();
    if (holds) nodes.push_back(slot.node);
  }
  return nodes;
}

/// What came of a round that was decided; nothing if a later version stands.
std::optional<Result<WriteReceipt>> conclude(const CorePtr& core, CommitRound& round,
                                             const SignedPtr& version, const CommitPlan& plan) {
  if (count_stored(*core, round, plan.targets, false).is_enough()) {
    return acknowledge(core, std::move(round), version, plan);
  }
  const auto tally = count(*core, round);
  if (tally.standing) return {};
  return fail(explain(*core, plan, round, *version, tally));
}

Task<Result<WriteReceipt>> commit_if_expected(CorePtr core, SignedPtr version, CommitPlan plan) {
  CommitRound round(core->context.runtime);
  const bool taken = co_await ask_in_turn(core, round, version, plan);
  if (taken) {
    co_await ask_all(core, round, version, plan);
    co_await decide(core, round, *version, plan.targets);
  }
  if (auto concluded = conclude(core, round, version, plan)) co_return std::move(*concluded);
  const auto standing = count(*core, round).standing;
  spread(core, *standing, refused_for(round, *standing));
  co_return fail(explain_conflict(round, *version, *standing, plan));
}

}  // namespace

Task<Result<WriteReceipt>> commit_on_quorum(CorePtr core, SignedPtr first, CommitPlan plan) {
  if (plan.terms.expected) {
    co_return co_await commit_if_expected(std::move(core), std::move(first), std::move(plan));
  }
  auto version = std::move(first);
  for (int i = 0; i < rounds_max; ++i) {
    CommitRound round(core->context.runtime);
    co_await ask_all(core, round, version, plan);
    co_await decide(core, round, *version, plan.targets);
    if (auto concluded = conclude(core, round, version, plan)) co_return std::move(*concluded);
    auto standing = count(*core, round).standing;
    version = co_await sign_again(core, std::move(version), std::move(standing));
  }
  co_return fail(Errc::busy, about(plan.verb, plan.name) + ": others keep writing later versions " +
                                 "of it; try again");
}

CommitResult to_committed(Result<CommitOutcome> outcome) {
  if (!outcome) return fail(std::move(outcome.error()));
  peer::Committed committed;
  committed.stored = outcome->kind == CommitOutcome::Kind::stored;
  committed.blob_missing = outcome->kind == CommitOutcome::Kind::blob_missing;
  if (outcome->kind == CommitOutcome::Kind::superseded && outcome->standing) {
    committed.standing = outcome->standing->wire();
  }
  return committed;
}

}  // namespace zerodb

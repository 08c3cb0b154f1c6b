#include "node/reconcile.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>

#include "node/fetch_queue.hpp"
#include "node/reconcile_round.hpp"

namespace zerodb {

namespace {

constexpr std::size_t rounds_max = 4;   ///< at once
constexpr std::size_t news_max = 4096;  ///< being looked at

/// Pauses before a failed round is repeated; after the last one the periodic round is left.
constexpr std::array round_retry_after{Milliseconds(5'000), Milliseconds(20'000),
                                       Milliseconds(60'000)};

/// Whoever stored a version may still be sending it here: fetching at once would move it twice.
constexpr Milliseconds inline_grace{500};
constexpr Milliseconds blob_grace{3'000};

/// Time for links to come up before a member counts as one that cannot be asked.
constexpr std::uint64_t settle_grace_ms = 60'000;

/// A broadcast manifest that is later than what is here, verified; nothing if it is not news.
Result<std::optional<SignedManifest>> check_news(Store& store, const SignedManifest& claimed,
                                                 std::uint64_t now_ms) {
  const auto ours = store.latest(claimed->object);
  if (!ours) return fail(ours.error());
  if (*ours && !claimed.is_later_than(**ours)) return std::optional<SignedManifest>();
  auto verified = SignedManifest::verify(claimed.wire());
  if (!verified) return fail(std::move(verified.error()));
  if (auto on_time = check_not_future((*verified)->version, now_ms); !on_time) {
    return fail(std::move(on_time.error()));
  }
  return std::optional<SignedManifest>(std::move(*verified));
}

}  // namespace

class Reconcile::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(NodeContext context, const ReconcileOptions& options,
       std::function<void(const SignedRoster&)> remember)
      : context_(context),
        options_(options),
        remember_(std::move(remember)),
        queue_(std::make_shared<FetchQueue>(
            context, FetchQueueOptions{.fetches_max = options.fetches_max,
                                       .backlog_max = options.backlog_max})) {}

  void start();
  void ask_for_round(const NodeId& node);
  void on_roster_change();
  void on_news(const NodeId& from, Bytes manifest);
  bool is_idle() const;
  void stop();

 private:
  /// Of one other member, under the roster that stands.
  struct Peer {
    bool queued = false;
    bool running = false;
    bool resting = false;   ///< a failed round will be repeated
    bool done = false;      ///< a round that began under this roster ended without failure
    unsigned attempts = 0;  ///< failed in a row
    std::uint64_t ask = 0;  ///< grows with each request for a round, so that old retries lapse
  };

  void begin_roster();
  void ask_all();
  std::optional<NodeId> take_next();
  void pump();
  void try_to_settle();
  bool may_settle() const;
  bool is_settled_already() const;
  void end_round(const NodeId& node, const RosterHash& roster, const Status& status);
  void repeat_later(const NodeId& node, Peer& peer);
  std::vector<NodeId> holders_of(const ObjectId& object, const NodeId& first) const;

  static Task<void> run_periodically(std::shared_ptr<Impl> self);
  static Task<void> settle_after_grace(std::shared_ptr<Impl> self, RosterHash roster);
  static Task<void> run_rounds(std::shared_ptr<Impl> self, NodeId first);
  static Task<void> repeat_round(std::shared_ptr<Impl> self, NodeId node, std::uint64_t ask,
                                 Milliseconds after);
  static Task<void> take_news(std::shared_ptr<Impl> self, NodeId from, SignedManifest claimed);

  NodeContext context_;
  ReconcileOptions options_;
  std::function<void(const SignedRoster&)> remember_;
  std::shared_ptr<FetchQueue> queue_;
  std::map<NodeId, Peer> peers_;
  std::deque<NodeId> waiting_;  ///< for their round
  std::size_t rounds_running_ = 0;
  std::size_t news_open_ = 0;
  std::uint64_t roster_since_ms_ = 0;  ///< steady
  RosterHash settled_roster_;          ///< this node is settled under it; zero: under none
  bool stopped_ = false;
};

void Reconcile::Impl::start() {
  begin_roster();
  ask_all();
  spawn(context_.runtime, run_periodically(shared_from_this()));
}

void Reconcile::Impl::stop() {
  stopped_ = true;
  waiting_.clear();
  queue_->stop();
}

bool Reconcile::Impl::is_idle() const {
  const bool resting = std::ranges::any_of(peers_, [](auto& peer) { return peer.second.resting; });
  return waiting_.empty() && rounds_running_ == 0 && news_open_ == 0 && !resting &&
         queue_->is_idle();
}

// --------------------------------------------------------------------------------------- rosters

void Reconcile::Impl::on_roster_change() {
  begin_roster();
  ask_all();
}

void Reconcile::Impl::begin_roster() {
  const auto& mesh = context_.mesh;
  roster_since_ms_ = context_.runtime.steady_ms();
  std::erase_if(peers_, [&](const auto& peer) { return !mesh.roster().find(peer.first); });
  std::erase_if(waiting_, [&](const NodeId& node) { return !peers_.contains(node); });
  for (auto& [node, peer] : peers_)
    peer.done = false;
  for (const auto& member : mesh.roster().members) {
    if (member.node != mesh.self()) peers_.try_emplace(member.node);
  }
  try_to_settle();
  spawn(context_.runtime, settle_after_grace(shared_from_this(), mesh.signed_roster().hash()));
}

/// Links that are slow to come up and rounds that fail hold settling up only for so long.
Task<void> Reconcile::Impl::settle_after_grace(std::shared_ptr<Impl> self, RosterHash roster) {
  co_await self->context_.runtime.sleep(Milliseconds(settle_grace_ms));
  if (!self->stopped_ && self->context_.mesh.signed_roster().hash() == roster) {
    self->try_to_settle();
  }
}

void Reconcile::Impl::try_to_settle() {
  const auto roster = context_.mesh.signed_roster().hash();
  if (settled_roster_ == roster || !may_settle()) return;
  const auto settled = context_.mesh.settle(roster);
  if (!settled) return;
  settled_roster_ = roster;
  remember_(*settled);
}

/// Whether all that was acknowledged in partitions placed here must be here by now: it is on W
/// nodes each, so that W - 1 of the others need not be heard if they cannot be.
bool Reconcile::Impl::may_settle() const {
  if (is_settled_already()) return true;
  std::size_t missing = 0;
  for (const auto& [node, peer] : peers_) {
    if (peer.queued || peer.running || peer.resting) return false;
    missing += peer.done ? 0 : 1;
  }
  if (missing == 0) return true;
  const auto since_ms = context_.runtime.steady_ms() - roster_since_ms_;
  return since_ms >= settle_grace_ms && missing < peers_.size() &&
         missing < write_quorum(context_.mesh.placement().replicas());
}

/// Whether nothing placed here has to be taken over.
bool Reconcile::Impl::is_settled_already() const {
  for (std::size_t i = 0; i < partition_count; ++i) {
    const auto partition = static_cast<Partition>(i);
    if (context_.mesh.is_placed_here(partition) && !context_.mesh.is_settled(partition)) {
      return false;
    }
  }
  return true;
}

// ---------------------------------------------------------------------------------------- rounds

void Reconcile::Impl::ask_all() {
  for (const auto& [node, peer] : peers_) {
    if (context_.links.state(node).up) ask_for_round(node);
  }
}

void Reconcile::Impl::ask_for_round(const NodeId& node) {
  const auto peer = peers_.find(node);
  if (stopped_ || peer == peers_.end()) return;
  ++peer->second.ask;
  if (!std::exchange(peer->second.queued, true)) waiting_.push_back(node);
  pump();
}

/// The next node whose round waits, now taken as begun: one at a time with each node.
std::optional<NodeId> Reconcile::Impl::take_next() {
  const auto next = std::ranges::find_if(
      waiting_, [this](const NodeId& node) { return !peers_.at(node).running; });
  if (stopped_ || next == waiting_.end()) return std::nullopt;
  const auto node = *next;
  waiting_.erase(next);
  auto& peer = peers_.at(node);
  peer.queued = false;
  peer.running = true;
  return node;
}

void Reconcile::Impl::pump() {
  while (rounds_running_ < rounds_max) {
    const auto node = take_next();
    if (!node) return;
    ++rounds_running_;
    spawn(context_.runtime, run_rounds(shared_from_this(), *node));
  }
}

/// Goes on with whoever waits in a loop: a round may end at once, and begins within pump().
Task<void> Reconcile::Impl::run_rounds(std::shared_ptr<Impl> self, NodeId first) {
  for (auto node = std::optional(first); node; node = self->take_next()) {
    const auto roster = self->context_.mesh.signed_roster().hash();
    const auto status = co_await run_round(self->context_, self->queue_, *node);
    if (!self->stopped_) self->end_round(*node, roster, status);
  }
  --self->rounds_running_;
}

void Reconcile::Impl::end_round(const NodeId& node, const RosterHash& roster,
                                const Status& status) {
  const auto found = peers_.find(node);
  if (found == peers_.end()) return;  // it left meanwhile
  auto& peer = found->second;
  peer.running = false;
  if (!status) {
    spdlog::debug("reconcile with {}: {}", context_.mesh.describe(node), status.error().what);
    repeat_later(node, peer);
    return;
  }
  peer.attempts = 0;
  peer.done = peer.done || roster == context_.mesh.signed_roster().hash();
  try_to_settle();
}

/// A node whose link is down is asked when it comes up again.
void Reconcile::Impl::repeat_later(const NodeId& node, Peer& peer) {
  if (!context_.links.state(node).up || peer.queued) return;
  if (peer.attempts >= round_retry_after.size()) {
    peer.attempts = 0;
    spdlog::warn("reconcile with {} failed {} times; the next try is in {} s",
                 context_.mesh.describe(node), round_retry_after.size() + 1,
                 options_.interval.count() / 1000);
    try_to_settle();
    return;
  }
  peer.resting = true;
  const auto pause = round_retry_after[peer.attempts++];
  spawn(context_.runtime, repeat_round(shared_from_this(), node, peer.ask, pause));
}

Task<void> Reconcile::Impl::repeat_round(std::shared_ptr<Impl> self, NodeId node, std::uint64_t ask,
                                         Milliseconds after) {
  co_await self->context_.runtime.sleep(after);
  const auto found = self->peers_.find(node);
  if (self->stopped_ || found == self->peers_.end()) co_return;
  found->second.resting = false;
  if (found->second.ask == ask) self->ask_for_round(node);
}

Task<void> Reconcile::Impl::run_periodically(std::shared_ptr<Impl> self) {
  while (!self->stopped_) {
    co_await self->context_.runtime.sleep(self->options_.interval);
    if (self->stopped_) co_return;
    self->ask_all();
    self->try_to_settle();
  }
}

// ------------------------------------------------------------------------------------------ news

void Reconcile::Impl::on_news(const NodeId& from, Bytes manifest) {
  auto claimed = SignedManifest::trusted(manifest);
  if (stopped_ || !claimed) return;
  if (!context_.mesh.is_placed_here(partition_of((*claimed)->object.hashed_key))) return;
  if (news_open_ >= news_max) {
    ask_for_round(from);
    return;
  }
  ++news_open_;
  spawn(context_.runtime, take_news(shared_from_this(), from, std::move(*claimed)));
}

Task<void> Reconcile::Impl::take_news(std::shared_ptr<Impl> self, NodeId from,
                                      SignedManifest claimed) {
  auto& context = self->context_;
  const auto now = context.runtime.now_ms();
  auto news = co_await offload(context.runtime, [&context, &claimed, now] {
    return check_news(context.store, claimed, now);
  });
  if (!news) spdlog::warn("news from {}: {}", context.mesh.describe(from), news.error().what);
  if (news && *news) {
    const SignedManifest& manifest = **news;
    if (!manifest->is_tombstone()) {
      co_await context.runtime.sleep(manifest->is_inline() ? inline_grace : blob_grace);
    }
    const auto holders = self->holders_of(manifest->object, from);
    self->queue_->want_version(manifest, holders);
  }
  --self->news_open_;
}

/// `first`, then whoever else should hold the object.
std::vector<NodeId> Reconcile::Impl::holders_of(const ObjectId& object, const NodeId& first) const {
  std::vector<NodeId> holders{first};
  const auto partition = partition_of(object.hashed_key);
  for (const auto& node : context_.mesh.placement().nodes_for(partition)) {
    if (node != first && node != context_.mesh.self()) holders.push_back(node);
  }
  return holders;
}

// ---------------------------------------------------------------------------------------- facade

Reconcile::Reconcile(NodeContext context, ReconcileOptions options,
                     std::function<void(const SignedRoster&)> remember)
    : impl_(std::make_shared<Impl>(context, options, std::move(remember))) {}
Reconcile::~Reconcile() {
  impl_->stop();
}

void Reconcile::start() {
  impl_->start();
}
void Reconcile::on_link_up(NodeId node) {
  impl_->ask_for_round(node);
}
void Reconcile::on_roster_change() {
  impl_->on_roster_change();
}
void Reconcile::on_news(NodeId from, Bytes manifest) {
  impl_->on_news(from, std::move(manifest));
}
bool Reconcile::is_idle() const {
  return impl_->is_idle();
}
void Reconcile::stop() {
  impl_->stop();
}

}  // namespace zerodb

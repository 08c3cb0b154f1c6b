#include "node/reconcile.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>

#include "node/confirm.hpp"
#include "node/fetch.hpp"
#include "node/reconcile_round.hpp"

namespace zerodb {

namespace {

constexpr std::size_t rounds_max = 4;           ///< at once
constexpr std::size_t news_per_node_max = 256;  ///< being looked at

/// Pauses before a failed round is repeated; after the last one the periodic round is left.
constexpr std::array round_retry_after{Milliseconds(5'000), Milliseconds(20'000),
                                       Milliseconds(60'000)};

/// Pause before a round that looks for news that were too many.
constexpr Milliseconds missed_news_after{2'000};

/// Missed writes may be under way still; and nobody makes this node look without end.
constexpr Milliseconds missed_writes_after{3'000};
constexpr Milliseconds missed_writes_pause{30'000};

/// Between the rounds that links which come up bring: they may do so all the time.
constexpr Milliseconds link_round_pause{5'000};

/// Whoever stored a version may still be sending it here: fetching at once would move it twice.
constexpr Milliseconds inline_grace{500};
constexpr Milliseconds blob_grace{3'000};

/// How often it is looked whether all members have adopted the roster.
constexpr Milliseconds adoption_interval{1'000};

/// A broadcast manifest that is later than what is here, verified; nothing if it is not news.
Result<std::optional<SignedManifest>> check_news(Store& store, const SignedManifest& claimed,
                                                 std::uint64_t now_ms,
                                                 std::uint64_t forget_before) {
  const auto ours = store.latest(claimed->object);
  if (!ours) return fail(ours.error());
  const bool forgotten = claimed->is_tombstone() && claimed->version.ms() < forget_before;
  if (!*ours && forgotten) return std::optional<SignedManifest>();
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
        queue_(std::make_shared<FetchQueue>(context, options.fetches)) {}

  void start();
  void ask_for_round(const NodeId& node);
  void on_link_up(const NodeId& node);
  void on_roster_change();
  void on_missed_writes();
  void on_news(const NodeId& from, Bytes manifest);
  static Task<Result<PeerAnswer>> on_confirm(std::shared_ptr<Impl> self, NodeId from,
                                             Payload entries);
  MoveLeft left(const std::vector<PartitionSize>& sizes) const;
  bool is_idle() const;
  void stop();

 private:
  /// Of one other member, under the roster that stands.
  struct Peer {
    bool queued = false;
    bool running = false;
    bool resting = false;   ///< a round will follow: one failed, or news were missed
    bool done = false;      ///< a round that counts for settling ended without failure
    unsigned attempts = 0;  ///< failed in a row
    std::uint64_t ask = 0;  ///< grows with each request for a round, so that old retries lapse
    std::uint64_t link_round_ms = 0;  ///< steady: before, its link brings no round but one planned
  };

  void begin_roster();
  void ask_all();
  std::optional<NodeId> take_next();
  void pump();
  void try_to_settle();
  void begin_to_settle();
  std::uint64_t counting() const { return all_adopted_ ? adoption_ : 0; }
  void end_round(const NodeId& node, std::uint64_t counts_for, const Status& status);
  void repeat_later(const NodeId& node, Peer& peer);
  void rest(const NodeId& node, Peer& peer, Milliseconds pause);
  void miss_news(const NodeId& from);

  static Task<void> run_periodically(std::shared_ptr<Impl> self);
  static Task<void> await_adoption(std::shared_ptr<Impl> self, RosterHash roster);
  static Task<void> run_rounds(std::shared_ptr<Impl> self, NodeId first);
  static Task<void> repeat_round(std::shared_ptr<Impl> self, NodeId node, std::uint64_t ask,
                                 Milliseconds after);
  static Task<void> look_for_missed(std::shared_ptr<Impl> self);
  static Task<void> take_news(std::shared_ptr<Impl> self, NodeId from, SignedManifest claimed);

  NodeContext context_;
  ReconcileOptions options_;
  std::function<void(const SignedRoster&)> remember_;
  std::shared_ptr<FetchQueue> queue_;
  std::map<NodeId, Peer> peers_;
  std::deque<NodeId> waiting_;  ///< for their round
  std::size_t rounds_running_ = 0;
  std::map<NodeId, std::size_t> news_open_;
  std::uint64_t adoption_ = 0;  ///< grows with each roster that all have adopted; see counting()
  bool all_adopted_ = false;    ///< the roster that stands
  std::shared_ptr<TakeOver> take_over_ = std::make_shared<TakeOver>();
  Complaints complaints_;
  bool missed_writes_ = false;  ///< since it was looked for them last
  bool looking_for_missed_ = false;
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
  return waiting_.empty() && rounds_running_ == 0 && news_open_.empty() && !resting &&
         !missed_writes_ && queue_->is_idle();
}

// --------------------------------------------------------------------------------------- rosters

void Reconcile::Impl::on_roster_change() {
  begin_roster();
  ask_all();
}

void Reconcile::Impl::begin_roster() {
  const auto& mesh = context_.mesh;
  std::erase_if(peers_, [&](const auto& peer) { return !mesh.roster().find(peer.first); });
  std::erase_if(waiting_, [&](const NodeId& node) { return !peers_.contains(node); });
  for (const auto& member : mesh.roster().members) {
    if (member.node != mesh.self()) peers_.try_emplace(member.node);
  }
  all_adopted_ = false;
  *take_over_ = {};
  if (mesh.is_settled()) return;
  if (peers_.empty()) {
    begin_to_settle();
  } else {
    spawn(context_.runtime, await_adoption(shared_from_this(), mesh.signed_roster().hash()));
  }
}

/// Only rounds that begin when nobody goes by an older roster any more count for settling: what was
/// written under one by then is where such a round finds it.
Task<void> Reconcile::Impl::await_adoption(std::shared_ptr<Impl> self, RosterHash roster) {
  const auto& mesh = self->context_.mesh;
  while (!mesh.is_adopted_by_all()) {
    co_await self->context_.runtime.sleep(adoption_interval);
    if (self->stopped_ || mesh.signed_roster().hash() != roster) co_return;
  }
  self->begin_to_settle();
}

void Reconcile::Impl::begin_to_settle() {
  all_adopted_ = true;
  ++adoption_;
  for (auto& [node, peer] : peers_)
    peer.done = false;
  ask_all();
  try_to_settle();
}

/// Every other member was asked for all that it has: what was acknowledged before is here.
void Reconcile::Impl::try_to_settle() {
  const bool asked_all = std::ranges::all_of(peers_, [](auto& peer) { return peer.second.done; });
  if (!all_adopted_ || !asked_all || context_.mesh.is_settled()) return;
  const auto settled = context_.mesh.settle(context_.mesh.signed_roster().hash());
  if (!settled) return;
  *take_over_ = {};
  remember_(*settled);
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

/// At once, or after the pause; not if one after the pause is planned already.
void Reconcile::Impl::on_link_up(const NodeId& node) {
  const auto found = peers_.find(node);
  if (stopped_ || found == peers_.end()) return;
  auto& peer = found->second;
  const auto now = context_.runtime.steady_ms();
  const Milliseconds wait(peer.link_round_ms > now ? peer.link_round_ms - now : 0);
  if (wait > link_round_pause) return;
  peer.link_round_ms = now + static_cast<std::uint64_t>((wait + link_round_pause).count());
  if (wait.count() == 0) {
    ask_for_round(node);
  } else {
    rest(node, peer, wait);
  }
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
    const auto counts_for = self->counting();
    const auto status = co_await run_round(self->context_, self->queue_, *node, self->take_over_);
    if (!self->stopped_) self->end_round(*node, counts_for, status);
  }
  --self->rounds_running_;
}

/// `counts_for` is what counting() was when the round began.
void Reconcile::Impl::end_round(const NodeId& node, std::uint64_t counts_for,
                                const Status& status) {
  const auto found = peers_.find(node);
  if (found == peers_.end()) return;  // it left meanwhile
  auto& peer = found->second;
  peer.running = false;
  if (!status) {
    spdlog::debug("reconcile with {}: {}", context_.mesh.describe(node), status.error().what);
    if (status.error().code == Errc::invalid) {
      complaints_.about(node, "a listing that cannot be right", status.error().what);
    }
    repeat_later(node, peer);
    return;
  }
  peer.attempts = 0;
  peer.done = peer.done || (counts_for != 0 && counts_for == counting());
  try_to_settle();
}

/// A node whose link is down is asked when it comes up again, whatever was planned before.
void Reconcile::Impl::repeat_later(const NodeId& node, Peer& peer) {
  const bool up = context_.links.state(node).up;
  if (!up) peer.link_round_ms = 0;
  if (!up || peer.queued) return;
  if (peer.attempts >= round_retry_after.size()) {
    peer.attempts = 0;
    spdlog::warn("reconcile with {} failed {} times; the next try is in {} s",
                 context_.mesh.describe(node), round_retry_after.size() + 1,
                 options_.interval.count() / 1000);
    return;
  }
  rest(node, peer, round_retry_after[peer.attempts++]);
}

/// A round follows after the pause, unless one is asked for before.
void Reconcile::Impl::rest(const NodeId& node, Peer& peer, Milliseconds pause) {
  peer.resting = true;
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
  }
}

/// Who acknowledged them need not hold them: all are asked.
void Reconcile::Impl::on_missed_writes() {
  if (stopped_) return;
  missed_writes_ = true;
  if (!std::exchange(looking_for_missed_, true)) {
    spawn(context_.runtime, look_for_missed(shared_from_this()));
  }
}

Task<void> Reconcile::Impl::look_for_missed(std::shared_ptr<Impl> self) {
  while (self->missed_writes_) {
    co_await self->context_.runtime.sleep(missed_writes_after);
    if (self->stopped_) co_return;
    self->missed_writes_ = false;
    self->ask_all();
    co_await self->context_.runtime.sleep(missed_writes_pause);
    if (self->stopped_) co_return;
  }
  self->looking_for_missed_ = false;
}

// ------------------------------------------------------------------------------------------ news

void Reconcile::Impl::on_news(const NodeId& from, Bytes manifest) {
  auto claimed = SignedManifest::trusted(manifest);
  if (stopped_ || !claimed) return;
  if (!context_.mesh.is_placed_here(partition_of((*claimed)->object.hashed_key))) return;
  if (news_open_[from] >= news_per_node_max || !queue_->has_room_for(from)) return miss_news(from);
  ++news_open_[from];
  spawn(context_.runtime, take_news(shared_from_this(), from, std::move(*claimed)));
}

/// A round finds what was missed; not one after the other, however much a node has to tell.
void Reconcile::Impl::miss_news(const NodeId& from) {
  const auto peer = peers_.find(from);
  if (stopped_ || peer == peers_.end() || peer->second.queued || peer->second.resting) return;
  rest(from, peer->second, missed_news_after);
}

Task<void> Reconcile::Impl::take_news(std::shared_ptr<Impl> self, NodeId from,
                                      SignedManifest claimed) {
  auto& context = self->context_;
  const auto now = context.runtime.now_ms();
  const auto forget_before = forget_before_ms(context);
  auto news = co_await offload(context.runtime, [&context, &claimed, now, forget_before] {
    return check_news(context.store, claimed, now, forget_before);
  });
  if (!news) self->complaints_.about(from, "news that cannot be right", news.error().what);
  if (news && *news) {
    const SignedManifest& manifest = **news;
    if (!manifest->is_tombstone()) {
      co_await context.runtime.sleep(manifest->is_inline() ? inline_grace : blob_grace);
    }
    const auto holders = likely_holders(context.mesh, manifest->object, from);
    if (!self->queue_->want_version(manifest, holders)) self->miss_news(from);
  }
  if (--self->news_open_[from] == 0) self->news_open_.erase(from);
}

// ------------------------------------------------------------------------------ being asked, told

/// Whoever asks is about to drop what it asks about, or wants to know that a deletion is complete.
Task<Result<PeerAnswer>> Reconcile::Impl::on_confirm(std::shared_ptr<Impl> self, NodeId from,
                                                     Payload entries) {
  auto& context = self->context_;
  auto confirmation = co_await offload(context.runtime, [&context, &entries] {
    return confirm_entries(context.store, entries.view());
  });
  if (!confirmation) co_return fail(std::move(confirmation.error()));
  const auto tally = std::make_shared<FetchTally>(context.runtime);
  for (const auto& entry : confirmation->lacking) {
    const bool here = context.mesh.is_placed_here(partition_of(entry.object.hashed_key));
    if (here && !self->stopped_) self->queue_->want_latest(entry, from, tally);
  }
  co_return PeerAnswer{peer::Ok{}, Payload::take(std::move(confirmation->payload))};
}

MoveLeft Reconcile::Impl::left(const std::vector<PartitionSize>& sizes) const {
  MoveLeft left{.partitions = 0, .bytes = 0, .bytes_per_s = queue_->bytes_per_s()};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (take_over_->bytes_there[i] <= sizes[i].bytes) continue;
    ++left.partitions;
    left.bytes += take_over_->bytes_there[i] - sizes[i].bytes;
  }
  return left;
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
  impl_->on_link_up(node);
}
void Reconcile::on_roster_change() {
  impl_->on_roster_change();
}
void Reconcile::on_missed_writes() {
  impl_->on_missed_writes();
}
void Reconcile::on_news(NodeId from, Bytes manifest) {
  impl_->on_news(from, std::move(manifest));
}
Task<Result<PeerAnswer>> Reconcile::on_confirm(NodeId from, Payload entries) {
  return Impl::on_confirm(impl_, from, std::move(entries));
}
MoveLeft Reconcile::left(const std::vector<PartitionSize>& sizes) const {
  return impl_->left(sizes);
}
bool Reconcile::is_idle() const {
  return impl_->is_idle();
}
void Reconcile::stop() {
  impl_->stop();
}

}  // namespace zerodb

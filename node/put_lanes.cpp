#include "node/put_lanes.hpp"

#include "node/condition.hpp"
#include "node/failures.hpp"

namespace zerodb {
namespace {

constexpr Milliseconds watch_interval{100};
constexpr std::uint64_t lag_share_percent = 20;  // of the time the put has run

}  // namespace

PutLanes::PutLanes(CorePtr core, Draft draft, bool receipts)
    : core_(std::move(core)),
      draft_(std::move(draft)),
      receipts_(receipts),
      work_(core_->context.mesh.begin_work()),
      targets_(core_->targets_for(draft_.manifest.object)),
      started_ms_(core_->context.runtime.steady_ms()),
      changed_(core_->context.runtime) {
  const auto binding = draft_.manifest.binding();
  for (const auto& node : targets_.nodes()) {
    Lane lane;
    lane.node = node;
    lane.sink = core_->is_self(node) ? make_local_sink(core_, binding)
                                     : make_remote_sink(core_, node, binding);
    lanes_.push_back(std::move(lane));
  }
}

std::shared_ptr<PutLanes> PutLanes::open(CorePtr core, Draft draft, bool receipts) {
  auto lanes = std::make_shared<PutLanes>(std::move(core), std::move(draft), receipts);
  auto& runtime = lanes->core_->context.runtime;
  for (auto& lane : lanes->lanes_) {
    if (lanes->core_->is_up(lane.node)) {
      spawn(runtime, open_lane(lanes, lane));
    } else {
      lanes->let_go(lane, {Errc::io, "it is down"});
    }
  }
  spawn(runtime, watch(lanes));
  return lanes;
}

Task<void> PutLanes::open_lane(Self self, Lane& lane) {
  auto opened = co_await lane.sink->open();
  if (!opened) {
    self->let_go(lane, std::move(opened.error()));
    co_return;
  }
  lane.is_open = true;
  self->changed_.notify();
}

// ---------------------------------------------------------------------------- chunks on their way

void PutLanes::send(Payload plain, bool last) {
  const ChunkPosition position{.index = leaves_.size(), .last = last};
  leaves_.emplace_back();
  ending_ = last;
  for (auto& lane : lanes_)
    lane.backlog += 1;
  core_->put_chunks += 1;
  OnItsWay on_its_way(core_.get(), [core = core_](const void*) { core->put_chunks -= 1; });
  spawn(core_->context.runtime,
        seal_and_send(shared_from_this(), std::move(plain), position, std::move(on_its_way)));
}

Task<void> PutLanes::seal_and_send(Self self, Payload plain, ChunkPosition position,
                                   OnItsWay on_its_way) {
  if (self->failed_) co_return;
  auto work = [&] { return seal(self->draft_, position, plain.view()); };
  auto sealed = co_await offload(self->core_->context.runtime, work);
  plain = {};
  for (auto& lane : self->lanes_) {
    if (!lane.gone) {
      spawn(self->core_->context.runtime, write(self, lane, position.index, sealed, on_its_way));
    }
  }
  on_its_way = {};
  if (!self->own_store_hashes()) co_await self->hash_here(position.index, sealed);
}

/// Whoever writes the chunk into the own store computes its leaf on the way.
bool PutLanes::own_store_hashes() const {
  return std::ranges::any_of(
      lanes_, [&](const Lane& lane) { return core_->is_self(lane.node) && !lane.gone; });
}

Task<void> PutLanes::hash_here(std::uint64_t index, Payload sealed) {
  auto work = [&] { return leaf_of(sealed.view()); };
  const auto leaf = co_await offload(core_->context.runtime, work);
  keep_leaf(index, leaf);
}

Task<void> PutLanes::write(Self self, Lane& lane, std::uint64_t index, Payload sealed,
                           OnItsWay on_its_way) {
  auto leaf = co_await self->write_when_open(lane, index, sealed);
  lane.backlog -= 1;
  on_its_way = {};
  self->changed_.notify();
  if (!leaf) {
    self->let_go(lane, std::move(leaf.error()));
  } else if (*leaf) {
    self->keep_leaf(index, **leaf);
  }
  const bool unhashed = self->core_->is_self(lane.node) && !self->leaves_[index];
  if (unhashed) co_await self->hash_here(index, std::move(sealed));
}

Task<Result<std::optional<Leaf>>> PutLanes::write_when_open(Lane& lane, std::uint64_t index,
                                                            Payload sealed) {
  while (!lane.is_open && !lane.gone)
    co_await changed_.wait();
  if (lane.gone) co_return fail(*lane.gone);
  co_return co_await lane.sink->write(index, std::move(sealed));
}

void PutLanes::keep_leaf(std::uint64_t index, const Leaf& leaf) {
  if (leaves_[index]) return;
  leaves_[index] = leaf;
  leaves_known_ += 1;
  changed_.notify();
}

Task<Status> PutLanes::room() {
  const auto self = shared_from_this();
  while (!failed_ &&
         std::ranges::any_of(lanes_, [&](const Lane& lane) { return holds_up(lane); })) {
    co_await changed_.wait();
  }
  if (failed_) co_return fail(*failed_);
  co_return Status{};
}

// ----------------------------------------------------------------------------------- the commit

Task<Result<WriteReceipt>> PutLanes::commit(std::uint64_t total, WriteCondition condition) {
  const auto self = shared_from_this();
  while (!failed_ && leaves_known_ < leaves_.size())
    co_await changed_.wait();
  if (failed_) co_return fail(*failed_);
  auto expected = co_await expected_by(core_, "put", draft_.part.name, condition);
  if (!expected) co_return fail(std::move(expected.error()));
  expected_ = *expected;
  auto version = co_await sign_version(total);
  CommitPlan plan{.verb = "put",
                  .name = draft_.part.name,
                  .mtime_ms = draft_.part.mtime_ms,
                  .targets = targets_,
                  .commit_at =
                      [self](NodeId node, SignedPtr signed_version) {
                        return commit_lane(self, self->lane_of(node), std::move(signed_version));
                      },
                  .terms = {.expected = expected_, .receipt = receipts_},
                  .ready_at = [self](NodeId node) { return take_in(self, self->lane_of(node)); }};
  auto receipt = co_await commit_on_quorum(core_, std::move(version), std::move(plan));
  work_.end();
  if (receipt) core_->counters.puts += 1;
  co_return receipt;
}

Task<SignedPtr> PutLanes::sign_version(std::uint64_t total) {
  draft_.manifest.version = core_->next_version(expected_.value_or(Version{}));
  auto work = [&] {
    RootHasher root;
    for (const auto& leaf : leaves_)
      root.add(*leaf);
    return std::make_shared<const SignedManifest>(sign(draft_, *core_->keys, total, root.finish()));
  };
  co_return co_await offload(core_->context.runtime, work);
}

/// Until the lane has taken everything in.
Task<void> PutLanes::take_in(Self self, Lane& lane) {
  while (!lane.gone && lane.backlog > 0)
    co_await self->changed_.wait();
}

/// One commit at a time per lane; the first waits until the lane has taken everything in.
Task<CommitResult> PutLanes::commit_lane(Self self, Lane& lane, SignedPtr version) {
  while (!lane.gone && (lane.backlog > 0 || lane.committing))
    co_await self->changed_.wait();
  if (lane.gone) co_return fail(*lane.gone);
  lane.committing = true;
  auto answer = co_await lane.sink->commit(
      std::move(version), {.expected = self->expected_, .receipt = self->receipts_});
  lane.committing = false;
  lane.committed = lane.committed || (answer && answer->stored);
  if (!answer && answer.error().code != Errc::invalid) self->let_go(lane, answer.error());
  self->changed_.notify();
  co_return answer;
}

PutLanes::Lane& PutLanes::lane_of(const NodeId& node) {
  return *std::ranges::find(lanes_, node, &Lane::node);
}

const PutLanes::Lane& PutLanes::lane_of(const NodeId& node) const {
  return *std::ranges::find(lanes_, node, &Lane::node);
}

// ------------------------------------------------------------------------------------ letting go

void PutLanes::let_go(Lane& lane, Error why) {
  if (lane.gone || lane.committed) return;
  lane.gone = std::move(why);
  lane.sink->abandon();
  if (!failed_ && !left().is_enough()) failed_ = too_few_left();
  changed_.notify();
}

void PutLanes::abandon() {
  const Error why{Errc::busy, about("put", draft_.part.name) + ": was dropped"};
  if (!failed_) failed_ = why;
  for (auto& lane : lanes_)
    let_go(lane, why);
  work_.end();
  changed_.notify();
}

/// Looks now and then for lanes that hold the put up.
Task<void> PutLanes::watch(Self self) {
  auto& runtime = self->core_->context.runtime;
  auto last_ms = runtime.steady_ms();
  while (!self->is_over()) {
    co_await runtime.sleep(watch_interval);
    const auto now_ms = runtime.steady_ms();
    self->let_go_of_laggards(now_ms - std::exchange(last_ms, now_ms));
    for (const auto& lane : self->lanes_) {
      if (lane.is_open && !lane.gone && !lane.committed) lane.sink->tend();
    }
  }
}

void PutLanes::let_go_of_laggards(std::uint64_t passed_ms) {
  const auto run_ms = core_->context.runtime.steady_ms() - started_ms_;
  const auto patience = static_cast<std::uint64_t>(core_->options.lag_grace.count());
  for (auto& lane : lanes_) {
    if (!holds_up(lane) || !are_enough_ahead_of(lane)) continue;
    lane.held_up_ms += passed_ms;
    const auto grace = core_->slow_at_puts.has(lane.node) ? 0 : patience;
    if (lane.held_up_ms <= grace + run_ms * lag_share_percent / 100) continue;
    core_->counters.sinks_let_go += 1;
    core_->slow_at_puts.note(lane.node);
    let_go(lane, {Errc::timeout, "it lags too far behind"});
  }
}

bool PutLanes::holds_up(const Lane& lane) const {
  if (lane.gone) return false;
  return ending_ ? lane.backlog > 0 : lane.backlog >= window();
}

std::size_t PutLanes::window() const {
  constexpr std::size_t crowded = 2;
  const auto& options = core_->options;
  return core_->put_chunks < options.put_chunks_max ? options.window_chunks : crowded;
}

bool PutLanes::are_enough_ahead_of(const Lane& lane) const {
  const auto is_ahead = [&](const NodeId& node) {
    const auto& other = lane_of(node);
    return &other != &lane && !other.gone && !holds_up(other);
  };
  return targets_.count_for_write(is_ahead).is_enough();
}

Targets::Count PutLanes::left() const {
  return targets_.count_for_write([&](const NodeId& node) { return !lane_of(node).gone; });
}

/// Nothing is on its way any more; a replica may have refused the commit and still be a lane.
bool PutLanes::is_over() const {
  return std::ranges::all_of(lanes_, [this](const Lane& lane) {
    return lane.gone || lane.committed || (ending_ && lane.backlog == 0);
  });
}

Error PutLanes::too_few_left() const {
  std::vector<Failure> failures;
  for (const auto& lane : lanes_) {
    if (lane.gone) failures.push_back({.node = lane.node, .error = lane.gone});
  }
  return too_few_replicas(*core_, about("put", draft_.part.name), left(), failures);
}

}  // namespace zerodb

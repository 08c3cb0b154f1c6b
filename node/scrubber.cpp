#include "node/scrubber.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <sstream>

#include "node/fetch.hpp"

namespace zerodb {

namespace {

constexpr std::uint64_t step_bytes_max = 8 << 20;
constexpr std::uint64_t step_bytes_least = 64 << 10;
constexpr Milliseconds step_pause_least{100};
constexpr Milliseconds rest_max{600'000};      // the clock may be set meanwhile
constexpr Milliseconds trouble_pause{60'000};  // after a disk that could not be read
constexpr std::uint64_t first_walk_after_ms = 3'600'000;
constexpr std::uint64_t save_interval_ms = 60'000;
constexpr std::size_t repair_page = 64;
constexpr std::size_t suspects_max = 1024;
constexpr std::uint64_t seen_whole_ms = 3'600'000;
constexpr std::size_t holders_max = 16;
constexpr std::string_view state_head = "zerodb-scrub-1";

}  // namespace

std::string encode_scrub_state(const ScrubState& state) {
  std::ostringstream text;
  text << state_head << ' ' << state.unpaced << ' ' << state.counts.versions << ' '
       << state.counts.bytes << ' ' << state.counts.damaged << ' ' << state.counts.orphans << ' '
       << state.repaired << ' ' << state.started_ms << ' ' << state.finished_ms << ' '
       << to_hex(as_bytes(state.position)) << '\n';
  return text.str();
}

std::optional<ScrubState> decode_scrub_state(std::string_view text) {
  std::istringstream in{std::string(text)};
  ScrubState state;
  std::string head;
  std::string position;
  in >> head >> state.unpaced >> state.counts.versions >> state.counts.bytes >>
      state.counts.damaged >> state.counts.orphans >> state.repaired >> state.started_ms >>
      state.finished_ms;
  if (!in || head != state_head) return std::nullopt;
  in >> position;
  const auto bytes = from_hex(position);
  if (!bytes) return std::nullopt;
  state.position = std::string(as_text(*bytes));
  return state;
}

Scrubber::Scrubber(NodeContext context, ScrubOptions options, ScrubFiles files)
    : context_(context),
      options_(options),
      files_(std::move(files)),
      walk_wake_(std::make_shared<Wakeup>(context.runtime)),
      repair_wake_(std::make_shared<Wakeup>(context.runtime)),
      changed_(std::make_shared<Wakeup>(context.runtime)) {
  state_ = decode_scrub_state(files_.saved).value_or(ScrubState{});
  walking_ = !state_.position.empty();
}

void Scrubber::start() {
  due_from_ms_ = context_.runtime.steady_ms() + first_walk_after_ms;
  spawn(context_.runtime, walk_forever(shared_from_this()));
  spawn(context_.runtime, repair_forever(shared_from_this()));
}

void Scrubber::stop() {
  if (stopped_) return;
  stopped_ = true;
  suspects_.clear();
  save(true);
  for (const auto& wakeup : {walk_wake_, repair_wake_, changed_})
    wakeup->notify();
}

void Scrubber::save(bool now) {
  const auto steady = context_.runtime.steady_ms();
  if (!files_.save || (!now && steady - saved_ms_ < save_interval_ms)) return;
  saved_ms_ = steady;
  files_.save(encode_scrub_state(state_));
}

ScrubStatus Scrubber::status() const {
  return {.state = state_,
          .walking = walking_ || asked_,
          .repairing = repairing_ || repair_asked_,
          .done_per_mille = done_per_mille_,
          .trouble = trouble_};
}

// --------------------------------------------------------------------------------------- waiting

/// For one wait only: who wakes early and waits again must not be woken by what was left behind, or
/// each early wake would be followed by one more at every interval, for ever.
Task<void> Scrubber::notify_after(Self self, std::shared_ptr<Wakeup> wakeup, Milliseconds after,
                                  std::shared_ptr<const bool> is_waiting) {
  co_await self->context_.runtime.sleep(after);
  if (*is_waiting) wakeup->notify();
}

Task<void> Scrubber::pause(Self self, std::shared_ptr<Wakeup> wakeup, Milliseconds limit) {
  const auto is_waiting = std::make_shared<bool>(true);
  spawn(self->context_.runtime, notify_after(self, wakeup, limit, is_waiting));
  co_await wakeup->wait();
  *is_waiting = false;
}

Task<void> Scrubber::wait(std::shared_ptr<Scrubber> self, Milliseconds limit) {
  co_await pause(self, self->changed_, limit);
}

// --------------------------------------------------------------------------------------- walking

void Scrubber::begin_now() {
  asked_ = true;
  walk_wake_->notify();
}

bool Scrubber::is_due() const {
  if (asked_) return true;
  if (state_.started_ms == 0) return context_.runtime.steady_ms() >= due_from_ms_;
  const auto period = static_cast<std::uint64_t>(options_.period.count());
  const auto now_ms = context_.runtime.now_ms();
  const bool was_ahead = state_.started_ms > now_ms;  // by a clock that was wrong
  return was_ahead || now_ms - state_.started_ms >= period;
}

void Scrubber::begin_walk() {
  state_ = {.unpaced = asked_,
            .started_ms = context_.runtime.now_ms(),
            .finished_ms = state_.finished_ms};
  asked_ = false;
  walking_ = true;
  done_per_mille_ = 0;
  spdlog::info("scrub: begins{}", state_.unpaced ? ", at full speed" : "");
  save(true);
}

void Scrubber::end_walk() {
  walking_ = false;
  state_.finished_ms = context_.runtime.now_ms();
  const auto& counts = state_.counts;
  spdlog::info("scrub: done; {} versions and {} bytes verified, {} damaged, {} files put aside",
               counts.versions, counts.bytes, counts.damaged, counts.orphans);
  repair_soon();
  save(true);
}

/// How long to wait after `step`, so that a whole walk takes the set time.
Milliseconds Scrubber::pace(const ScrubStep& step, std::uint64_t blob_bytes) const {
  const auto period_s =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(options_.period.count() / 1000));
  const auto rate = std::max({options_.bytes_per_s_least, blob_bytes / period_s, std::uint64_t{1}});
  return std::max(step_pause_least, Milliseconds(step.counts.bytes * 1000 / rate));
}

/// One step; false if the disk could not be read.
Task<bool> Scrubber::walk_on() {
  const auto bytes = state_.unpaced
                         ? step_bytes_max
                         : std::clamp(options_.bytes_per_s_least, step_bytes_least, step_bytes_max);
  const auto position = state_.position;
  const auto work = [this, &position, bytes] { return context_.store.scrub(position, bytes); };
  auto step = co_await offload(context_.runtime, work);
  if (!step) {
    spdlog::error("scrub: cannot go on: {}; tried again in {} s", step.error().what,
                  trouble_pause.count() / 1000);
    co_return false;
  }
  if (asked_ || stopped_) co_return true;  // a new walk begins anyway
  state_.counts += step->counts;
  state_.position = step->next;
  done_per_mille_ = step->done_per_mille;
  for (const auto& finding : step->findings)
    spdlog::warn("scrub: {}", finding);
  if (step->counts.damaged > 0) repair_soon();
  if (!state_.unpaced) {
    const auto stats =
        co_await offload(context_.runtime, [this] { return context_.store.stats(); });
    pause_ = pace(*step, stats.blob_bytes);
  }
  if (state_.position.empty()) end_walk();
  save(false);
  changed_->notify();
  co_return true;
}

Task<void> Scrubber::walk_forever(Self self) {
  while (!self->stopped_) {
    if (self->asked_ || (!self->walking_ && self->is_due())) self->begin_walk();
    if (!self->walking_) {
      co_await pause(self, self->walk_wake_, rest_max);
      continue;
    }
    const bool went_on = co_await self->walk_on();
    if (self->stopped_ || self->asked_) continue;
    if (!went_on) {
      co_await pause(self, self->walk_wake_, trouble_pause);
    } else if (!self->state_.unpaced) {
      co_await pause(self, self->walk_wake_, self->pause_);
    }
  }
}

// ---------------------------------------------------------------------------------------- repair

void Scrubber::repair_soon() {
  repair_asked_ = true;
  repair_wake_->notify();
}

/// Lately, so that nobody has this node read the same blob again and again.
bool Scrubber::was_seen_whole(const BlobId& blob) {
  const auto now = context_.runtime.steady_ms();
  while (!whole_.empty() && whole_.front().second + seen_whole_ms <= now)
    whole_.pop_front();
  return std::ranges::any_of(whole_, [&](const auto& seen) { return seen.first == blob; });
}

void Scrubber::note_whole(const BlobId& blob) {
  if (whole_.size() >= suspects_max) whole_.pop_front();
  whole_.emplace_back(blob, context_.runtime.steady_ms());
}

void Scrubber::suspect(const ChunkBinding& binding) {
  const auto same = [&](const ChunkBinding& other) { return other.blob_id == binding.blob_id; };
  if (stopped_ || suspects_.size() >= suspects_max || std::ranges::any_of(suspects_, same)) return;
  if (was_seen_whole(binding.blob_id) || context_.store.is_damaged(binding)) return;
  suspects_.push_back(binding);
  if (!std::exchange(looking_, true)) spawn(context_.runtime, look_at_suspects(shared_from_this()));
}

Task<void> Scrubber::look_at_suspects(Self self) {
  while (!self->stopped_ && !self->suspects_.empty()) {
    const auto binding = self->suspects_.front();
    auto& store = self->context_.store;
    const auto whole =
        co_await offload(self->context_.runtime, [&store, binding]() -> Result<bool> {
          const auto found = store.find(binding.object, binding.blob_id);
          if (!found) return fail(found.error());
          if (!*found) return true;
          return store.check(**found);
        });
    if (!self->suspects_.empty()) self->suspects_.pop_front();
    if (whole && *whole) self->note_whole(binding.blob_id);
    if (whole && !*whole) {
      spdlog::warn("scrub: a reader met damage of {}", binding.object.hashed_key.hex());
      self->repair_soon();
    }
  }
  self->looking_ = false;
}

Task<void> Scrubber::repair_forever(Self self) {
  while (!self->stopped_) {
    self->repair_asked_ = false;
    self->repairing_ = true;
    co_await self->repair_all();
    self->repairing_ = false;
    self->changed_->notify();
    if (self->repair_asked_ || self->stopped_) continue;
    co_await pause(self, self->repair_wake_, self->options_.repair_interval);
  }
}

/// Whoever should hold it, then others that may from before a roster change. None that is down.
std::vector<NodeId> Scrubber::holders_of(const ObjectId& object) const {
  const auto& mesh = context_.mesh;
  std::vector<NodeId> holders;
  const auto add = [&](const NodeId& node) {
    if (node == mesh.self() || !context_.links.state(node).up) return;
    if (holders.size() < holders_max && std::ranges::find(holders, node) == holders.end()) {
      holders.push_back(node);
    }
  };
  for (const auto& node : mesh.placement().nodes_for(partition_of(object.hashed_key)))
    add(node);
  for (const auto& member : mesh.roster().members)
    add(member.node);
  return holders;
}

Task<Status> Scrubber::repair(SignedManifest manifest) {
  auto holders = holders_of(manifest->object);
  if (holders.empty()) co_return fail(Errc::no_quorum, "no node that may have it can be reached");
  co_return co_await refetch_version(context_, std::move(manifest), std::move(holders));
}

Task<void> Scrubber::repair_all() {
  std::optional<ChunkBinding> after;
  std::size_t failed = 0;
  do {
    const auto work = [this, &after] { return context_.store.damaged(after, repair_page); };
    const auto page = co_await offload(context_.runtime, work);
    if (!page) co_return;  // a disk that cannot be read: the walk says so
    for (const auto& manifest : page->versions) {
      if (stopped_) co_return;
      const auto name = manifest->object.hashed_key.hex();
      if (!context_.store.is_damaged(manifest->binding())) continue;  // a later version stands
      const auto repaired = co_await repair(manifest);
      if (repaired) {
        ++state_.repaired;
        spdlog::info("repair: {} is whole again", name);
      } else if (context_.store.is_damaged(manifest->binding())) {
        trouble_ = name + ": " + repaired.error().what;
        ++failed;
        spdlog::debug("repair: {}", trouble_);
      }
      changed_->notify();
    }
    after = page->next_after;
  } while (after);
  if (failed == 0) trouble_.clear();
  if (failed > 0) {
    spdlog::warn("repair: {} versions could not be repaired yet; one of them: {}", failed,
                 trouble_);
  }
}

}  // namespace zerodb

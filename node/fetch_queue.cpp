#include "node/fetch_queue.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "node/fetch.hpp"

namespace zerodb {

namespace {

/// Pauses between attempts; after the last one it is left for the next round.
constexpr std::array retry_after{Milliseconds(1'000), Milliseconds(5'000), Milliseconds(20'000)};

/// Between two warnings of what cannot be fetched: there may be a great many.
constexpr std::uint64_t warning_pause_ms = 60'000;

}  // namespace

void FetchTally::close_one(bool failed) {
  --open_;
  failed_ += failed ? 1 : 0;
  changed_.notify();
}

void FetchTally::close_empty() {
  ++empty_;
  close_one(false);
}

Task<void> FetchTally::wait(std::shared_ptr<FetchTally> self, std::size_t most) {
  while (self->open_ > most)
    co_await self->changed_.wait();
}

void FetchQueue::Want::add(Want other) {
  sources.insert(sources.end(), other.sources.begin(), other.sources.end());
  if (!other.manifest) return;
  if (!manifest || other.manifest->is_later_than(*manifest)) {
    manifest = std::move(other.manifest);
    told_by = other.told_by;
    place = std::move(other.place);
  }
  for (const auto& node : other.holders) {
    if (std::ranges::find(holders, node) == holders.end()) holders.push_back(node);
  }
}

/// Nothing if all that `node` may have are taken.
FetchQueue::Place FetchQueue::take_place(const NodeId& node) {
  if (!has_room_for(node)) return {};
  auto& teller = tellers_[node];
  if (!teller) teller = std::make_shared<Teller>();
  teller->places_taken += 1;
  const auto leave = [teller = teller](const void*) { teller->places_taken -= 1; };
  return {teller.get(), leave};
}

void FetchQueue::want_latest(const Entry& listed, const NodeId& node,
                             const std::shared_ptr<FetchTally>& tally) {
  if (stopped_) return;
  tally->open_one();
  auto place = take_place(node);
  if (!place) return tally->close_one(true);
  Want want;
  want.sources.push_back(
      {.node = node, .listed = listed, .tally = tally, .place = std::move(place)});
  add(listed.object, node, std::move(want));
}

bool FetchQueue::want_version(SignedManifest manifest, const std::vector<NodeId>& holders) {
  if (stopped_) return false;
  auto place = take_place(holders.front());
  if (!place) return false;
  const auto object = manifest->object;
  Want want;
  want.manifest = std::move(manifest);
  want.holders = holders;
  want.told_by = holders.front();
  want.place = std::move(place);
  add(object, holders.front(), std::move(want));
  return true;
}

bool FetchQueue::has_room_for(const NodeId& teller) const {
  const auto known = tellers_.find(teller);
  return known == tellers_.end() || known->second->places_taken < options_.backlog_per_node_max;
}

void FetchQueue::add(const ObjectId& object, const NodeId& teller, Want more) {
  auto& want = wants_[object];
  want.add(std::move(more));
  // In the line of each who tells of it: whoever's turn comes first has it fetched.
  if (want.state == Want::State::ready) tellers_.at(teller)->ready.push_back(object);
  pump();
}

/// Told of again, or to be tried again: into the lines of all who told of it.
void FetchQueue::make_ready(const ObjectId& object) {
  auto& want = wants_.at(object);
  want.state = Want::State::ready;
  for (const auto& source : want.sources)
    tellers_.at(source.node)->ready.push_back(object);
  if (want.manifest) tellers_.at(want.told_by)->ready.push_back(object);
}

/// The next after the one served last who has something ready, and may have it fetched. Who has
/// nothing waiting at all is forgotten.
FetchQueue::Tellers::iterator FetchQueue::next_teller() {
  std::erase_if(tellers_, [](const auto& each) {
    const auto& teller = *each.second;
    return teller.ready.empty() && teller.fetching == 0 && teller.places_taken == 0;
  });
  auto at = tellers_.upper_bound(served_last_);
  for (std::size_t i = 0; i < tellers_.size(); ++i, ++at) {
    if (at == tellers_.end()) at = tellers_.begin();
    auto& ready = at->second->ready;
    const auto is_over = [this](const ObjectId& object) {
      const auto want = wants_.find(object);  // in another's line it may have been served
      return want == wants_.end() || want->second.state != Want::State::ready;
    };
    while (!ready.empty() && is_over(ready.front()))
      ready.pop_front();
    if (!ready.empty() && at->second->fetching < options_.fetches_per_node_max) return at;
  }
  return tellers_.end();
}

void FetchQueue::pump() {
  while (!stopped_ && running_ < options_.fetches_max && next_teller() != tellers_.end()) {
    ++running_;
    spawn(context_.runtime, work(shared_from_this()));
  }
}

/// Fetches one after the other in a loop: a fetch may end at once, and begins within pump().
Task<void> FetchQueue::work(std::shared_ptr<FetchQueue> self) {
  while (!self->stopped_) {
    const auto next = self->next_teller();
    if (next == self->tellers_.end()) break;
    const auto pause = self->rate_.pause_ms(self->context_.runtime.steady_ms());
    if (pause > 0) {
      co_await self->context_.runtime.sleep(Milliseconds(pause));
      continue;  // others may have been at work meanwhile
    }
    const auto teller = next->second;
    self->served_last_ = next->first;
    const auto object = teller->ready.front();
    teller->ready.pop_front();
    auto& entry = self->wants_.at(object);
    Want taken = std::exchange(entry, Want());
    entry.attempts = taken.attempts;
    entry.state = Want::State::fetching;
    teller->fetching += 1;
    Want failed = co_await self->fetch(object, std::move(taken));
    teller->fetching -= 1;
    if (self->stopped_) {
      give_up(failed);
    } else {
      self->put_back(object, std::move(failed));
    }
  }
  --self->running_;
}

/// Another node may have brought it meanwhile: nothing comes twice.
Task<Status> FetchQueue::fetch_listed(Entry listed, NodeId node) {
  const auto ours = co_await offload(
      context_.runtime, [this, &listed] { return context_.store.latest(listed.object); });
  if (!ours) co_return fail(ours.error());
  const auto there = std::pair(listed.version, listed.hash);
  if (*ours && std::pair((**ours)->version, (**ours).hash()) >= there) co_return Status();
  const auto fetched = co_await fetch_latest(context_, listed.object, node);
  if (!fetched) co_return fail(fetched.error());
  rate_.add(*fetched, context_.runtime.steady_ms());
  co_return Status();
}

/// Answers what is left of `want`: what failed.
Task<FetchQueue::Want> FetchQueue::fetch(ObjectId object, Want want) {
  Want failed;
  for (auto& source : want.sources) {
    const auto status = co_await fetch_listed(source.listed, source.node);
    if (!status && status.error().code == Errc::denied) {
      complaints_.about(source.node, "no signed version of what it lists", status.error().what);
      source.tally->close_one(false);  // nothing that was ever acknowledged is missed
      continue;
    }
    if (!status && status.error().code == Errc::not_found) {
      source.tally->close_empty();
      continue;
    }
    // Once its link is up again, a round with that node finds the object anew.
    if (status || !context_.links.state(source.node).up) {
      source.tally->close_one(!status);
      continue;
    }
    spdlog::debug("fetch {}: {}", object.hashed_key.short_hex(), status.error().what);
    failed.trouble = status.error().what;
    failed.sources.push_back(std::move(source));
  }
  if (!want.manifest) co_return failed;
  const auto status = co_await fetch_version(context_, *want.manifest, want.holders);
  rate_.add(status.value_or(0), context_.runtime.steady_ms());
  if (status) co_return failed;
  spdlog::debug("fetch {}: {}", object.hashed_key.short_hex(), status.error().what);
  failed.trouble = status.error().what;
  failed.manifest = std::move(want.manifest);
  failed.holders = std::move(want.holders);
  failed.told_by = want.told_by;
  failed.place = std::move(want.place);
  co_return failed;
}

void FetchQueue::put_back(const ObjectId& object, Want failed) {
  auto& want = wants_.at(object);
  const bool all_done = failed.is_empty();
  if (all_done) want.attempts = 0;
  if (!all_done && want.attempts < retry_after.size()) {
    const auto pause = retry_after[want.attempts++];
    want.add(std::move(failed));
    want.state = Want::State::resting;
    spawn(context_.runtime, retry(shared_from_this(), object, pause));
    return;
  }
  if (!all_done) {
    warn(object, failed);
    give_up(failed);
  }
  if (want.is_empty()) {
    wants_.erase(object);
  } else {
    want.attempts = 0;  // told of again meanwhile
    make_ready(object);
  }
}

/// What nobody has whole keeps this node from settling, so an operator must be able to find it.
void FetchQueue::warn(const ObjectId& object, const Want& failed) {
  const auto now = context_.runtime.steady_ms();
  if (now < may_warn_ms_) return;
  may_warn_ms_ = now + warning_pause_ms;
  const auto& node = failed.sources.empty() ? failed.told_by : failed.sources.front().node;
  spdlog::warn("fetch: {}, which {} tells of, cannot be had: {}; the next round tries again",
               object.hashed_key.hex(), context_.mesh.describe(node), failed.trouble);
}

void FetchQueue::give_up(const Want& want) {
  for (const auto& source : want.sources)
    source.tally->close_one(true);
}

Task<void> FetchQueue::retry(std::shared_ptr<FetchQueue> self, ObjectId object,
                             Milliseconds after) {
  co_await self->context_.runtime.sleep(after);
  if (self->stopped_) co_return;
  self->make_ready(object);
  self->pump();
}

void FetchQueue::stop() {
  stopped_ = true;
  tellers_.clear();
  for (const auto& [object, want] : std::exchange(wants_, {}))
    give_up(want);
}

}  // namespace zerodb

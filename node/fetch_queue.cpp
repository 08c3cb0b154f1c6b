#include "node/fetch_queue.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "node/fetch.hpp"

namespace zerodb {

namespace {

/// Pauses between attempts; after the last one it is left for the next round.
constexpr std::array retry_after{Milliseconds(1'000), Milliseconds(5'000), Milliseconds(20'000)};

}  // namespace

void FetchTally::close_one(bool failed) {
  --open_;
  failed_ += failed ? 1 : 0;
  changed_.notify();
}

Task<void> FetchTally::wait(std::shared_ptr<FetchTally> self, std::size_t most) {
  while (self->open_ > most)
    co_await self->changed_.wait();
}

void FetchQueue::Want::add(Want other) {
  sources.insert(sources.end(), other.sources.begin(), other.sources.end());
  if (!other.manifest) return;
  if (!manifest || other.manifest->is_later_than(*manifest)) manifest = std::move(other.manifest);
  for (const auto& node : other.holders) {
    if (std::ranges::find(holders, node) == holders.end()) holders.push_back(node);
  }
}

void FetchQueue::want_latest(const Entry& listed, const NodeId& node,
                             const std::shared_ptr<FetchTally>& tally) {
  if (stopped_) return;
  tally->open_one();
  add(listed.object, {.sources = {{.node = node, .listed = listed, .tally = tally}}});
}

void FetchQueue::want_version(SignedManifest manifest, const std::vector<NodeId>& holders) {
  const auto object = manifest->object;
  if (stopped_ || (wants_.size() >= options_.backlog_max && !wants_.contains(object))) return;
  add(object, {.manifest = std::move(manifest), .holders = holders});
}

void FetchQueue::add(const ObjectId& object, Want more) {
  const auto [entry, is_new] = wants_.try_emplace(object);
  entry->second.add(std::move(more));
  if (is_new) ready_.push_back(object);
  pump();
}

void FetchQueue::pump() {
  while (!stopped_ && running_ < options_.fetches_max && !ready_.empty()) {
    ++running_;
    spawn(context_.runtime, work(shared_from_this()));
  }
}

/// Fetches one after the other in a loop: a fetch may end at once, and begins within pump().
Task<void> FetchQueue::work(std::shared_ptr<FetchQueue> self) {
  while (!self->stopped_ && !self->ready_.empty()) {
    const auto pause = self->rate_.pause_ms(self->context_.runtime.steady_ms());
    if (pause > 0) {
      co_await self->context_.runtime.sleep(Milliseconds(pause));
      continue;  // others may have been at work meanwhile
    }
    const auto object = self->ready_.front();
    self->ready_.pop_front();
    auto& entry = self->wants_.at(object);
    Want taken = std::exchange(entry, {.attempts = entry.attempts});
    Want failed = co_await self->fetch(object, std::move(taken));
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
    // Once its link is up again, a round with that node finds the object anew.
    if (status || !context_.links.state(source.node).up) {
      source.tally->close_one(!status);
      continue;
    }
    spdlog::debug("fetch {}: {}", object.hashed_key.short_hex(), status.error().what);
    failed.sources.push_back(std::move(source));
  }
  if (!want.manifest) co_return failed;
  const auto status = co_await fetch_version(context_, *want.manifest, want.holders);
  rate_.add(status.value_or(0), context_.runtime.steady_ms());
  if (status) co_return failed;
  spdlog::debug("fetch {}: {}", object.hashed_key.short_hex(), status.error().what);
  failed.manifest = std::move(want.manifest);
  failed.holders = std::move(want.holders);
  co_return failed;
}

void FetchQueue::put_back(const ObjectId& object, Want failed) {
  auto& want = wants_.at(object);
  const bool all_done = failed.is_empty();
  if (all_done) want.attempts = 0;
  if (!all_done && want.attempts < retry_after.size()) {
    const auto pause = retry_after[want.attempts++];
    want.add(std::move(failed));
    spawn(context_.runtime, retry(shared_from_this(), object, pause));
    return;
  }
  if (!all_done) give_up(failed);
  if (want.is_empty()) {
    wants_.erase(object);
  } else {
    want.attempts = 0;  // told of again meanwhile
    ready_.push_back(object);
  }
}

void FetchQueue::give_up(const Want& want) {
  for (const auto& source : want.sources)
    source.tally->close_one(true);
}

Task<void> FetchQueue::retry(std::shared_ptr<FetchQueue> self, ObjectId object,
                             Milliseconds after) {
  co_await self->context_.runtime.sleep(after);
  if (self->stopped_) co_return;
  self->ready_.push_back(object);
  self->pump();
}

void FetchQueue::stop() {
  stopped_ = true;
  ready_.clear();
  for (const auto& [object, want] : std::exchange(wants_, {}))
    give_up(want);
}

}  // namespace zerodb

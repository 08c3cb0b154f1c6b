#include "node/catalogue_learn.hpp"

#include <tuple>

namespace zerodb {
namespace {

constexpr Milliseconds call_timeout{10'000};
constexpr std::size_t fetches_max = 64;       // manifests being asked of one other node at once
constexpr std::size_t learn_batch_max = 256;  // looked at in one go off the network thread

/// `corrupt` or `denied` if the private part does not open. Any thread.
Result<NameRecord> describe(const SignedManifest& manifest, const OwnerKeys& keys) {
  auto part = open_private_part(keys, manifest.manifest());
  if (!part) return fail(std::move(part.error()));
  return NameRecord{.hashed_key = manifest->object.hashed_key,
                    .hash = manifest.hash(),
                    .deleted = manifest->is_tombstone(),
                    .entry = {.name = std::move(part->name),
                              .size = manifest->size,
                              .version = manifest->version,
                              .mtime_ms = part->mtime_ms}};
}

/// How what was described is learnt: listed by a node, or announced to all.
using Learn = Task<void> (KnownNames::*)(std::vector<NameRecord>);

/// Describes manifests `[from, to)` that `get` answers, off the network thread.
template <class Get>
Task<void> learn_batch(StatePtr state, Learn learn, Get get, std::size_t from, std::size_t to) {
  std::vector<NameRecord> learnt;
  auto work = [&] {
    for (auto i = from; i < to; ++i) {
      const std::optional<SignedManifest> manifest = get(i);
      if (!manifest) continue;
      auto described = describe(*manifest, *state->keys);
      if (described) learnt.push_back(std::move(*described));
    }
  };
  co_await state->context.runtime.run_blocking(work);
  co_await (state->names.get()->*learn)(std::move(learnt));
}

/// From the own store, which verified them before. Answers those that it could not read, or had to
/// hand over since it listed them.
Task<std::set<ObjectId>> learn_here(SyncRoundPtr round, std::vector<ObjectId> objects) {
  auto& context = round->state->context;
  std::set<ObjectId> unread;
  bool failed = false;
  const auto get = [&](std::size_t i) -> std::optional<SignedManifest> {
    auto latest = context.store.latest(objects[i]);
    failed = failed || !latest;
    if (latest && *latest) return std::move(*latest);
    unread.insert(objects[i]);
    return {};
  };
  for (std::size_t from = 0; from < objects.size(); from += learn_batch_max) {
    co_await learn_batch(round->state, &KnownNames::learn_all, get, from,
                         std::min(from + learn_batch_max, objects.size()));
  }
  if (failed) round->failed.insert(context.mesh.self());
  co_return unread;
}

/// True if the node told of the version that it offers, or a later one. One that stops answering
/// has failed, and so has one that shows something else than it offers: it is not believed about
/// the rest either. One that shows nothing may have handed it over since.
Task<bool> learn_there(SyncRoundPtr round, Offer offer) {
  if (round->failed.contains(offer.node)) co_return false;
  auto& state = *round->state;
  const auto& object = offer.entry.object;
  peer::GetManifest request{
      .owner = object.owner, .hashed_key = object.hashed_key, .with_inline = false};
  auto answer =
      co_await call(state.context.links, offer.node, std::move(request), Payload{}, call_timeout);
  if (!answer) {
    round->failed.insert(offer.node);
    co_return false;
  }
  if (!answer->message.manifest) co_return false;
  const auto wire = std::move(*answer->message.manifest);
  auto work = [&]() -> Result<NameRecord> {
    auto manifest = SignedManifest::verify(wire);
    if (!manifest) return fail(std::move(manifest.error()));
    if ((*manifest)->object != object) return fail(Errc::invalid, "another object's manifest");
    return describe(*manifest, *state.keys);
  };
  auto described = co_await offload(state.context.runtime, work);
  if (!described) {
    round->failed.insert(offer.node);
    co_return false;
  }
  const bool as_offered = std::tie(described->entry.version, described->hash) >=
                          std::tie(offer.entry.version, offer.entry.hash);
  if (!as_offered) round->failed.insert(offer.node);
  std::vector<NameRecord> learnt;
  learnt.push_back(std::move(*described));
  co_await state.names->learn_all(std::move(learnt));
  co_return as_offered;
}

/// One object, of which a node is asked for what it offers.
struct Asked {
  Offer offer;
  std::vector<Offer> left;  ///< if it does not hold
  bool told = false;
};

/// What is to be fetched from one node.
struct Queue {
  std::vector<Asked> asked;
  std::size_t next = 0;
};
using QueuePtr = std::shared_ptr<Queue>;

Task<bool> fetch_some(SyncRoundPtr round, QueuePtr queue) {
  while (queue->next < queue->asked.size()) {
    const auto i = queue->next++;
    const auto offer = queue->asked[i].offer;
    const bool told = co_await learn_there(round, offer);
    queue->asked[i].told = told;
  }
  co_return true;
}

/// Several at a time, from one node.
Task<bool> fetch_from(SyncRoundPtr round, NodeId node, QueuePtr queue) {
  FanOut<bool> workers(round->state->context.runtime);
  for (std::size_t i = 0; i < std::min(fetches_max, queue->asked.size()); ++i)
    workers.ask(node, fetch_some(round, queue));
  while (!workers.all_answered())
    co_await workers.changed();
  co_return true;
}

using ManyOffers = std::vector<std::vector<Offer>>;

/// Of each object the first offer, all nodes at once. Answers what is left of those of which none
/// held.
Task<ManyOffers> fetch_first_of_each(SyncRoundPtr round, ManyOffers wanted) {
  std::map<NodeId, QueuePtr> queues;
  for (auto& offers : wanted) {
    std::erase_if(offers, [&](const Offer& offer) { return round->failed.contains(offer.node); });
    if (offers.empty()) continue;
    auto& queue = queues[offers.front().node];
    if (!queue) queue = std::make_shared<Queue>();
    queue->asked.push_back({.offer = offers.front(), .left = {offers.begin() + 1, offers.end()}});
  }
  FanOut<bool> nodes(round->state->context.runtime);
  for (const auto& [node, queue] : queues)
    nodes.ask(node, fetch_from(round, node, queue));
  co_await await_answers(round, nodes, Patience::usual);
  ManyOffers left;
  for (const auto& [node, queue] : queues) {
    queue->next = queue->asked.size();  // a node that was not waited for is asked no more
    for (auto& asked : queue->asked) {
      if (!asked.told) left.push_back(asked.left);
    }
  }
  co_return left;
}

/// The latest first, and what is here before the same elsewhere.
void sort_offers(std::vector<Offer>& offers, const NodeId& self) {
  std::ranges::sort(offers, [&](const Offer& a, const Offer& b) {
    const auto rank = [&](const Offer& offer) {
      return std::tuple(offer.entry.version, offer.entry.hash, offer.node == self);
    };
    return rank(a) > rank(b);
  });
}

/// Learns what the own store offers. Left are later offers, and all others of what it cannot read.
Task<Wanted> learn_own(SyncRoundPtr round, Wanted wanted) {
  const auto self = round->state->context.mesh.self();
  std::vector<ObjectId> here;
  for (auto& [object, offers] : wanted) {
    sort_offers(offers, self);
    if (std::ranges::find(offers, self, &Offer::node) != offers.end()) here.push_back(object);
  }
  const auto unread = co_await learn_here(round, here);
  for (const auto& object : here) {
    auto& offers = wanted[object];
    const auto own = std::ranges::find(offers, self, &Offer::node);
    offers.erase(own, unread.contains(object) ? own + 1 : offers.end());
  }
  co_return wanted;
}

}  // namespace

Task<void> fetch_wanted(SyncRoundPtr round, Wanted wanted) {
  auto elsewhere = co_await learn_own(round, std::move(wanted));
  ManyOffers there;
  for (auto& [object, offers] : elsewhere)
    there.push_back(std::move(offers));
  elsewhere.clear();
  while (!there.empty())
    there = co_await fetch_first_of_each(round, std::move(there));
}

Task<void> learn_news(StatePtr state) {
  const auto wires = std::exchange(state->news, {});
  const auto get = [&](std::size_t i) -> std::optional<SignedManifest> {
    const auto claimed = SignedManifest::trusted(wires[i]);  // to be verified if it is of interest
    if (!claimed || (*claimed)->object.owner != state->keys->id()) return {};
    auto manifest = SignedManifest::verify(wires[i]);
    if (!manifest) return {};
    return std::move(*manifest);
  };
  for (std::size_t from = 0; from < wires.size(); from += learn_batch_max) {
    co_await learn_batch(state, &KnownNames::learn_announced, get, from,
                         std::min(from + learn_batch_max, wires.size()));
  }
}

}  // namespace zerodb

#include "node/catalogue_sync.hpp"

#include <spdlog/spdlog.h>

#include <map>
#include <set>
#include <tuple>

#include "node/entry_listing.hpp"
#include "node/fan_out.hpp"

namespace zerodb {
namespace {

constexpr Milliseconds call_timeout{10'000};
constexpr std::size_t fetches_max = 64;  // manifests being asked of other nodes at once
constexpr std::size_t learn_batch_max =
    256;                                    // manifests looked at in one go off the network thread
constexpr std::size_t partitions_max = 64;  // looked at together: bounds what is held at once
using StatePtr = std::shared_ptr<CatalogueState>;

/// A version not known yet, which a node says it has.
struct Offer {
  Entry entry;
  NodeId node;
};

/// Of each object all that is offered: the latest may not be had any more, or be a lie, and then an
/// earlier one is what stands.
using Wanted = std::map<ObjectId, std::vector<Offer>>;

/// One round: what the nodes have, and which of them answered to the end.
struct SyncRound {
  explicit SyncRound(StatePtr of) : state(std::move(of)), life(state->names->life()) {}

  StatePtr state;
  std::uint64_t life;  ///< of the names, in which all is learnt
  std::map<NodeId, Digests> digests;
  std::set<NodeId> failed;   ///< stopped answering
  std::set<NodeId> as_here;  ///< have in some partitions what is here, and so were not asked
  std::size_t wanted = 0;    ///< objects of which versions were not known before
};
using SyncRoundPtr = std::shared_ptr<SyncRound>;

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

// ------------------------------------------------------------------------------ what has changed

Task<Result<Digests>> digests_here(StatePtr state) {
  auto work = [&] { return state->context.store.digests(); };
  co_return co_await offload(state->context.runtime, work);
}

Task<Result<Digests>> digests_there(StatePtr state, NodeId node) {
  return ask_digests(state->context.links, node);
}

Task<void> ask_members(SyncRoundPtr round) {
  auto& context = round->state->context;
  FanOut<Result<Digests>> answers(context.runtime);
  for (const auto& member : context.mesh.roster().members) {
    if (member.node == context.mesh.self()) {
      answers.ask(member.node, digests_here(round->state));
    } else if (context.links.state(member.node).up) {
      answers.ask(member.node, digests_there(round->state, member.node));
    }
  }
  while (!answers.all_answered())
    co_await answers.changed();
  while (auto next = answers.take()) {
    if (next->second) round->digests.emplace(next->first, std::move(*next->second));
  }
}

bool has_changed(const SyncRound& round, const NodeId& node, Partition partition) {
  const auto& digests = round.digests.at(node);
  return digests[partition] != round.state->names->digest_of(node, partition);
}

/// Those in which a node has something else than when all of it was learnt, ascending.
std::vector<Partition> changed_partitions(const SyncRound& round) {
  std::vector<Partition> changed;
  for (std::size_t i = 0; i < partition_count; ++i) {
    const auto partition = static_cast<Partition>(i);
    const bool any = std::ranges::any_of(
        round.digests, [&](const auto& each) { return has_changed(round, each.first, partition); });
    if (any) changed.push_back(partition);
  }
  return changed;
}

Result<std::vector<Entry>> entries_here(Store& store, const OwnerId& owner,
                                        const std::vector<Partition>& partitions) {
  std::vector<Entry> entries;
  for (const auto partition : partitions) {
    const auto some = all_entries(store, {.partition = partition, .owner = owner});
    if (!some) return fail(some.error());
    entries.insert(entries.end(), some->begin(), some->end());
  }
  return entries;
}

/// What a node has that may be news.
using Listed = Result<std::vector<Entry>>;

Task<Listed> list_here(StatePtr state, std::vector<Partition> partitions) {
  auto work = [&] { return entries_here(state->context.store, state->keys->id(), partitions); };
  auto entries = co_await offload(state->context.runtime, work);
  if (!entries) co_return fail(std::move(entries.error()));
  co_return co_await state->names->news_among(std::move(*entries));
}

Task<Listed> list_there(StatePtr state, NodeId node, std::vector<Partition> partitions) {
  EntryListing listing(state->context, node, std::move(partitions), state->keys->id());
  std::vector<Entry> news;
  while (!listing.is_done()) {
    auto page = co_await listing.next();
    if (!page) co_return fail(std::move(page.error()));
    auto kept = co_await state->names->news_among(std::move(*page));
    news.insert(news.end(), kept.begin(), kept.end());
  }
  co_return news;
}

// ----------------------------------------------------------------------- learning what is wanted

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

/// From the own store, which verified them before. Answers those that it could not read.
Task<std::set<ObjectId>> learn_here(SyncRoundPtr round, std::vector<ObjectId> objects) {
  auto& context = round->state->context;
  std::set<ObjectId> unread;
  const auto get = [&](std::size_t i) -> std::optional<SignedManifest> {
    auto latest = context.store.latest(objects[i]);
    if (!latest) {
      unread.insert(objects[i]);
      return {};
    }
    return std::move(*latest);
  };
  for (std::size_t from = 0; from < objects.size(); from += learn_batch_max) {
    co_await learn_batch(round->state, &KnownNames::learn_all, get, from,
                         std::min(from + learn_batch_max, objects.size()));
  }
  if (!unread.empty()) round->failed.insert(context.mesh.self());
  co_return unread;
}

/// True if the node told of the version that it offers, or a later one. One that stops answering
/// has failed; one that does not have what it offers lied, or lost it since.
Task<bool> learn_there(SyncRoundPtr round, Offer offer) {
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
  if (!described) co_return false;
  const bool as_offered = std::tie(described->entry.version, described->hash) >=
                          std::tie(offer.entry.version, offer.entry.hash);
  std::vector<NameRecord> learnt;
  learnt.push_back(std::move(*described));
  co_await state.names->learn_all(std::move(learnt));
  co_return as_offered;
}

/// What several fetch from, each the next.
struct Queue {
  std::vector<std::vector<Offer>> wanted;
  std::size_t next = 0;
};

/// Of each object the first offer that holds.
Task<bool> fetch_some(SyncRoundPtr round, std::shared_ptr<Queue> queue) {
  while (queue->next < queue->wanted.size()) {
    const auto offers = std::move(queue->wanted[queue->next++]);
    for (const auto& offer : offers) {
      const bool learnt = co_await learn_there(round, offer);
      if (learnt) break;
    }
  }
  co_return true;
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

/// What the own store offers, as far as it can be read, is learnt first. Left are the offers that
/// are later than that.
Task<Wanted> without_own(SyncRoundPtr round, Wanted wanted) {
  const auto self = round->state->context.mesh.self();
  std::vector<ObjectId> here;
  for (auto& [object, offers] : wanted) {
    sort_offers(offers, self);
    if (std::ranges::find(offers, self, &Offer::node) != offers.end()) here.push_back(object);
  }
  const auto objects = here;
  const auto unread = co_await learn_here(round, std::move(here));
  for (const auto& object : objects) {
    auto& offers = wanted[object];
    const auto own = std::ranges::find(offers, self, &Offer::node);
    offers.erase(own, unread.contains(object) ? own + 1 : offers.end());
    if (offers.empty()) wanted.erase(object);
  }
  co_return wanted;
}

/// Asks the nodes for what they offer, the own store first.
Task<void> fetch_wanted(SyncRoundPtr round, Wanted wanted) {
  auto& context = round->state->context;
  auto elsewhere = co_await without_own(round, std::move(wanted));
  const auto queue = std::make_shared<Queue>();
  for (auto& [object, offers] : elsewhere)
    queue->wanted.push_back(std::move(offers));
  elsewhere.clear();
  FanOut<bool> workers(context.runtime);
  for (std::size_t i = 0; i < std::min(fetches_max, queue->wanted.size()); ++i) {
    workers.ask(context.mesh.self(), fetch_some(round, queue));
  }
  while (!workers.all_answered())
    co_await workers.changed();
}

/// Whether `node` says that it has in the partition what this node has, too: once is enough to
/// list.
bool is_as_here(const SyncRound& round, const NodeId& node, Partition partition) {
  const auto& self = round.state->context.mesh.self();
  const auto here = round.digests.find(self);
  return node != self && here != round.digests.end() && !round.failed.contains(self) &&
         here->second[partition] == round.digests.at(node)[partition];
}

/// What the nodes have in `partitions` that they had not before.
Task<Wanted> list_changes(SyncRoundPtr round, std::vector<Partition> partitions) {
  const auto& state = round->state;
  FanOut<Listed> listings(state->context.runtime);
  for (const auto& [node, digests] : round->digests) {
    if (round->failed.contains(node)) continue;
    std::vector<Partition> changed;
    for (const auto each : partitions) {
      if (!has_changed(*round, node, each)) continue;
      if (is_as_here(*round, node, each))
        round->as_here.insert(node);
      else
        changed.push_back(each);
    }
    if (changed.empty()) continue;
    listings.ask(node, node == state->context.mesh.self()
                           ? list_here(state, std::move(changed))
                           : list_there(state, node, std::move(changed)));
  }
  while (!listings.all_answered())
    co_await listings.changed();
  Wanted wanted;
  while (auto next = listings.take()) {
    if (!next->second) {
      round->failed.insert(next->first);
      continue;
    }
    for (const auto& entry : *next->second)
      wanted[entry.object].push_back({.entry = entry, .node = next->first});
  }
  co_return wanted;
}

/// Learns all there is in some partitions.
Task<void> sync_partitions(SyncRoundPtr round, std::vector<Partition> partitions) {
  auto& names = *round->state->names;
  co_await names.settle();
  auto wanted = co_await list_changes(round, partitions);
  round->wanted += wanted.size();
  co_await fetch_wanted(round, std::move(wanted));
  // What they have was to be learnt here.
  if (round->failed.contains(round->state->context.mesh.self()))
    round->failed.merge(round->as_here);
  for (const auto& [node, digests] : round->digests) {
    if (round->failed.contains(node)) continue;
    for (const auto partition : partitions) {
      if (has_changed(*round, node, partition)) {
        names.saw(round->life, node, partition, digests[partition]);
      }
    }
  }
}

// -------------------------------------------------------------------------------- is it complete?

/// Whether among `answered` there is a holder of every acknowledged write to `partition`.
bool covers(const CatalogueState& state, const std::set<NodeId>& answered, Partition partition) {
  const auto& mesh = state.context.mesh;
  const auto said = [&](const NodeId& node) {
    return answered.contains(node) && mesh.is_whole(node);
  };
  return mesh.targets(partition).count_for_read(said).is_enough();
}

Status check_complete(const CatalogueState& state, const std::set<NodeId>& answered) {
  const auto& mesh = state.context.mesh;
  std::string silent;
  std::size_t count = 0;
  for (const auto& member : mesh.roster().members) {
    if (answered.contains(member.node) && mesh.is_whole(member.node)) continue;
    count += 1;
    silent += (silent.empty() ? "" : ", ") + mesh.describe(member.node);
  }
  if (count == 0) return {};
  for (std::size_t partition = 0; partition < partition_count; ++partition) {
    if (covers(state, answered, static_cast<Partition>(partition))) continue;
    return fail(Errc::no_quorum, "cannot tell all names, as too few nodes answer: no answer from " +
                                     silent + "; start or reach those nodes, then try again");
  }
  return {};
}

}  // namespace

Task<void> learn_news(StatePtr state) {
  const auto wires = std::exchange(state->news, {});
  const auto get = [&](std::size_t i) -> std::optional<SignedManifest> {
    auto manifest = SignedManifest::verify(wires[i]);
    if (!manifest || (*manifest)->object.owner != state->keys->id()) return {};
    return std::move(*manifest);
  };
  for (std::size_t from = 0; from < wires.size(); from += learn_batch_max) {
    co_await learn_batch(state, &KnownNames::learn_announced, get, from,
                         std::min(from + learn_batch_max, wires.size()));
  }
}

Task<Status> sync_catalogue(std::shared_ptr<CatalogueState> state) {
  co_await state->names->open();
  const auto round = std::make_shared<SyncRound>(state);
  co_await learn_news(state);
  co_await state->names->settle();  // what is expected of digests follows from what is written
  co_await ask_members(round);
  const auto changed = changed_partitions(*round);
  for (std::size_t from = 0; from < changed.size(); from += partitions_max) {
    const auto some = std::span(changed).subspan(from);
    const auto group = some.first(std::min(some.size(), partitions_max));
    co_await sync_partitions(round, {group.begin(), group.end()});
  }
  if (!changed.empty()) {
    spdlog::debug("catalogue: {} partitions differ, in them {} versions not known yet",
                  changed.size(), round->wanted);
  }
  std::set<NodeId> answered;
  for (const auto& [node, digests] : round->digests) {
    if (!round->failed.contains(node)) answered.insert(node);
  }
  auto complete = check_complete(*state, answered);
  if (complete) state->names->saw_all(round->life);
  co_return complete;
}

}  // namespace zerodb

#include "node/catalogue_sync.hpp"

#include <spdlog/spdlog.h>

#include <cstring>
#include <span>

#include "node/catalogue_learn.hpp"
#include "node/entry_listing.hpp"

namespace zerodb {
namespace {

constexpr std::size_t partitions_max = 64;        // looked at together: bounds what is held at once
constexpr std::uint64_t listing_ms_max = 30'000;  // of one node: it may go on for ever

/// In so many partitions a node may differ without anything new in them, before it is taken for one
/// that only keeps others busy.
constexpr std::size_t fruitless_max = 512;

// ------------------------------------------------------------------------------ what has changed

/// If the others suffice: what a node that lies about its digests has would be listed each time.
void leave_out_stragglers(SyncRound& round) {
  const auto others = without_stragglers(round, not_failed(round));
  if (others.size() == round.digests.size() || !covers_all(round, others)) return;
  std::erase_if(round.digests, [&](const auto& each) { return !others.contains(each.first); });
}

Task<void> ask_members(SyncRoundPtr round) {
  auto& context = round->state->context;
  FanOut<Result<Digests>> answers(context.runtime);
  for (const auto& member : context.mesh.roster().members) {
    if (member.node == context.mesh.self()) {
      round->digests.emplace(member.node, context.store.digests());
    } else if (context.links.state(member.node).up) {
      const auto& known = round->state->names->digests_of(member.node);
      answers.ask(member.node, ask_digests(context.links, member.node, known));
    }
  }
  co_await await_answers(round, answers, round->patience);
  while (auto next = answers.take()) {
    if (next->second) round->digests.emplace(next->first, std::move(*next->second));
  }
  leave_out_stragglers(*round);
}

bool has_changed(const SyncRound& round, const NodeId& node, Partition partition) {
  return round.digests.at(node)[partition] != round.state->names->digests_of(node)[partition];
}

std::vector<NodeId> left_members(const SyncRound& round) {
  const auto& roster = round.state->context.mesh.roster();
  auto nodes = round.state->names->nodes();
  std::erase_if(nodes, [&](const NodeId& node) { return roster.find(node) != nullptr; });
  return nodes;
}

/// Marks those in which a node that left had something that no other has just so.
void mark_left_behind(const SyncRound& round, std::vector<bool>& marks) {
  for (const auto& left : left_members(round)) {
    const auto& learnt = round.state->names->digests_of(left);
    for (std::size_t i = 0; i < partition_count; ++i) {
      const auto has_it = [&](const auto& each) { return each.second[i] == learnt[i]; };
      if (learnt[i] != PartitionDigest{} && std::ranges::none_of(round.digests, has_it))
        marks[i] = true;
    }
  }
}

/// Those in which a node has something else than when all of it was learnt, or had and left,
/// ascending.
std::vector<Partition> changed_partitions(const SyncRound& round) {
  std::vector<bool> differs(partition_count);
  mark_left_behind(round, differs);
  for (const auto& [node, digests] : round.digests) {
    const auto& learnt = round.state->names->digests_of(node);
    const auto size = std::span(digests).size_bytes();
    if (std::memcmp(digests.data(), learnt.data(), size) == 0) continue;  // nearly always
    for (std::size_t i = 0; i < partition_count; ++i)
      differs[i] = differs[i] || digests[i] != learnt[i];
  }
  std::vector<Partition> changed;
  for (std::size_t i = 0; i < partition_count; ++i) {
    if (differs[i]) changed.push_back(static_cast<Partition>(i));
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

/// Notes what the own store holds in the partitions.
Task<Listed> hold_here(SyncRoundPtr round, std::vector<Partition> partitions) {
  const auto state = round->state;
  auto work = [&] { return entries_here(state->context.store, state->keys->id(), partitions); };
  auto entries = co_await offload(state->context.runtime, work);
  if (entries) note_held(round->held, *entries);
  co_return entries;
}

Task<Listed> list_here(SyncRoundPtr round, std::vector<Partition> partitions) {
  auto entries = co_await hold_here(round, std::move(partitions));
  if (!entries) co_return entries;
  co_return co_await round->state->names->news_among(std::move(*entries));
}

Task<Listed> list_there(SyncRoundPtr round, NodeId node, std::vector<Partition> partitions) {
  const auto state = round->state;
  EntryListing listing(state->context, node, std::move(partitions), state->keys->id());
  auto& runtime = state->context.runtime;
  const auto begun_ms = runtime.steady_ms();
  std::vector<Entry> news;
  while (!listing.is_done()) {
    auto page = co_await listing.next();
    if (!page) co_return fail(std::move(page.error()));
    note_held(round->held, *page);
    auto kept = co_await state->names->news_among(std::move(*page));
    news.insert(news.end(), kept.begin(), kept.end());
    if (round->failed.contains(node) || runtime.steady_ms() - begun_ms > listing_ms_max)
      co_return fail(Errc::timeout, "listed for too long");
  }
  co_return news;
}

// ------------------------------------------------------------------------ what is new in it

/// Whether `node` says that it has in the partition what this node has, too: once is enough to
/// list.
bool is_as_here(const SyncRound& round, const NodeId& node, Partition partition) {
  const auto& self = round.state->context.mesh.self();
  const auto here = round.digests.find(self);
  return node != self && here != round.digests.end() && !round.failed.contains(self) &&
         here->second[partition] == round.digests.at(node)[partition];
}

/// Who is asked for what it has in a partition.
enum class Listing {
  once,        ///< those in which it changed, but not those that have what is here, too
  everywhere,  ///< those in which it changed
  all
};

/// What the nodes have in `partitions` that was not known before.
Task<Wanted> list_changes(SyncRoundPtr round, std::vector<Partition> partitions, Listing how) {
  const auto& state = round->state;
  FanOut<Listed> listings(state->context.runtime);
  for (const auto& [node, digests] : round->digests) {
    if (round->failed.contains(node)) continue;
    std::vector<Partition> changed;
    for (const auto each : partitions) {
      if (how != Listing::all && !has_changed(*round, node, each)) continue;
      if (how == Listing::once && is_as_here(*round, node, each))
        round->as_here.insert(node);
      else
        changed.push_back(each);
    }
    if (changed.empty()) continue;
    if (how != Listing::all) round->fruitless[node] += changed.size();
    listings.ask(node, node == state->context.mesh.self()
                           ? list_here(round, std::move(changed))
                           : list_there(round, node, std::move(changed)));
  }
  co_await await_answers(round, listings, Patience::usual);
  Wanted wanted;
  while (auto next = listings.take()) {
    if (!next->second) {
      round->failed.insert(next->first);
      if (next->second.error().code == Errc::invalid) state->stragglers.note(next->first);
      continue;
    }
    auto& fruitless = round->fruitless[next->first];
    fruitless -= std::min(fruitless, next->second->size());
    for (const auto& entry : *next->second)
      wanted[entry.object].push_back({.entry = entry, .node = next->first});
  }
  co_return wanted;
}

Task<void> learn_changes(SyncRoundPtr round, std::vector<Partition> partitions, Listing how) {
  auto wanted = co_await list_changes(round, std::move(partitions), how);
  round->wanted += wanted.size();
  co_await fetch_wanted(round, std::move(wanted));
}

/// Those in which something came or went here since the round began.
std::vector<Partition> changed_here(const SyncRound& round,
                                    const std::vector<Partition>& partitions) {
  const auto& self = round.state->context.mesh.self();
  const auto now = round.state->context.store.digests();
  const auto& before = round.digests.at(self);
  std::vector<Partition> changed;
  for (const auto each : partitions) {
    if (now[each] != before[each]) changed.push_back(each);
  }
  return changed;
}

/// If something that is known in the partitions is held by nobody, the names are begun again.
Task<void> check_held(SyncRoundPtr round, std::vector<Partition> partitions) {
  auto& names = *round->state->names;
  const auto self = round->state->context.mesh.self();
  auto unlisted = partitions;  // where something changed here it was listed
  if (round->digests.contains(self))
    std::erase_if(unlisted, [&](Partition each) { return has_changed(*round, self, each); });
  static_cast<void>(co_await hold_here(round, std::move(unlisted)));  // others have it, too
  co_await names.flush();
  const auto known = co_await names.known_in(partitions);
  if (!known) co_return;
  auto doubted = not_held(*known, round->held);
  constexpr int looks = 2;  // what is handed over meanwhile may be met at neither node
  for (int i = 0; i < looks && !doubted.empty(); ++i) {
    auto some = partitions_of(doubted);
    co_await learn_changes(round, std::move(some), Listing::all);
    doubted = not_held(doubted, round->held);
  }
  bool is_gone = false;
  for (const auto partition : partitions_of(doubted)) {
    round->unsure.insert(partition);
    is_gone = is_gone || covers(*round, not_failed(*round), partition);
  }
  if (!is_gone) co_return;
  round->doubtful = round->hurried && round->patience == Patience::even;
  if (round->doubtful) co_return;
  Error why{Errc::not_found, "the catalogue knows a version that no node has any more"};
  co_await names.begin_again(round->life, std::move(why));
}

/// Learns all there is in some partitions.
Task<void> sync_partitions(SyncRoundPtr round, std::vector<Partition> partitions) {
  auto& names = *round->state->names;
  co_await names.flush();
  round->held.clear();
  co_await learn_changes(round, partitions, Listing::once);
  if (!round->as_here.empty()) {
    // What was here, too, may have been handed over before it was listed.
    auto moved = changed_here(*round, partitions);
    if (!moved.empty()) co_await learn_changes(round, std::move(moved), Listing::everywhere);
  }
  co_await check_held(round, partitions);
  // What they have was to be learnt here.
  if (round->failed.contains(round->state->context.mesh.self()))
    round->failed.merge(round->as_here);
  for (const auto& [node, digests] : round->digests) {
    if (round->failed.contains(node)) continue;
    for (const auto partition : partitions) {
      if (has_changed(*round, node, partition) && !round->unsure.contains(partition)) {
        names.saw(round->life, node, partition, digests[partition]);
      }
    }
  }
}

// -------------------------------------------------------------------------------- is it complete?

Status check_complete(const SyncRound& round) {
  const auto answered = not_failed(round);
  if (covers_all(round, answered)) return {};
  const auto& mesh = round.state->context.mesh;
  std::string silent;
  for (const auto& member : mesh.roster().members) {
    if (counts(round, answered, member.node)) continue;
    silent += (silent.empty() ? "" : ", ") + mesh.describe(member.node);
  }
  return fail(Errc::no_quorum, "cannot tell all names, as too few nodes answer: no answer from " +
                                   silent + "; start or reach those nodes, then try again");
}

Task<Status> run_round(SyncRoundPtr round) {
  const auto& state = round->state;
  co_await learn_news(state);
  co_await state->names->flush();  // what is expected of digests follows from what is written
  co_await ask_members(round);
  const auto changed = changed_partitions(*round);
  for (std::size_t from = 0; from < changed.size(); from += partitions_max) {
    const auto some = std::span(changed).subspan(from);
    const auto first = some.first(std::min(some.size(), partitions_max));
    std::vector<Partition> group(first.begin(), first.end());
    co_await sync_partitions(round, std::move(group));
    if (state->names->life() != round->life) break;
  }
  if (!changed.empty()) {
    spdlog::debug("catalogue: {} partitions differ, in them {} versions not known yet",
                  changed.size(), round->wanted);
  }
  for (const auto& [node, partitions] : round->fruitless) {
    if (partitions > fruitless_max) state->stragglers.note(node);
  }
  auto complete = check_complete(*round);
  if (complete) state->names->saw_all(round->life);
  if (complete && round->unsure.empty()) {
    for (const auto& node : left_members(*round))
      state->names->forget(node);
  }
  co_return complete;
}

}  // namespace

Task<Status> sync_catalogue(std::shared_ptr<CatalogueState> state) {
  co_await state->names->renew();
  auto round = std::make_shared<SyncRound>(state, Patience::even);
  auto complete = co_await run_round(round);
  const bool begun_again = state->names->life() != round->life;
  // Or one that was not waited for is needed after all.
  if (begun_again || round->doubtful || (!complete && round->hurried)) {
    round = std::make_shared<SyncRound>(state, Patience::usual);
    complete = co_await run_round(round);
  }
  co_return complete;
}

}  // namespace zerodb
